//! Phases one by one, with the flags that pack gives them.

use crate::{has, set_up};
use serde_json::json;
use spec_tests::docker::Daemon;
use spec_tests::pack::{Build, RUN_IMAGE};

const ANALYZER: [&str; 5] = [
    "-run-image",
    RUN_IMAGE,
    "-tag",
    "samples/app:two",
    "samples/app",
];
const EXPORTER: [&str; 2] = ["samples/app", "samples/app:two"];

#[test]
fn phases_build_what_creator_builds() {
    let setup = set_up();
    check(&setup.daemon, &setup.build);
}

/// Builds phase by phase, again, and with creator.
pub(crate) fn check(daemon: &Daemon, build: &Build) {
    let text = build.build(&ANALYZER, &EXPORTER).unwrap();
    let id = daemon.id("samples/app").unwrap();
    let images = format!(
        "*** Images ({}):\n      samples/app\n      samples/app:two\n",
        &id[..12]
    );
    has(
        &text,
        &["Adding layer 'kept:kept'", "Saving samples/app...", &images],
    );
    assert_eq!(daemon.id("samples/app:two").unwrap(), id);
    let analyzed = build.document("analyzed.toml").unwrap();
    let run_image = daemon.id(RUN_IMAGE).unwrap();
    assert_eq!(
        analyzed["run-image"]["reference"].as_str(),
        Some(run_image.as_str())
    );
    let report = build.document("report.toml").unwrap();
    let tags = toml::toml! { tags = ["samples/app", "samples/app:two"] };
    assert_eq!(report["image"]["tags"], tags["tags"]);
    assert_eq!(report["image"]["image-id"].as_str(), Some(id.as_str()));

    let text = build.build(&ANALYZER, &EXPORTER).unwrap();
    let expected = [
        "Restoring metadata for \"kept:kept\" from app image",
        "Reusing layer 'kept:kept'",
    ];
    has(&text, &expected);
    assert_eq!(daemon.id("samples/app").unwrap(), id, "an unchanged app");
    assert_eq!(daemon.run("samples/app", &[]).unwrap(), "pagekept");

    daemon
        .output(&["rmi", "samples/app", "samples/app:two"])
        .unwrap();
    build
        .create(&["-run-image", RUN_IMAGE, "samples/app"])
        .unwrap();
    assert_eq!(daemon.id("samples/app").unwrap(), id, "creator's image");
}

#[test]
fn images_look_as_the_reference_leaves_them() {
    let mut setup = set_up();
    setup.build.set_variable("SOURCE_DATE_EPOCH", "1234567890");
    let (daemon, build) = (&setup.daemon, &setup.build);
    build.build(&ANALYZER, &EXPORTER).unwrap();
    let image = daemon.inspect("samples/app").unwrap();
    assert_eq!(image["Created"], "2009-02-13T23:31:30Z");
    assert_eq!(image["Os"], "linux");
    let config = &image["Config"];
    assert_eq!(config["Entrypoint"], json!(["/cnb/process/web"]));
    assert_eq!(config["Cmd"], json!(null));
    assert_eq!(config["User"], "65534");
    assert_eq!(config["WorkingDir"], json!(build.dir.join("app")));
    let layers = format!("CNB_LAYERS_DIR={}", build.dir.join("layers").display());
    let app = format!("CNB_APP_DIR={}", build.dir.join("app").display());
    let path = "PATH=/cnb/process:/cnb/lifecycle:/bin";
    let env = json!([
        path,
        layers,
        app,
        "CNB_PLATFORM_API=0.15",
        "CNB_DEPRECATION_MODE=quiet"
    ]);
    assert_eq!(config["Env"], env);
    let mut labels: Vec<_> = config["Labels"].as_object().unwrap().keys().collect();
    labels.sort();
    let expected = [
        "io.buildpacks.build.metadata",
        "io.buildpacks.exec-env",
        "io.buildpacks.lifecycle.metadata",
        "io.buildpacks.project.metadata",
        "samples.label",
    ];
    assert_eq!(labels, expected);
    let format = "{{.CreatedAt}} {{.CreatedBy}}";
    let history = [
        "history",
        "--no-trunc",
        "--human=false",
        "--format",
        format,
        "samples/app",
    ];
    let history = daemon.output(&history).unwrap();
    let history = history
        .lines()
        .map(|line| line.strip_prefix("2009-02-13T23:31:30Z").unwrap().trim());
    let expected = [
        "Buildpacks Process Types",
        "Buildpacks Launcher Config",
        "Buildpacks Application Launcher",
        "Application Layer",
        "Software Bill-of-Materials",
        "Layer: 'kept', Created by buildpack: kept@1",
        "",
    ];
    assert_eq!(history.collect::<Vec<_>>(), expected);
}
