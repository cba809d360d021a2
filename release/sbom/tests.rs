//! The documents hold what their formats require, and the same for the same closure.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::closure::Closure;
use super::{DEFAULT_EPOCH, documents};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const TREE: &str = "0|launcher v0.22.0 (/src/launcher)|Apache-2.0|
1|old v1.0.0|MIT/Apache-2.0
2|parser v1.1.5+spec-1.1.0|MIT OR Apache-2.0
1|parser v1.1.5+spec-1.1.0|MIT OR Apache-2.0 (*)
";

fn closure() -> Closure {
    let checksums =
        ["old@1.0.0", "parser@1.1.5+spec-1.1.0"].map(|key| (key.to_owned(), "ab".repeat(32)));
    Closure::parse(TREE, &BTreeMap::from(checksums)).unwrap()
}

#[test]
fn trees_are_read() {
    let closure = closure();
    let parts: Vec<_> = closure
        .components
        .iter()
        .map(|part| (part.key(), part.license.as_str(), part.purl.as_str()))
        .collect();
    let expected = [
        (
            "old@1.0.0".to_owned(),
            "MIT OR Apache-2.0",
            "pkg:cargo/old@1.0.0",
        ),
        (
            "parser@1.1.5+spec-1.1.0".to_owned(),
            "MIT OR Apache-2.0",
            "pkg:cargo/parser@1.1.5%2Bspec-1.1.0",
        ),
    ];
    assert_eq!(parts, expected);
    assert_eq!(closure.root.purl, "pkg:generic/launcher@0.22.0");
    let needs = |key: &str| {
        closure.dependencies[key]
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        needs("launcher@0.22.0"),
        ["old@1.0.0", "parser@1.1.5+spec-1.1.0"]
    );
    assert_eq!(needs("old@1.0.0"), ["parser@1.1.5+spec-1.1.0"]);
    assert!(Closure::parse("", &BTreeMap::new()).is_err());
    assert!(Closure::parse("0|launcher", &BTreeMap::new()).is_err());
}

/// The values at the keys that `pointers` name exist, in each element of a list if `/*` stands for it.
#[track_caller]
fn check(document: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let (list, rest) = pointer.split_once("/*").unwrap_or((pointer, ""));
        let found = document.pointer(list);
        let elements = found.and_then(Value::as_array);
        match elements.filter(|_| pointer.contains("/*")) {
            Some(elements) => {
                assert!(!elements.is_empty(), "{pointer}");
                assert!(
                    elements
                        .iter()
                        .all(|element| element.pointer(rest).is_some()),
                    "{pointer}"
                );
            }
            None => assert!(found.is_some(), "{pointer}"),
        }
    }
}

fn texts(document: &Value, list: &str, key: &str) -> BTreeSet<String> {
    let elements = document.pointer(list).and_then(Value::as_array).unwrap();
    elements
        .iter()
        .map(|element| element.pointer(key).unwrap().as_str().unwrap().to_owned())
        .collect()
}

/// What the formats' JSON schemas require (bom-1.5, spdx-schema 2.3, syft 16.0.0).
#[test]
fn documents_have_what_is_required() {
    let [(_, cyclonedx), (_, spdx), (_, syft)] = documents(&closure(), DEFAULT_EPOCH);
    check(
        &cyclonedx,
        &[
            "/bomFormat",
            "/specVersion",
            "/version",
            "/metadata/component/name",
        ],
    );
    check(
        &cyclonedx,
        &[
            "/components/*/type",
            "/components/*/name",
            "/components/*/hashes/0/content",
            "/dependencies/*/ref",
        ],
    );
    let mut references = texts(&cyclonedx, "/components", "/bom-ref");
    references.insert("launcher@0.22.0".to_owned());
    assert_eq!(texts(&cyclonedx, "/dependencies", "/ref"), references);

    check(
        &spdx,
        &[
            "/SPDXID",
            "/creationInfo/created",
            "/creationInfo/creators/*",
            "/dataLicense",
            "/name",
        ],
    );
    check(
        &spdx,
        &[
            "/spdxVersion",
            "/documentNamespace",
            "/packages/*/SPDXID",
            "/packages/*/name",
        ],
    );
    check(
        &spdx,
        &[
            "/packages/*/downloadLocation",
            "/packages/*/externalRefs/0/referenceLocator",
        ],
    );
    check(
        &spdx,
        &[
            "/relationships/*/spdxElementId",
            "/relationships/*/relationshipType",
        ],
    );
    let ids = texts(&spdx, "/packages", "/SPDXID");
    assert_eq!(ids.len(), 3);
    assert!(texts(&spdx, "/relationships", "/relatedSpdxElement").is_subset(&ids));
    assert_eq!(spdx["creationInfo"]["created"], "1980-01-01T00:00:01Z");

    check(
        &syft,
        &[
            "/artifactRelationships/*/parent",
            "/artifactRelationships/*/child",
            "/artifactRelationships/*/type",
        ],
    );
    check(
        &syft,
        &[
            "/source/id",
            "/source/name",
            "/source/version",
            "/source/type",
            "/source/metadata",
            "/distro",
        ],
    );
    check(
        &syft,
        &[
            "/descriptor/name",
            "/descriptor/version",
            "/schema/version",
            "/schema/url",
        ],
    );
    for key in [
        "id",
        "name",
        "version",
        "type",
        "foundBy",
        "locations",
        "licenses",
        "language",
        "cpes",
        "purl",
    ] {
        check(&syft, &[&format!("/artifacts/*/{key}")]);
    }
    assert_eq!(
        documents(&closure(), DEFAULT_EPOCH),
        documents(&closure(), DEFAULT_EPOCH)
    );
}

/// The launcher as it is: its crates and what every static Rust program has in it.
#[test]
fn the_launchers_closure() {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let closure = Closure::of("launcher", &target, b"binary").unwrap();
    let names: Vec<_> = closure
        .components
        .iter()
        .map(|part| part.name.as_str())
        .collect();
    for name in ["lifecycle-core", "musl", "rust-std", "toml_parser"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(
        closure
            .components
            .iter()
            .all(|part| part.name == "lifecycle-core"
                || part.cpe.is_some()
                || part.sha256.is_some())
    );
    assert!(closure.root.sha256.is_some());
}
