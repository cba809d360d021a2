//! `CNB_REGISTRY_AUTH`: a JSON object from registry to the value of an `Authorization` header.

use super::Credentials;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::json::{self, Numbers};
use lifecycle_core::value::Value;
use std::collections::BTreeMap;

/// Headers by registry; keys lose their scheme and their path.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let context = || "reading auth env var: failed to parse CNB_REGISTRY_AUTH value";
    let value = json::parse(text, Numbers::Exact).context(context)?;
    let table = match value {
        Value::Table(table) => table,
        Value::Null => return Ok(BTreeMap::new()),
        _ => return Err(Error::other("not a JSON object").in_context(context())),
    };
    let entries = table.into_iter().map(|(key, header)| match header {
        Value::String(header) => Ok((registry(&key).to_owned(), header)),
        _ => Err(Error::other(format!("value of '{key}' is not text"))),
    });
    entries.collect::<Result<_>>().context(context)
}

fn registry(key: &str) -> &str {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

/// What a header's value presents.
pub(super) fn credentials(header: &str) -> Result<Credentials> {
    let unknown = || Error::other("parsing auth header: unknown auth type from header");
    let (scheme, value) = header.split_once(' ').ok_or_else(unknown)?;
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => basic(value).ok_or_else(|| {
            Error::other("parsing auth header: value of 'Basic' is not base64 of 'user:password'")
        }),
        "bearer" => Ok(Credentials::Bearer(value.to_owned())),
        "x-identity" => Ok(Credentials::Identity(value.to_owned())),
        _ => Err(unknown()),
    }
}

/// Base64 of `user:password`.
pub(super) fn basic(encoded: &str) -> Option<Credentials> {
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Credentials::Basic {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}
