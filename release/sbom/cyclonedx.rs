//! CycloneDX 1.5.

use crate::closure::{Closure, Component};
use serde_json::{Value, json};

pub(crate) fn document(closure: &Closure) -> Value {
    let dependencies = closure.dependencies.iter();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{}", uuid(&closure.id())),
        "version": 1,
        "metadata": { "component": component(&closure.root, "application") },
        "components": closure.components.iter().map(|part| component(part, "library")).collect::<Vec<_>>(),
        "dependencies": dependencies.map(|(part, needs)| json!({ "ref": part, "dependsOn": needs })).collect::<Vec<_>>(),
    })
}

fn component(part: &Component, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": part.key(),
        "name": part.name,
        "version": part.version,
        "licenses": [{ "expression": part.license }],
        "purl": part.purl,
    });
    if let Some(sha256) = &part.sha256 {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    if let Some(cpe) = &part.cpe {
        component["cpe"] = json!(cpe);
    }
    component
}

/// The start of a hash as a UUID of version 8, which leaves the content to who makes it (RFC 9562).
fn uuid(hash: &str) -> String {
    let digits = |start: usize, end: usize| hash.get(start..end).unwrap_or_default();
    let parts = [
        digits(0, 8),
        digits(8, 12),
        digits(12, 15),
        digits(15, 18),
        digits(18, 30),
    ];
    let [a, b, c, d, e] = parts;
    format!("{a}-{b}-8{c}-8{d}-{e}")
}
