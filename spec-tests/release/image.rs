//! Images pushed with skopeo: the lifecycle image.

use super::ARCHITECTURES;
use spec_tests::builder::repository;
use spec_tests::net::registry::Registry;
use spec_tests::subject::Outcome;
use std::path::Path;
use std::process::Command;

/// Runs a command that has to succeed and returns its output.
pub(super) fn run(program: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let outcome = Outcome::of(command.args(arguments)).unwrap();
    assert_eq!(outcome.code, Some(0), "{command:?}: {}", outcome.text);
    outcome.text
}

pub(super) fn skopeo(arguments: &[&str]) -> String {
    run(Path::new("skopeo"), arguments)
}

/// Pushes the layout `layout` in `target`, with all its platforms.
pub(super) fn push(layout: &str, name: &str) {
    let layout = repository().join("target").join(layout);
    let source = format!("oci:{}", layout.display());
    let to = format!("docker://{name}");
    skopeo(&[
        "copy",
        "--quiet",
        "--all",
        "--dest-tls-verify=false",
        &source,
        &to,
    ]);
}

#[test]
fn the_lifecycle_image_is_for_both_architectures() {
    let registry = Registry::open().unwrap();
    let name = format!("{}/lifecycle", registry.address());
    push("dist/lifecycle-image", &name);
    let name = format!("docker://{name}");
    for architecture in &ARCHITECTURES {
        let config = skopeo(&[
            "--override-arch",
            architecture.go,
            "inspect",
            "--tls-verify=false",
            "--config",
            &name,
        ]);
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["architecture"], architecture.go);
        assert_eq!(config["config"]["WorkingDir"], "/layers");
        assert_eq!(config["config"].get("User"), None);
        let labels = &config["config"]["Labels"];
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(labels["io.buildpacks.lifecycle.version"], version);
        let apis = labels["io.buildpacks.lifecycle.apis"].as_str().unwrap();
        assert!(
            apis.contains(r#""platform":{"deprecated":[],"supported":["0.7","0.8","0.9","0.10""#),
            "{apis}"
        );
        // Base and lifecycle: nothing may come after the lifecycle.
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 3);
        let last = config["history"].as_array().unwrap().last().unwrap();
        assert_eq!(last["created_by"], format!("lifecycle {version}"));
    }
}
