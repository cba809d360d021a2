//! Typed access to parsed documents with the leniency of the reference's decoders (FACTS 3.2): unknown keys are
//! ignored, keys match exactly or else ignoring case, values must have the right type. Free maps come out sorted.

use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Numbers};
use crate::toml;
use crate::value::{Table, Value};

/// The language of a document: its decoders differ in how they treat `null` and free maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Json,
}

/// Reads a TOML document with `read`.
pub(super) fn from_toml<T>(text: &str, read: impl FnOnce(&Fields<'_>) -> Result<T>) -> Result<T> {
    read(&Fields {
        format: Format::Toml,
        path: String::new(),
        table: &toml::parse(text)?,
    })
}

/// Reads a JSON document with `read`. `null` in place of the whole document or of any value reads as absent.
pub(super) fn from_json<T>(text: &str, read: impl FnOnce(&Fields<'_>) -> Result<T>) -> Result<T> {
    let empty = Table::new();
    let value = json::parse(text, Numbers::Floats)?;
    let table = match &value {
        Value::Null => &empty,
        Value::Table(table) => table,
        other => return Err(mismatch(Format::Json, "", other, "object")),
    };
    read(&Fields {
        format: Format::Json,
        path: String::new(),
        table,
    })
}

/// The entries of one table, with the path that led to it for messages.
pub(super) struct Fields<'a> {
    format: Format,
    path: String,
    table: &'a Table,
}

impl<'a> Fields<'a> {
    /// Whether the document has exactly this key here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// A value of any type.
    pub(super) fn any(&self, key: &str) -> Option<Value> {
        self.value(key).cloned().map(Value::sorted)
    }

    /// Text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.convert(key, "string", |value| value.as_str().map(str::to_owned))
    }

    /// Text, empty where there is none.
    pub(super) fn text_or_empty(&self, key: &str) -> Result<String> {
        Ok(self.text(key)?.unwrap_or_default())
    }

    /// Text that counts as absent when it is empty.
    pub(super) fn non_empty_text(&self, key: &str) -> Result<Option<String>> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// A flag, `false` where there is none.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        Ok(self.optional_flag(key)?.unwrap_or_default())
    }

    /// A flag.
    pub(super) fn optional_flag(&self, key: &str) -> Result<Option<bool>> {
        self.convert(key, "boolean", Value::as_bool)
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        self.items(key, |path, value| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(mismatch(self.format, path, other, "string")),
        })
    }

    /// One text, or a list of them.
    pub(super) fn text_or_texts(&self, key: &str) -> Result<Vec<String>> {
        match self.value(key) {
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            _ => Ok(self.texts(key)?.unwrap_or_default()),
        }
    }

    /// Execution environments: a list of names, or of tables with a `name` (BP-FMT-BPTOML-005).
    pub(super) fn exec_env(&self) -> Result<Vec<String>> {
        let names = self.items("exec-env", |path, value| match value {
            Value::String(name) => Ok(name.clone()),
            other => self.table_at(path, other)?.text_or_empty("name"),
        })?;
        Ok(names.unwrap_or_default())
    }

    /// A free map. In TOML the reference takes any other type for none.
    pub(super) fn map(&self, key: &str) -> Result<Option<Table>> {
        let map = self.convert(key, "map", |value| {
            value.as_table().cloned().map(Table::sorted)
        });
        if self.format == Format::Toml {
            Ok(map.unwrap_or_default())
        } else {
            map
        }
    }

    /// A table with known keys, read with `read`.
    pub(super) fn table<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Fields<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.value(key)
            .map(|value| read(&self.table_at(&self.path_to(key), value)?))
            .transpose()
    }

    /// A list of tables with known keys, each read with `read`.
    pub(super) fn tables<T>(
        &self,
        key: &str,
        mut read: impl FnMut(&Fields<'_>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        self.items(key, |path, value| read(&self.table_at(path, value)?))
    }

    /// Like [`Fields::tables`], no list being an empty one.
    pub(super) fn tables_or_empty<T>(
        &self,
        key: &str,
        read: impl FnMut(&Fields<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        Ok(self.tables(key, read)?.unwrap_or_default())
    }

    /// A map from free names to tables with known keys; `None` like [`Fields::map`].
    pub(super) fn named_tables<T>(
        &self,
        key: &str,
        mut read: impl FnMut(&Fields<'_>) -> Result<T>,
    ) -> Result<Option<Vec<(String, T)>>> {
        let Some(map) = self.map(key)? else {
            return Ok(None);
        };
        let path = self.path_to(key);
        map.iter()
            .map(|(name, value)| {
                Ok((
                    name.to_owned(),
                    read(&self.table_at(&format!("{path}.{name}"), value)?)?,
                ))
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    /// The error for a `value` under `key` that should have been a `wanted`.
    pub(super) fn mismatch(&self, key: &str, value: &Value, wanted: &str) -> Error {
        mismatch(self.format, &self.path_to(key), value, wanted)
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.table
            .get_ignoring_case(key)
            .filter(|value| !matches!(value, Value::Null))
    }

    fn convert<T>(
        &self,
        key: &str,
        wanted: &str,
        convert: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.value(key)
            .map(|value| convert(value).ok_or_else(|| self.mismatch(key, value, wanted)))
            .transpose()
    }

    fn items<T>(
        &self,
        key: &str,
        mut read: impl FnMut(&str, &Value) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let items = value
            .as_array()
            .ok_or_else(|| self.mismatch(key, value, "slice"))?;
        let path = self.path_to(key);
        items
            .iter()
            .map(|item| read(&path, item))
            .collect::<Result<_>>()
            .map(Some)
    }

    fn table_at<'b>(&self, path: &str, value: &'b Value) -> Result<Fields<'b>> {
        let table = value
            .as_table()
            .ok_or_else(|| mismatch(self.format, path, value, "table"))?;
        Ok(Fields {
            format: self.format,
            path: path.to_owned(),
            table,
        })
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// The contract's words for a value of the wrong type, with the key in front.
fn mismatch(format: Format, path: &str, value: &Value, wanted: &str) -> Error {
    let cause = match format {
        Format::Toml => format!(
            "toml: key {path:?}: incompatible types: TOML value has type {}; destination has type {wanted}",
            toml_type(value)
        ),
        Format::Json => format!(
            "json: key {path:?}: cannot read {} as {wanted}",
            json_type(value)
        ),
    };
    Error::new(ErrorKind::Corrupt, cause)
}

fn toml_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Integer(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Datetime(_) => "time.Time",
        Value::Array(_) => "[]any",
        Value::Table(_) => "map[string]any",
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Integer(_) | Value::Float(_) => "number",
        Value::String(_) | Value::Datetime(_) => "string",
        Value::Array(_) => "array",
        Value::Table(_) => "object",
    }
}
