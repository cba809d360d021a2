//! Phases against registries, as platforms run them: certificates, proxies and credentials from the environment, registries
//! that fail now and then or refuse, what travels how often, and what a terminal shows of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod build;
mod credentials;
mod failures;
mod mirrors;
mod readers;
mod sharing;
mod terminal;
mod transport;
