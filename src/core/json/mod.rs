//! JSON: parsing into [`Value`](crate::value::Value), and the emitter with the reference's bytes (FACTS 3.3).

mod emit;
mod parse;

pub use emit::to_string;
pub use parse::{Numbers, parse};

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod tests;
