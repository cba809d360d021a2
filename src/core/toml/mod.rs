//! TOML: parsing into [`Value`](crate::value::Value), and the emitter with the reference's bytes (FACTS 3.1, 3.2).

mod build;
mod emit;
mod parse;

pub use emit::to_string;
pub use parse::parse;

/// The longest document that [`parse`] reads, in bytes. Real ones are a few kilobytes; with a large legacy bill of
/// materials, a few hundred.
pub const MAX_LENGTH: usize = 8 * 1024 * 1024;

/// The most words, punctuation marks, spaces and line ends that a document may have: 8 MB of brackets would take 400 MB of
/// memory. A document of a thousand processes has 30,000.
pub const MAX_TOKENS: usize = 1 << 20;

/// How deep tables, dotted keys and arrays may nest.
pub const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod tests;
