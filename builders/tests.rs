//! Definitions, and what a builder image of them says and holds.

use crate::definition::Definition;
use crate::image;
use crate::lifecycle::Lifecycle;
use lifecycle_core::error::Result;
use lifecycle_image::image::Image;
use release::archive;
use release::files::{Content, Entry, Files};
use std::fs;
use std::path::Path;

fn buildpack(id: &str, version: &str, api: &str, rest: &str) -> String {
    format!("api = \"{api}\"\n[buildpack]\nid = \"{id}\"\nversion = \"{version}\"\n{rest}")
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const BUILDER: &str = r#"
description = "Example"
order = [{ group = [{ id = "all" }] }, { group = [{ id = "a/b", version = "2", optional = true }] }]
order-extensions = [{ group = [{ id = "ext" }] }]
[[buildpacks]]
uri = "b"
[[buildpacks]]
uri = "all"
[[extensions]]
uri = "ext"
[[run.images]]
image = "run"
mirrors = ["mirror/run"]
"#;

/// The definition and modules of an example; `api` is a buildpack's Buildpack API.
fn example(at: &Path, builder: &str, api: &str) -> Result<Definition> {
    let targets = "[[targets]]\nos = \"linux\"\n";
    write(
        &at.join("b/buildpack.toml"),
        &buildpack("a/b", "2", api, targets),
    );
    write(&at.join("b/bin/build"), "#!/bin/sh\n");
    let order = "[[order]]\n[[order.group]]\nid = \"a/b\"\nversion = \"2\"\n";
    write(
        &at.join("all/buildpack.toml"),
        &buildpack("all", "1", "0.12", order),
    );
    let extension = "api = \"0.12\"\n[extension]\nid = \"ext\"\nversion = \"3\"\n";
    write(&at.join("ext/extension.toml"), extension);
    write(&at.join("builder.toml"), builder);
    Definition::read(&at.join("builder.toml"))
}

fn make(work: &Path, definition: &Definition, env: &str) -> Result<Image> {
    let layout = work.join("build");
    stacks::make(env, vec![stacks::Platform::host()], &layout)?;
    let mut files = Files::default();
    let descriptor = release::descriptor::lifecycle_toml();
    for (path, text) in [
        ("lifecycle.toml", descriptor.as_str()),
        ("lifecycle/lifecycle", "binary"),
    ] {
        files.insert(path, Entry::new(Content::Bytes(text.into())));
    }
    let path = work.join("archive.tgz");
    archive::write(&files, 0, &path)?;
    let architecture = stacks::Platform::host().architecture;
    let base = release::image::open_layout(&layout, architecture)?;
    image::builder(base, definition, Lifecycle::read(&path)?, work)
}

const ENV: &str = "env = [\"CNB_USER_ID=1000\", \"CNB_GROUP_ID=1001\"]";

#[test]
fn labels_say_what_platforms_read() {
    let work = tempfile::tempdir().unwrap();
    let definition = example(work.path(), BUILDER, "0.12").unwrap();
    let image = make(work.path(), &definition, ENV).unwrap();
    let label = |name: &str| image.config.label(name).unwrap().to_owned();
    assert_eq!(
        label("io.buildpacks.buildpack.order"),
        r#"[{"group":[{"id":"all","version":"1"}]},{"group":[{"id":"a/b","optional":true,"version":"2"}]}]"#
    );
    assert_eq!(
        label("io.buildpacks.buildpack.order-extensions"),
        r#"[{"group":[{"id":"ext","version":"3"}]}]"#
    );
    let layers = label("io.buildpacks.buildpack.layers");
    let target = r#""targets":[{"arch":"","os":"linux"}]"#;
    assert!(
        layers.contains(target) && layers.contains(r#""all":{"1":{"api":"0.12","#),
        "{layers}"
    );
    // Directories, lifecycle, three modules, order and run images over the build image.
    let layer = image.layers.get(image.layers.len() - 4).unwrap();
    assert!(layers.contains(&layer.diff_id.to_string()), "{layers}");
    let metadata = label("io.buildpacks.builder.metadata");
    for part in [
        r#""images":[{"image":"run","mirrors":["mirror/run"]}]"#,
        r#""extensions":[{"id":"ext","version":"3"}]"#,
        r#""version":"0.22"#,
        r#""0.15"]"#,
    ] {
        assert!(metadata.contains(part), "{part}: {metadata}");
    }
    assert_eq!(image.config.working_dir(), "/layers");
}

fn check_refused(builder: &str, api: &str, env: &str, expected: &str) {
    let work = tempfile::tempdir().unwrap();
    let image = example(work.path(), builder, api)
        .and_then(|definition| make(work.path(), &definition, env));
    let error = image.err().unwrap().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_could_not_work_is_refused() {
    let without = |part: &str| BUILDER.replace(part, "");
    check_refused(
        &format!("{BUILDER}[system]\n"),
        "0.12",
        ENV,
        "system is not supported",
    );
    check_refused(
        &without("[[run.images]]\nimage = \"run\"\nmirrors = [\"mirror/run\"]\n"),
        "0.12",
        ENV,
        "run.images",
    );
    check_refused(
        &without("[[buildpacks]]\nuri = \"b\"\n"),
        "0.12",
        ENV,
        "no module a/b of version '2'",
    );
    check_refused(
        &BUILDER.replace("uri = \"ext\"", "uri = \"docker://ext\""),
        "0.12",
        ENV,
        "is not a directory",
    );
    check_refused(BUILDER, "0.99", ENV, "Buildpack API '0.99'");
    check_refused(BUILDER, "0.12", "", "CNB_USER_ID");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (id, version) in [("..", "1"), ("a", ".."), ("a", "1/2"), ("", "1"), ("a", "")] {
        let work = tempfile::tempdir().unwrap();
        write(
            &work.path().join("buildpack.toml"),
            &buildpack(id, version, "0.12", ""),
        );
        let kind = lifecycle_core::data::ModuleKind::Buildpack;
        let error = crate::module::Module::read(kind, work.path()).unwrap_err();
        assert!(error.to_string().contains("unusable"), "{id}@{version}");
    }
}
