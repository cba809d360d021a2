//! SPDX 2.3.

use crate::closure::{Closure, Component};
use serde_json::{Value, json};

/// `created`: when, as SPDX writes it.
pub(crate) fn document(closure: &Closure, created: &str) -> Value {
    let parts = [&closure.root].into_iter().chain(&closure.components);
    let describes = json!({
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": id(&closure.root.key()),
    });
    let needs = closure.dependencies.iter().flat_map(|(part, needs)| {
        needs.iter().map(move |needed| {
            json!({
                "spdxElementId": id(part),
                "relationshipType": "DEPENDS_ON",
                "relatedSpdxElement": id(needed),
            })
        })
    });
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": closure.root.name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{}", closure.root.name, closure.id()),
        "creationInfo": { "created": created, "creators": ["Tool: sbom"] },
        "packages": parts.map(package).collect::<Vec<_>>(),
        "relationships": std::iter::once(describes).chain(needs).collect::<Vec<_>>(),
    })
}

fn package(part: &Component) -> Value {
    let mut references = vec![json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": part.purl,
    })];
    references.extend(part.cpe.as_ref().map(|cpe| {
        json!({
            "referenceCategory": "SECURITY",
            "referenceType": "cpe23Type",
            "referenceLocator": cpe,
        })
    }));
    let checksums = part
        .sha256
        .iter()
        .map(|sha256| json!({ "algorithm": "SHA256", "checksumValue": sha256 }));
    json!({
        "SPDXID": id(&part.key()),
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": part.license,
        "copyrightText": "NOASSERTION",
        "checksums": checksums.collect::<Vec<_>>(),
        "externalRefs": references,
    })
}

/// Letters, digits, dots and hyphens are what an identifier may have.
fn id(key: &str) -> String {
    let allowed = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => character,
        _ => '-',
    };
    format!("SPDXRef-{}", key.chars().map(allowed).collect::<String>())
}
