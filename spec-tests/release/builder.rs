//! Our builder image beside the one that `pack builder create` makes of the same definition, images and release.

use super::ARCHITECTURES;
use super::image::{push, run, skopeo};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use spec_tests::builder::repository;
use spec_tests::net::registry::Registry;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a builder consists of: files above the build image by path, and labels.
#[derive(Debug)]
struct Builder {
    files: BTreeMap<String, String>,
    labels: serde_json::Map<String, Value>,
}

impl Builder {
    /// Fetches the builder for amd64.
    fn fetch(name: &str, base_layers: usize, work: &Path) -> Self {
        let layout = work.join(name.replace(['/', ':'], "_"));
        let (from, to) = (
            format!("docker://{name}"),
            format!("oci:{}:latest", layout.display()),
        );
        skopeo(&[
            "--override-arch",
            "amd64",
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &from,
            &to,
        ]);
        let index: Value =
            serde_json::from_str(&fs::read_to_string(layout.join("index.json")).unwrap()).unwrap();
        let blob = |descriptor: &Value| -> PathBuf {
            let digest = descriptor["digest"].as_str().unwrap();
            layout.join("blobs").join(digest.replace(':', "/"))
        };
        let read = |descriptor: &Value| -> Value {
            serde_json::from_str(&fs::read_to_string(blob(descriptor)).unwrap()).unwrap()
        };
        let manifest = read(&index["manifests"][0]);
        let mut files = BTreeMap::new();
        for layer in &manifest["layers"].as_array().unwrap()[base_layers..] {
            let file = File::open(blob(layer)).unwrap();
            for entry in tar::Archive::new(MultiGzDecoder::new(file))
                .entries()
                .unwrap()
            {
                let entry = entry.unwrap();
                let header = entry.header();
                let kind = header.entry_type();
                // Nobody asks for the permissions of a link.
                let mode = match kind {
                    tar::EntryType::Symlink => 0,
                    _ => header.mode().unwrap(),
                };
                let link = entry.link_name().unwrap().unwrap_or_default();
                let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
                let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                let path = format!("/{}", path.trim_matches('/'));
                let size = entry.size();
                let link = link.display();
                files.insert(path, format!("{kind:?} {mode:o} {uid}:{gid} {size} {link}"));
            }
        }
        let config = read(&manifest["config"]);
        assert_eq!(config["config"]["WorkingDir"], "/layers");
        assert_eq!(config["config"]["User"], "1000:1000");
        Self {
            files,
            labels: config["config"]["Labels"].as_object().unwrap().clone(),
        }
    }

    /// The JSON in a label, without what makers of builders put in differently: digests, names of makers, what is empty.
    fn label(&self, name: &str) -> Value {
        let text = self.labels[&format!("io.buildpacks.{name}")]
            .as_str()
            .unwrap();
        let mut value: Value = serde_json::from_str(text).unwrap();
        if let Some(metadata) = value.as_object_mut() {
            metadata.remove("createdBy");
            // Ours has the first run image here, too, for platforms that don't know several.
            metadata.remove("stack");
            metadata.retain(|_, value| !value.is_null() && *value != serde_json::json!([]));
        }
        let modules = value.as_object_mut().into_iter().flatten();
        for (_, versions) in modules.filter(|_| name.ends_with("layers")) {
            for (_, module) in versions.as_object_mut().unwrap() {
                module
                    .as_object_mut()
                    .unwrap()
                    .remove("layerDiffID")
                    .unwrap();
            }
        }
        match value {
            Value::Null => serde_json::json!([]),
            value => value,
        }
    }
}

#[test]
fn pack_makes_the_same_builder() {
    let registry = Registry::open().unwrap();
    let work = tempfile::tempdir().unwrap();
    // pack speaks plain HTTP to this name only.
    let at = format!("localhost:{}", registry.address().port());
    push("stacks/tiny/build", &format!("{at}/samples/build:tiny"));
    for run_image in ["samples", "mirror"] {
        push("stacks/tiny/run", &format!("{at}/{run_image}/run:tiny"));
    }
    let here = repository();
    let text = fs::read_to_string(here.join("builders/tiny/builder.toml")).unwrap();
    let buildpacks = here.join("buildpacks").display().to_string();
    let text = text
        .replace("localhost:5000", &at)
        .replace("../../buildpacks", &buildpacks);
    let definition = work.path().join("builder.toml");
    fs::write(&definition, &text).unwrap();

    let layout = work.path().join("ours").display().to_string();
    let build_image = here.join("target/stacks/tiny/build").display().to_string();
    let mut arguments = vec![
        definition.display().to_string(),
        build_image,
        layout.clone(),
    ];
    for architecture in &ARCHITECTURES {
        arguments.push(format!(
            "{}={}",
            architecture.go,
            architecture.archive().display()
        ));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&here.join("target/debug/builder-image"), &arguments);
    let (ours, packs) = (format!("{at}/ours"), format!("{at}/packs"));
    skopeo(&[
        "copy",
        "--quiet",
        "--all",
        "--dest-tls-verify=false",
        &format!("oci:{layout}"),
        &format!("docker://{ours}"),
    ]);

    let archive = ARCHITECTURES[0].archive();
    let lifecycle = format!("\n[lifecycle]\nuri = \"{}\"\n", archive.display());
    fs::write(&definition, text + &lifecycle).unwrap();
    let pack = run(&here.join(".ci/pack"), &[]);
    let pack = Path::new(pack.trim());
    let config = definition.display().to_string();
    run(
        pack,
        &[
            "builder",
            "create",
            &packs,
            "--config",
            &config,
            "--publish",
            "--target",
            "linux/amd64",
        ],
    );

    // The build image: busybox, files, bill of materials.
    let ours = Builder::fetch(&ours, 3, work.path());
    let packs = Builder::fetch(&packs, 3, work.path());
    assert_eq!(ours.files, packs.files);
    for label in [
        "builder.metadata",
        "buildpack.order",
        "buildpack.order-extensions",
        "buildpack.layers",
        "extension.layers",
    ] {
        assert_eq!(ours.label(label), packs.label(label), "{label}");
    }
}
