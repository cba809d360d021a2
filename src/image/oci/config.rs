//! Image configurations: the known parts typed, everything unknown kept.

use super::{DiffId, History, documents};
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_core::json;
use lifecycle_core::value::{Table, Value};
use std::collections::BTreeMap;

/// The time of configurations that have none; the key is always written.
pub(super) const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The largest configuration that is read, in bytes.
pub const MAX_CONFIG: u64 = 8 << 20;

/// Keys in the order in which the reference writes them, with the shape of their value (FACTS 4.4).
const KEYS: [(&str, Shape); 12] = [
    ("architecture", Shape::Text),
    ("author", Shape::Text),
    ("container", Shape::Text),
    ("created", Shape::Text),
    ("docker_version", Shape::Text),
    ("history", Shape::Tables),
    ("os", Shape::Text),
    ("rootfs", Shape::Table),
    ("config", Shape::Table),
    ("os.version", Shape::Text),
    ("variant", Shape::Text),
    ("os.features", Shape::Texts),
];
/// The keys inside `config`, likewise.
const RUNTIME_KEYS: [(&str, Shape); 24] = [
    ("AttachStderr", Shape::Bool),
    ("AttachStdin", Shape::Bool),
    ("AttachStdout", Shape::Bool),
    ("Cmd", Shape::Texts),
    ("Healthcheck", Shape::Table),
    ("Domainname", Shape::Text),
    ("Entrypoint", Shape::Texts),
    ("Env", Shape::Texts),
    ("Hostname", Shape::Text),
    ("Image", Shape::Text),
    ("Labels", Shape::TextMap),
    ("OnBuild", Shape::Texts),
    ("OpenStdin", Shape::Bool),
    ("StdinOnce", Shape::Bool),
    ("Tty", Shape::Bool),
    ("User", Shape::Text),
    ("Volumes", Shape::Table),
    ("WorkingDir", Shape::Text),
    ("ExposedPorts", Shape::Table),
    ("ArgsEscaped", Shape::Bool),
    ("NetworkDisabled", Shape::Bool),
    ("MacAddress", Shape::Text),
    ("StopSignal", Shape::Text),
    ("Shell", Shape::Texts),
];

/// An image configuration. It is a table in the reference's key order with unknown keys kept behind; the methods
/// read and replace its parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(Table);

impl Config {
    /// A configuration without layers for a platform.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self(
            Table::new()
                .with("architecture", architecture)
                .with("os", os),
        )
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// Kind `Corrupt`: not JSON, or a known key holds a value of another type.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let table = documents::object(bytes, "image configuration")?;
        check_shapes("", &table, &KEYS)?;
        if let Some(runtime) = table.get("config").and_then(Value::as_table) {
            check_shapes("config.", runtime, &RUNTIME_KEYS)?;
        }
        let config = Self(table);
        config.diff_ids()?;
        Ok(config)
    }

    /// The configuration's bytes: known keys in the reference's order, unknown ones behind.
    pub fn to_json(&self) -> String {
        let runtime = ordered(&self.runtime(), &RUNTIME_KEYS, &[]);
        let diff_ids = self
            .0
            .get("rootfs")
            .and_then(|rootfs| rootfs.as_table()?.get("diff_ids"));
        let rootfs = Table::new().with("type", "layers").with(
            "diff_ids",
            diff_ids
                .filter(|ids| **ids != Value::Null)
                .cloned()
                .unwrap_or(Value::Array(Vec::new())),
        );
        let mut table = self.0.clone();
        for (key, default) in [("architecture", ""), ("created", NO_TIME), ("os", "")] {
            if table.get(key).is_none_or(|value| *value == Value::Null) {
                table.insert(key, default);
            }
        }
        table.insert("rootfs", rootfs);
        table.insert("config", runtime);
        let always = ["architecture", "created", "os", "rootfs", "config"];
        json::to_string(&Value::Table(ordered(&table, &KEYS, &always)))
    }

    /// The operating system, e.g. `linux`; empty if absent. Likewise the other texts.
    pub fn os(&self) -> &str {
        text(&self.0, "os")
    }

    /// The processor architecture, e.g. `amd64`.
    pub fn architecture(&self) -> &str {
        text(&self.0, "architecture")
    }

    /// The processor variant, e.g. `v8`.
    pub fn variant(&self) -> &str {
        text(&self.0, "variant")
    }

    /// The version of the operating system.
    pub fn os_version(&self) -> &str {
        text(&self.0, "os.version")
    }

    /// When the image was made, RFC 3339.
    pub fn created(&self) -> &str {
        text(&self.0, "created")
    }

    /// Who runs the processes.
    pub fn user(&self) -> &str {
        text(self.runtime_ref(), "User")
    }

    /// Where processes start.
    pub fn working_dir(&self) -> &str {
        text(self.runtime_ref(), "WorkingDir")
    }

    /// The entrypoint's words.
    pub fn entrypoint(&self) -> Vec<&str> {
        texts(self.runtime_ref(), "Entrypoint").collect()
    }

    /// Variables as `(name, value)` in order; entries without `=` have an empty value.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        texts(self.runtime_ref(), "Env").map(|entry| entry.split_once('=').unwrap_or((entry, "")))
    }

    /// The value of the variable `name`.
    pub fn env_var(&self, name: &str) -> Option<&str> {
        self.env()
            .find(|(key, _)| self.same_variable(key, name))
            .map(|(_, value)| value)
    }

    /// The label `key`.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.runtime_ref()
            .get("Labels")?
            .as_table()?
            .get(key)?
            .as_str()
    }

    /// The value of a key of `config`.
    pub fn runtime_value(&self, key: &str) -> Option<&Value> {
        self.runtime_ref().get(key)
    }

    /// All labels.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        let labels = self.runtime_ref().get("Labels").and_then(Value::as_table);
        labels
            .into_iter()
            .flat_map(Table::iter)
            .filter_map(|(key, value)| Some((key, value.as_str()?)))
            .collect()
    }

    /// The layers' diffIDs, bottom first.
    ///
    /// # Errors
    /// Kind `Corrupt`: one is not a digest.
    pub fn diff_ids(&self) -> Result<Vec<DiffId>> {
        let rootfs = self.0.get("rootfs").and_then(Value::as_table);
        let ids = rootfs
            .and_then(|rootfs| rootfs.get("diff_ids")?.as_array())
            .unwrap_or_default();
        ids.iter()
            .map(|id| DiffId::parse(id.as_str().unwrap_or_default()))
            .collect()
    }

    /// The history as it is recorded, with entries that have no layer.
    pub fn history(&self) -> Vec<History> {
        let entries = self
            .0
            .get("history")
            .and_then(Value::as_array)
            .unwrap_or_default();
        entries
            .iter()
            .filter_map(Value::as_table)
            .map(History::from_table)
            .collect()
    }

    /// With other layers: their diffIDs and a history entry each.
    #[must_use]
    pub fn with_layers(mut self, diff_ids: &[DiffId], history: &[History]) -> Self {
        let diff_ids: Vec<_> = diff_ids.iter().map(DiffId::to_string).collect();
        let history: Vec<_> = history.iter().map(History::to_table).collect();
        self.0.insert(
            "rootfs",
            Table::new()
                .with("type", "layers")
                .with("diff_ids", diff_ids),
        );
        self.0.insert("history", history);
        self
    }

    /// With another operating system, architecture, variant and version; empty texts remove their key.
    #[must_use]
    pub fn with_platform(
        self,
        os: &str,
        architecture: &str,
        variant: &str,
        os_version: &str,
    ) -> Self {
        [
            ("os", os),
            ("architecture", architecture),
            ("variant", variant),
            ("os.version", os_version),
        ]
        .into_iter()
        .fold(self, |config, (key, value)| config.with_text(key, value))
    }

    /// With another time of creation, RFC 3339.
    #[must_use]
    pub fn with_created(self, created: &str) -> Self {
        self.with_text("created", created)
    }

    /// With another author.
    #[must_use]
    pub fn with_author(self, author: &str) -> Self {
        self.with_text("author", author)
    }

    /// Without the id of the container that it was made from.
    #[must_use]
    pub fn without_container(self) -> Self {
        self.with_text("container", "")
    }

    /// With the variable `name`, in place if it exists, else behind the others.
    #[must_use]
    pub fn with_env(self, name: &str, value: &str) -> Self {
        let entry = format!("{name}={value}");
        let mut env: Vec<String> = texts(self.runtime_ref(), "Env")
            .map(str::to_owned)
            .collect();
        let key = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        match env
            .iter_mut()
            .find(|old| self.same_variable(&key(old), name))
        {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
        self.with_runtime("Env", env)
    }

    /// With the label `key`.
    #[must_use]
    pub fn with_label(self, key: &str, value: &str) -> Self {
        let mut labels = self.labels();
        labels.insert(key, value);
        let labels = label_table(labels);
        self.with_runtime("Labels", labels)
    }

    /// Without the label `key`.
    #[must_use]
    pub fn without_label(self, key: &str) -> Self {
        let mut labels = self.labels();
        labels.remove(key);
        let labels = label_table(labels);
        self.with_runtime("Labels", labels)
    }

    /// With another entrypoint and no command.
    #[must_use]
    pub fn with_entrypoint(self, words: &[String]) -> Self {
        self.with_runtime("Entrypoint", words.to_vec())
            .with_runtime("Cmd", Value::Null)
    }

    /// With another working directory.
    #[must_use]
    pub fn with_working_dir(self, dir: &str) -> Self {
        self.with_runtime("WorkingDir", dir)
    }

    /// With another user.
    #[must_use]
    pub fn with_user(self, user: &str) -> Self {
        self.with_runtime("User", user)
    }

    /// With everything that concerns running (env, labels, user, ports ...) taken from `other`.
    #[must_use]
    pub fn with_runtime_of(mut self, other: &Self) -> Self {
        self.0.insert("config", other.runtime());
        self
    }

    fn with_text(mut self, key: &str, value: &str) -> Self {
        match value {
            "" => drop(self.0.remove(key)),
            value => self.0.insert(key, value),
        }
        self
    }

    /// With another value for a key of `config`, in which images say how they are run; [`Value::Null`] removes it.
    #[must_use]
    pub fn with_runtime(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut runtime = self.runtime();
        runtime.insert(key, value);
        self.0.insert("config", runtime);
        self
    }

    fn runtime(&self) -> Table {
        self.0
            .get("config")
            .and_then(Value::as_table)
            .cloned()
            .unwrap_or_default()
    }

    fn runtime_ref(&self) -> &Table {
        static EMPTY: Table = Table::new();
        self.0
            .get("config")
            .and_then(Value::as_table)
            .unwrap_or(&EMPTY)
    }

    fn same_variable(&self, a: &str, b: &str) -> bool {
        a == b || (self.os() == "windows" && a.eq_ignore_ascii_case(b))
    }
}

/// What JSON type a known key holds. `null` is always allowed and means absent.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Bool,
    Text,
    Texts,
    Table,
    Tables,
    TextMap,
}

impl Shape {
    fn fits(self, value: &Value) -> bool {
        let all = |items: &[Value], shape: Self| {
            items
                .iter()
                .all(|item| *item != Value::Null && shape.fits(item))
        };
        match (self, value) {
            (_, Value::Null)
            | (Self::Bool, Value::Bool(_))
            | (Self::Text, Value::String(_))
            | (Self::Table, Value::Table(_)) => true,
            (Self::Texts, Value::Array(items)) => all(items, Self::Text),
            (Self::Tables, Value::Array(items)) => all(items, Self::Table),
            (Self::TextMap, Value::Table(table)) => {
                table.iter().all(|(_, value)| Self::Text.fits(value))
            }
            _ => false,
        }
    }

    /// Whether a key of this shape is left out because it says nothing.
    fn is_empty(self, key: &str, value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Table(table) => table.is_empty() && key != "Healthcheck",
            _ => false,
        }
    }
}

fn check_shapes(path: &str, table: &Table, keys: &[(&str, Shape)]) -> Result<()> {
    match keys
        .iter()
        .find(|(key, shape)| table.get(key).is_some_and(|value| !shape.fits(value)))
    {
        Some((key, _)) => {
            let cause = format!("image configuration: {path}{key} has a value of the wrong type");
            Err(Error::new(ErrorKind::Corrupt, cause))
        }
        None => Ok(()),
    }
}

/// Known keys in order without those that say nothing (but `always`), then the unknown ones. Maps of the runtime
/// part are sorted.
fn ordered(table: &Table, keys: &[(&str, Shape)], always: &[&str]) -> Table {
    let sorted_maps = ["Labels", "Volumes", "ExposedPorts"];
    let known = keys
        .iter()
        .filter_map(|(key, shape)| Some((*key, shape, table.get(key)?)));
    let known =
        known.filter(|(key, shape, value)| always.contains(key) || !shape.is_empty(key, value));
    let known = known.map(|(key, _, value)| match sorted_maps.contains(&key) {
        true => (key, value.clone().sorted()),
        false => (key, value.clone()),
    });
    let unknown = table
        .iter()
        .filter(|(name, _)| keys.iter().all(|(key, _)| key != name));
    let unknown = unknown.map(|(key, value)| (key, value.clone()));
    known
        .chain(unknown)
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn label_table(labels: BTreeMap<&str, &str>) -> Table {
    labels
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect()
}

fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn texts<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a str> {
    table
        .get(key)
        .and_then(Value::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
}
