//! Builds that succeed.

use crate::{has, set_up};
use spec_tests::pack::RUN_IMAGE;
use std::fs;

const ON_RUN_IMAGE: [&str; 2] = ["-run-image", RUN_IMAGE];

#[test]
fn creator_builds_and_reuses() {
    let setup = set_up();
    let (daemon, build) = (&setup.daemon, &setup.build);
    let app = [
        &ON_RUN_IMAGE[..],
        &["-tag", "samples/app:two", "samples/app"],
    ]
    .concat();
    let text = build.create(&app).unwrap();
    let first = daemon.id("samples/app").unwrap();
    assert_eq!(daemon.id("samples/app:two").unwrap(), first);
    let images = format!("*** Images ({}):", &first[..12]);
    has(&text, &["Adding layer 'kept:kept'", &images]);
    let report = build.document("report.toml").unwrap();
    assert_eq!(report["image"]["image-id"].as_str(), Some(first.as_str()));
    let image = daemon.inspect("samples/app").unwrap();
    assert_eq!(image["Created"], "1980-01-01T00:00:01Z");
    assert_eq!(image["Config"]["Labels"]["samples.label"], "labelled");
    let history = [
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "samples/app",
    ];
    let expected = [
        "Layer: 'kept', Created by buildpack: kept@1",
        "Application Layer",
    ];
    has(&daemon.output(&history).unwrap(), &expected);
    assert_eq!(daemon.run("samples/app", &[]).unwrap(), "pagekept");
    let args = [
        "run",
        "--rm",
        "--network=host",
        "--entrypoint=/cnb/process/env",
        "-e",
        "FROM_USER=1",
    ];
    let env = daemon
        .output(&[&args[..], &["samples/app"]].concat())
        .unwrap();
    has(&env, &["FROM_BUILDPACK=value", "FROM_USER=1"]);

    let text = build
        .create(&[&ON_RUN_IMAGE[..], &["samples/app"]].concat())
        .unwrap();
    has(
        &text,
        &["Reusing layer 'kept:kept'", "Reused 1/1 app layer(s)"],
    );
    assert_eq!(daemon.id("samples/app").unwrap(), first, "an unchanged app");

    // The kept layer lies on other layers now, and only the cache or the daemon has it.
    daemon.make_run_image("samples/other", "2").unwrap();
    for cached in [true, false] {
        if !cached {
            fs::remove_dir_all(build.dir.join("launch-cache/committed")).unwrap();
        }
        let args = [
            "-run-image",
            "samples/other",
            "-previous-image",
            "samples/app:two",
            "samples/moved",
        ];
        has(
            &build.create(&args).unwrap(),
            &["Reusing layer 'kept:kept'"],
        );
        assert_eq!(daemon.run("samples/moved", &[]).unwrap(), "pagekept");
        daemon.output(&["rmi", "samples/moved"]).unwrap();
    }
}
