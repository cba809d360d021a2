//! The registry store against Debian's docker-registry, with a proxy between them that breaks things.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod faults;
mod follow;
mod images;
mod readers;
mod together;
