//! The rules by which TOML's headers, dotted keys and inline values grow one tree.

use super::MAX_DEPTH;
use crate::value::{Table, Value};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

type Outcome = Result<(), &'static str>;

const TOO_DEEP: &str = "nests too deeply";
const DUPLICATE: &str = "key is defined twice";
const NOT_A_TABLE: &str = "key is already defined and is not a table";

/// A document under construction. Every step refuses what would define something twice.
#[derive(Default)]
pub(super) struct Builder {
    /// Everything but the content of the table at `header`.
    root: Open,
    /// The keys of the header under which key-value lines belong.
    header: Vec<String>,
    /// The table at `header`, kept apart so that a line costs the same however deep it is.
    current: Open,
    /// Keys read since the last value or header.
    keys: Vec<String>,
    /// Arrays and inline tables that are not closed yet, outermost first.
    containers: Vec<Container>,
    /// Levels that `header` and `containers` add up to.
    depth: usize,
}

/// A table that can still grow.
#[derive(Default)]
struct Open {
    origin: Origin,
    entries: BTreeMap<String, Node>,
}

/// What brought a table into being, which decides who may add to it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Origin {
    /// It was named on the way to something deeper: a header of its own may still follow.
    #[default]
    Implied,
    /// It has a header: nothing else may define it.
    Header,
    /// Dotted keys made it: only further dotted keys may extend it.
    Dotted,
}

enum Node {
    Value(Value),
    Table(Open),
    Array(Vec<Open>),
}

struct Container {
    /// Where the finished value goes.
    keys: Vec<String>,
    content: Content,
}

enum Content {
    Array(Vec<Value>),
    Inline(Open),
}

impl Builder {
    /// A header's `[` or `[[`.
    pub(super) fn begin_header(&mut self) {
        self.leave();
        self.keys.clear();
        self.containers.clear();
        self.depth = 0;
    }

    /// Puts the current table back to its place.
    fn leave(&mut self) {
        let header = std::mem::take(&mut self.header);
        let table = std::mem::take(&mut self.current);
        // The header's path exists: entering it made it.
        if let Ok(place) = self.root.descend(&header) {
            *place = table;
        }
    }

    /// One part of a dotted key or header.
    pub(super) fn key(&mut self, key: String) -> Outcome {
        if self.depth + self.keys.len() >= MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.keys.push(key);
        Ok(())
    }

    /// `[a.b]`, its keys being read.
    pub(super) fn open_table(&mut self) -> Outcome {
        let keys = std::mem::take(&mut self.keys);
        let Some((last, path)) = keys.split_last() else {
            return Ok(());
        };
        match self.root.descend(path)?.entries.entry(last.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Node::Table(Open {
                    origin: Origin::Header,
                    ..Open::default()
                }));
            }
            Entry::Occupied(entry) => match entry.into_mut() {
                Node::Table(table) if table.origin == Origin::Implied => {
                    table.origin = Origin::Header
                }
                Node::Table(_) => return Err("table is defined twice"),
                Node::Array(_) | Node::Value(_) => return Err(DUPLICATE),
            },
        }
        self.enter(keys)
    }

    /// `[[a.b]]`, its keys being read.
    pub(super) fn open_array_element(&mut self) -> Outcome {
        let keys = std::mem::take(&mut self.keys);
        let Some((last, path)) = keys.split_last() else {
            return Ok(());
        };
        let element = Open {
            origin: Origin::Header,
            ..Open::default()
        };
        match self.root.descend(path)?.entries.entry(last.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Node::Array(vec![element]));
            }
            Entry::Occupied(entry) => match entry.into_mut() {
                Node::Array(elements) => elements.push(element),
                Node::Table(_) | Node::Value(_) => return Err(DUPLICATE),
            },
        }
        self.enter(keys)
    }

    /// Makes the table at `header` the current one; the root was, [`Self::begin_header`] came before.
    fn enter(&mut self, header: Vec<String>) -> Outcome {
        self.current = std::mem::take(self.root.descend(&header)?);
        self.depth = header.len();
        self.header = header;
        Ok(())
    }

    /// A value's `[`.
    pub(super) fn begin_array(&mut self) -> Outcome {
        self.begin(Content::Array(Vec::new()))
    }

    /// A value's `{`.
    pub(super) fn begin_inline_table(&mut self) -> Outcome {
        self.begin(Content::Inline(Open::default()))
    }

    fn begin(&mut self, content: Content) -> Outcome {
        let keys = std::mem::take(&mut self.keys);
        self.depth += keys.len() + 1;
        if self.depth > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.containers.push(Container { keys, content });
        Ok(())
    }

    /// The end of the innermost array or inline table.
    pub(super) fn end_container(&mut self) -> Outcome {
        let Some(Container { keys, content }) = self.containers.pop() else {
            return Ok(());
        };
        self.depth = self.depth.saturating_sub(keys.len() + 1);
        self.keys = keys;
        self.value(match content {
            Content::Array(items) => Value::Array(items),
            Content::Inline(table) => Value::Table(table.close()),
        })
    }

    /// A finished value, for the keys read before it or the array around it.
    pub(super) fn value(&mut self, value: Value) -> Outcome {
        let keys = std::mem::take(&mut self.keys);
        let table = match self
            .containers
            .last_mut()
            .map(|container| &mut container.content)
        {
            Some(Content::Array(items)) => {
                items.push(value);
                return Ok(());
            }
            Some(Content::Inline(table)) => table,
            None => &mut self.current,
        };
        table.set(&keys, value)
    }

    /// The document.
    pub(super) fn finish(mut self) -> Table {
        self.leave();
        self.root.close()
    }
}

impl Open {
    /// The table at `path`, made where it is missing. Of an array of tables, the last element.
    fn descend(&mut self, path: &[String]) -> Result<&mut Self, &'static str> {
        let mut table = self;
        for key in path {
            table = match table.at(key, Origin::Implied) {
                Node::Table(next) => next,
                Node::Array(elements) => elements.last_mut().ok_or(NOT_A_TABLE)?,
                Node::Value(_) => return Err(NOT_A_TABLE),
            };
        }
        Ok(table)
    }

    /// What `key` holds, a new table from `origin` if nothing.
    fn at(&mut self, key: &str, origin: Origin) -> &mut Node {
        let new = || {
            Node::Table(Self {
                origin,
                ..Self::default()
            })
        };
        self.entries.entry(key.to_owned()).or_insert_with(new)
    }

    /// `a.b = value` inside this table.
    fn set(&mut self, keys: &[String], value: Value) -> Outcome {
        let Some((last, path)) = keys.split_last() else {
            return Ok(());
        };
        let mut table = self;
        for key in path {
            table = match table.at(key, Origin::Dotted) {
                Node::Table(next) if next.origin != Origin::Header => next,
                Node::Table(_) => return Err("dotted key extends a table that has a header"),
                Node::Array(_) | Node::Value(_) => return Err(NOT_A_TABLE),
            };
        }
        match table.entries.entry(last.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Node::Value(value));
                Ok(())
            }
            Entry::Occupied(_) => Err(DUPLICATE),
        }
    }

    fn close(self) -> Table {
        let close = |(key, node): (String, Node)| (key, node.close());
        Table::from_unique(self.entries.into_iter().map(close).collect())
    }
}

impl Node {
    fn close(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Table(table) => Value::Table(table.close()),
            Self::Array(elements) => Value::Array(
                elements
                    .into_iter()
                    .map(|element| Value::Table(element.close()))
                    .collect(),
            ),
        }
    }
}
