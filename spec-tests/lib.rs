//! Black-box conformance kit: it runs any lifecycle directory and reads what came out, with no code of the lifecycle itself.
#![forbid(unsafe_code)]

pub mod builder;
pub mod docker;
pub mod layout;
pub mod net;
pub mod pack;
pub mod server;
pub mod site;
pub mod subject;
