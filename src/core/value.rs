//! Free-form data as TOML and JSON carry it: one value type for both.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub use toml_datetime::Datetime;

/// A value of a document. Integers and floats stay apart, as TOML has them.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON `null`; TOML has none, and its emitter leaves such entries out.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A floating point number.
    Float(f64),
    /// Text.
    String(String),
    /// A TOML date, time or both.
    Datetime(Datetime),
    /// A list.
    Array(Vec<Value>),
    /// A table (TOML) or object (JSON).
    Table(Table),
}

/// A table that keeps its insertion order; keys are unique.
///
/// Structs are written in the order of their declaration, free maps sorted by key ([`Table::sorted`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table(Vec<(String, Value)>);

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// From entries whose keys are unique.
    pub(crate) fn from_unique(entries: Vec<(String, Value)>) -> Self {
        Self(entries)
    }

    /// The value under exactly `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The value under `key`, else under a key that differs only in case (the reference's decoders match so).
    pub fn get_ignoring_case(&self, key: &str) -> Option<&Value> {
        self.get(key).or_else(|| {
            self.0
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(key))
                .map(|(_, v)| v)
        })
    }

    /// Sets `key`, in place if it exists, else at the end.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }

    /// Removes `key` and returns what it held.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(index).1)
    }

    /// The builder form of [`Table::insert`].
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// The builder form of [`Table::insert`] for a value that may be absent.
    #[must_use]
    pub fn with_some(self, key: impl Into<String>, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Entries in order, values mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.0.iter_mut().map(|(k, v)| (k.as_str(), v))
    }

    /// Whether the table has no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The same table with keys in byte order, at every depth.
    #[must_use]
    pub fn sorted(self) -> Self {
        let mut entries: Vec<_> = self.0.into_iter().map(|(k, v)| (k, v.sorted())).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(entries)
    }
}

impl FromIterator<(String, Value)> for Table {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        // By a sorted map, so that a document with very many keys stays cheap.
        let mut unique = BTreeMap::<String, (usize, Value)>::new();
        for (index, (key, value)) in entries.into_iter().enumerate() {
            match unique.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert((index, value));
                }
                Entry::Occupied(mut entry) => entry.get_mut().1 = value,
            }
        }
        let mut entries: Vec<_> = unique
            .into_iter()
            .map(|(key, (index, value))| (index, key, value))
            .collect();
        entries.sort_unstable_by_key(|(index, ..)| *index);
        Self(
            entries
                .into_iter()
                .map(|(_, key, value)| (key, value))
                .collect(),
        )
    }
}

impl IntoIterator for Table {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The same value with all tables sorted by key.
    #[must_use]
    pub fn sorted(self) -> Self {
        match self {
            Self::Table(table) => Self::Table(table.sorted()),
            Self::Array(items) => Self::Array(items.into_iter().map(Self::sorted).collect()),
            other => other,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}
impl From<Table> for Value {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}
