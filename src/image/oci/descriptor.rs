//! A reference to content by digest.

use super::documents::corrupt;
use super::{Digest, Platform};
use lifecycle_core::error::{Result, ResultExt};
use lifecycle_core::value::{Table, Value};

/// Names a blob or manifest: media type, digest, size.
#[derive(Clone, Debug, PartialEq)]
pub struct Descriptor {
    /// The content's media type.
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size in bytes.
    pub size: u64,
    /// Everything else that the descriptor carried (urls, annotations, platform), in order.
    pub extra: Table,
}

impl Descriptor {
    /// A descriptor of `bytes`.
    pub fn of(bytes: &[u8], media_type: &str) -> Self {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            extra: Table::new(),
        }
    }

    /// The platform that the content is for, if the descriptor says so.
    pub fn platform(&self) -> Option<Platform> {
        let platform = self.extra.get("platform")?.as_table()?;
        let text = |key: &str| {
            platform
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Some(Platform {
            os: text("os"),
            architecture: text("architecture"),
        })
    }

    pub(super) fn from_value(value: &Value) -> Result<Self> {
        let mut extra = value
            .as_table()
            .cloned()
            .ok_or_else(|| corrupt("a descriptor is not an object".to_owned()))?;
        let media_type = extra.remove("mediaType");
        let digest = extra.remove("digest");
        let digest = Digest::parse(digest.as_ref().and_then(Value::as_str).unwrap_or_default());
        let size = match extra.remove("size") {
            Some(Value::Integer(size)) => u64::try_from(size).ok(),
            _ => None,
        };
        Ok(Self {
            media_type: media_type
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            digest: digest.context(|| "descriptor")?,
            size: size
                .ok_or_else(|| corrupt("descriptor: the size is missing or negative".to_owned()))?,
            extra,
        })
    }

    pub(super) fn to_table(&self) -> Table {
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let named = Table::new()
            .with("mediaType", self.media_type.as_str())
            .with("size", size);
        let named = named.with("digest", self.digest.to_string());
        self.extra
            .iter()
            .fold(named, |table, (key, value)| table.with(key, value.clone()))
    }
}
