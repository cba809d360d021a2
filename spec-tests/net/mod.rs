//! Real registries on the loopback interface, and what may go wrong between them and a client.

pub mod certificates;
mod http;
pub mod keeping;
pub mod proxy;
pub mod registry;
pub mod relay;
pub mod tokens;
