//! Documents whose absence is no error: the log says that they are missing.

use crate::log::Log;
use lifecycle_core::data::analyzed::Analyzed;
use lifecycle_core::data::run::RunImages;
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::file::{DOCUMENT_LIMIT, read_if_exists};
use std::path::Path;

/// run.toml; no images when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_run(path: &Path, log: &Log) -> Result<RunImages> {
    let Some(text) = read_if_exists(path, DOCUMENT_LIMIT)? else {
        log.info(format_args!("No run metadata found at path {path:?}"));
        return Ok(RunImages::default());
    };
    RunImages::parse_run(&text).context(|| format!("parse {}", path.display()))
}

/// stack.toml; no image when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_stack(path: &Path, log: &Log) -> Result<RunImages> {
    let Some(text) = read_if_exists(path, DOCUMENT_LIMIT)? else {
        log.info(format_args!("No stack metadata found at path {path:?}"));
        return Ok(RunImages::default());
    };
    RunImages::parse_stack(&text).context(|| format!("parse {}", path.display()))
}

/// analyzed.toml; empty when there is no such file.
///
/// # Errors
/// The file cannot be read or decoded.
pub fn read_analyzed(path: &Path, log: &Log) -> Result<Analyzed> {
    let Some(text) = read_if_exists(path, DOCUMENT_LIMIT)? else {
        log.warn(format_args!("No analyzed metadata found at path {path:?}"));
        return Ok(Analyzed::default());
    };
    Analyzed::parse(&text).context(|| format!("parse {}", path.display()))
}
