//! Properties that every document shares.

use super::analyzed::Analyzed;
use super::build::Build;
use super::descriptor::Descriptor;
use super::extend_config::ExtendConfig;
use super::group::Group;
use super::label::{CacheMetadata, LayersMetadata};
use super::launch::Launch;
use super::layer::LayerMetadata;
use super::metadata::{BuildMetadata, LauncherSource};
use super::order::Orders;
use super::plan::{BuildPlan, Plan};
use super::project::ProjectMetadata;
use super::run::RunImages;
use super::store::Store;
use super::system::System;
use super::*;
use crate::api::{BuildpackApi, PlatformApi};
use crate::value::{Table, Value};
use crate::{json, toml};
use proptest::prelude::*;
use std::path::Path;

/// Keys of documents, so that random tables have known keys with values of any type.
const KEYS: [&str; 40] = [
    "order",
    "group",
    "group-extensions",
    "order-extensions",
    "id",
    "version",
    "optional",
    "exec-env",
    "api",
    "homepage",
    "system",
    "pre",
    "buildpacks",
    "entries",
    "providers",
    "requires",
    "provides",
    "or",
    "name",
    "metadata",
    "types",
    "launch",
    "build",
    "cache",
    "processes",
    "command",
    "args",
    "direct",
    "slices",
    "paths",
    "labels",
    "image",
    "run-image",
    "target",
    "distro",
    "layers",
    "store",
    "app",
    "Buildpack",
    "targets",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::Float),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        prop_oneof![items, table(inner).prop_map(Value::from)]
    })
}

fn table(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Table> {
    let key = prop::sample::select(&KEYS[..]).prop_map(str::to_owned);
    prop::collection::vec((key, values), 0..5).prop_map(|entries| entries.into_iter().collect())
}

/// What is read and written again is the same from then on.
fn settles<T>(
    text: &str,
    parse: impl Fn(&str) -> crate::error::Result<T>,
    write: impl Fn(&T) -> String,
) {
    if let Ok(document) = parse(text) {
        let written = write(&document);
        let again = parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
        assert_eq!(write(&again), written);
    }
}

fn read_all_toml(text: &str) {
    let launcher = LauncherSource::default();
    for api in [PlatformApi::V0_9, PlatformApi::V0_15] {
        settles(
            text,
            |text| BuildMetadata::parse(text, api),
            |metadata| {
                metadata.to_label_json(api, &launcher);
                metadata.to_toml(api)
            },
        );
    }
    for api in [BuildpackApi::V0_7, BuildpackApi::V0_12] {
        let _ = Launch::parse(text, api);
    }
    for kind in [ModuleKind::Buildpack, ModuleKind::Extension] {
        let _ = Descriptor::parse(text, kind);
    }
    settles(text, Analyzed::parse, Analyzed::to_toml);
    settles(text, Group::parse, Group::to_toml);
    settles(text, Plan::parse, Plan::to_toml);
    settles(text, Store::parse, Store::to_toml);
    let layer = |text: &str| LayerMetadata::parse(text, Path::new("x.toml"));
    settles(text, layer, |layer| {
        LayerMetadata::metadata_to_toml(layer.metadata.as_ref())
    });
    read_exec_d(text.into());
    let _ = ProjectMetadata::parse(text).map(|metadata| metadata.to_json());
    let _ = (
        Build::parse(text),
        BuildPlan::parse(text),
        ExtendConfig::parse(text),
        Orders::parse(text),
    );
    let _ = (
        RunImages::parse_run(text),
        RunImages::parse_stack(text),
        System::parse(text),
    );
}

fn read_all_json(text: &str) {
    settles(text, LayersMetadata::parse_json, LayersMetadata::to_json);
    settles(text, CacheMetadata::parse_json, CacheMetadata::to_json);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,64}") {
        read_all_toml(&text);
        read_all_json(&text);
    }

    #[test]
    fn any_table_is_read_or_refused(table in table(value())) {
        read_all_toml(&toml::to_string(&table));
        read_all_json(&json::to_string(&Value::Table(table)));
    }

    #[test]
    fn damaged_documents_are_read_or_refused(
        document in prop::sample::select(&DOCUMENTS),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8_usize, prop::sample::select(&PIECES)), 1..6),
    ) {
        let mut text: Vec<char> = document.chars().collect();
        for (place, removed, inserted) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        read_all_toml(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_output_of_exec_d_is_read_or_refused(output in prop::collection::vec(any::<u8>(), 0..64)) {
        read_exec_d(output);
    }
}

/// Documents as they are, to be damaged.
const DOCUMENTS: [&str; 3] = [
    r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "a/b"
  version = "1"
  api = "0.12"

[[processes]]
  type = "web"
  command = ["start", "x y"]
  args = ["$PORT"]
  direct = true
  buildpack-id = "a/b"
  working-dir = "/w"
  exec-env = ["*"]

[[slices]]
  paths = ["a/*"]

[[labels]]
  key = "k"
  value = "v"
"#,
    "PORT = \"8080\"\n\"odd key\" = \'\'\'two\nlines\'\'\'\nLAST = \"\\u00e9\\n\"\n",
    "[types]\nlaunch = true\n[metadata]\nlist = [1, 2.5, 1979-05-27T07:32:00Z, {a.b = -0x7}]\n",
];

/// What means something in TOML, or nothing at all.
const PIECES: [&str; 24] = [
    "",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "\"\"\"",
    "\\u0000",
    "\\",
    "#",
    "\n",
    "\0",
    "é",
    "1e999",
    "inf",
    "true",
    "type = \"web\"\n",
    "[[processes]]\n",
];

fn read_exec_d(output: Vec<u8>) {
    for (name, value) in exec_d::parse(output).unwrap_or_default() {
        assert!(!name.contains('\0') && !value.contains('\0'));
    }
}
