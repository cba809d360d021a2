//! Reading the JSON documents of images with bounds.

use super::{Descriptor, Digest};
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::json::{self, Numbers};
use lifecycle_core::value::{Table, Value};
use std::io::Read;

/// The JSON object in `bytes`, which are `what`.
pub(super) fn object(bytes: &[u8], what: &str) -> Result<Table> {
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt(format!("{what}: not UTF-8")))?;
    match json::parse(text, Numbers::Exact)
        .map_err(|error| error.with_kind(ErrorKind::Corrupt))
        .context(|| what)?
    {
        Value::Table(table) => Ok(table),
        _ => Err(corrupt(format!("{what}: not an object"))),
    }
}

pub(super) fn corrupt(cause: String) -> Error {
    Error::new(ErrorKind::Corrupt, cause)
}

/// Reads the document that `descriptor` names, checking its size before and its digest after reading.
///
/// # Errors
/// Kind `Corrupt`: larger than `limit` bytes, or other bytes than the descriptor says. Otherwise reading fails.
pub fn read_document(reader: impl Read, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
    let Descriptor { digest, size, .. } = descriptor;
    if *size > limit {
        return Err(corrupt(format!(
            "{digest} has {size} bytes; at most {limit} are read"
        )));
    }
    let bytes = read_bounded(reader, *size).context(|| format!("read {digest}"))?;
    if bytes.len() as u64 != *size || Digest::of(&bytes) != *digest {
        return Err(corrupt(format!("content does not match {digest}")));
    }
    Ok(bytes)
}

/// Reads everything, at most `limit` bytes.
///
/// # Errors
/// Kind `Corrupt`: there is more. Otherwise reading fails.
pub fn read_bounded(reader: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(corrupt(format!("more than {limit} bytes"))),
        false => Ok(bytes),
    }
}
