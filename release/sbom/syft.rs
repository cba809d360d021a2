//! Syft's own format, schema 16.

use crate::closure::{Closure, Component};
use serde_json::{Value, json};

pub(crate) fn document(closure: &Closure) -> Value {
    let parts = [&closure.root].into_iter().chain(&closure.components);
    let relationships = closure.dependencies.iter().flat_map(|(part, needs)| {
        needs
            .iter()
            .map(move |needed| json!({ "parent": needed, "child": part, "type": "dependency-of" }))
    });
    json!({
        "artifacts": parts.map(artifact).collect::<Vec<_>>(),
        "artifactRelationships": relationships.collect::<Vec<_>>(),
        "source": {
            "id": closure.id(),
            "name": closure.root.name,
            "version": closure.root.version,
            "type": "file",
            "metadata": {
                "path": closure.root.name,
                "digests": digests(&closure.root),
                "mimeType": "application/x-executable",
            },
        },
        "distro": {},
        "descriptor": { "name": "sbom", "version": env!("CARGO_PKG_VERSION") },
        "schema": {
            "version": "16.0.0",
            "url": "https://raw.githubusercontent.com/anchore/syft/main/schema/json/schema-16.0.0.json",
        },
    })
}

fn digests(part: &Component) -> Value {
    let digest = |sha256| json!({ "algorithm": "sha256", "value": sha256 });
    part.sha256.iter().map(digest).collect()
}

fn artifact(part: &Component) -> Value {
    let is_crate = part.purl.starts_with("pkg:cargo/");
    let (kind, language) = if is_crate {
        ("rust-crate", "rust")
    } else {
        ("binary", "")
    };
    let license = json!({
        "value": part.license,
        "spdxExpression": part.license,
        "type": "declared",
        "urls": [],
        "locations": [],
    });
    let cpes = part
        .cpe
        .iter()
        .map(|cpe| json!({ "cpe": cpe, "source": "declared" }));
    json!({
        "id": part.key(),
        "name": part.name,
        "version": part.version,
        "type": kind,
        "foundBy": "sbom",
        "locations": [],
        "licenses": [license],
        "language": language,
        "cpes": cpes.collect::<Vec<_>>(),
        "purl": part.purl,
    })
}
