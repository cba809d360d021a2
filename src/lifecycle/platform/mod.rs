//! What the platform says: flags, environment, defaults; resolved once into [`Inputs`].

mod inputs;

pub use inputs::Inputs;
