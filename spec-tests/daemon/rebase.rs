//! Rebase inside the daemon.

use crate::{has, set_up};
use spec_tests::pack::RUN_IMAGE;
use std::fs;

#[test]
fn an_app_moves_to_a_newer_run_image() {
    let setup = set_up();
    let (daemon, build) = (&setup.daemon, &setup.build);
    build
        .create(&["-run-image", RUN_IMAGE, "samples/app"])
        .unwrap();
    let old = daemon.id("samples/app").unwrap();
    let layers = |name: &str| daemon.inspect(name).unwrap()["RootFS"]["Layers"].clone();
    let old_layers = layers("samples/app");
    let report = build.dir.join("layers/rebased.toml").display().to_string();
    let rebase = ["-report", &report, "-run-image", RUN_IMAGE];
    let names = ["samples/app", "samples/app:two"];

    // Nothing is newer yet.
    build
        .done("rebaser", &[&rebase[..], &names[..1]].concat())
        .unwrap();
    assert_eq!(layers("samples/app"), old_layers);
    build
        .create(&["-run-image", RUN_IMAGE, "samples/app"])
        .unwrap();

    daemon.make_run_image(RUN_IMAGE, "newer").unwrap();
    let text = build
        .done("rebaser", &[&rebase[..], &names].concat())
        .unwrap();
    let id = daemon.id("samples/app").unwrap();
    assert_ne!(id, old);
    assert_eq!(daemon.id("samples/app:two").unwrap(), id);
    let images = format!(
        "*** Images ({}):\n      samples/app\n      samples/app:two\n",
        &id[..12]
    );
    has(&text, &[&images]);
    let report: toml::Table = fs::read_to_string(&report).unwrap().parse().unwrap();
    assert_eq!(report["image"]["image-id"].as_str(), Some(id.as_str()));
    let new_layers = layers("samples/app");
    assert_eq!(new_layers[0], layers(RUN_IMAGE)[0]);
    assert_eq!(
        new_layers.as_array().unwrap()[1..],
        old_layers.as_array().unwrap()[1..]
    );
    assert_eq!(daemon.run("samples/app", &[]).unwrap(), "pagekept");
    let print = [
        "run",
        "--rm",
        "--network=host",
        "--entrypoint=/bin/busybox",
        "samples/app",
    ];
    let mark = daemon
        .output(&[&print[..], &["cat", "/mark"]].concat())
        .unwrap();
    assert_eq!(mark, "newer");

    // Under another name it is the same image.
    let previous = ["-previous-image", "samples/app", "samples/copy"];
    build
        .done("rebaser", &[&rebase[..], &previous].concat())
        .unwrap();
    assert_eq!(daemon.id("samples/copy").unwrap(), id);

    // The next build goes on from what was rebased.
    let text = build
        .create(&["-run-image", RUN_IMAGE, "samples/app"])
        .unwrap();
    has(&text, &["Reusing layer 'kept:kept'"]);
    assert_eq!(layers("samples/app"), new_layers);
}

#[test]
fn a_failed_rebase_leaves_the_app() {
    let setup = set_up();
    let (daemon, build) = (&setup.daemon, &setup.build);
    build
        .create(&["-run-image", RUN_IMAGE, "samples/app"])
        .unwrap();
    let id = daemon.id("samples/app").unwrap();
    daemon.make_run_image("samples/other", "other").unwrap();
    let report = build.dir.join("layers/report.toml").display().to_string();
    let other = "new base image 'samples/other' not found in existing run image metadata";
    for (run_image, app, code, cause) in [
        (
            "samples/absent",
            "samples/app",
            1,
            "failed to access run image",
        ),
        ("samples/other", "samples/app", 72, other),
        (
            RUN_IMAGE,
            "samples/absent",
            72,
            "failed to access image to rebase",
        ),
    ] {
        let outcome = build
            .phase(
                "rebaser",
                &["-report", &report, "-run-image", run_image, app],
            )
            .unwrap();
        assert_eq!(outcome.code, Some(code), "{}", outcome.text);
        has(&outcome.text, &[cause]);
        assert_eq!(daemon.id("samples/app").unwrap(), id, "{run_image}");
    }
    let forced = ["-force", "-run-image", "samples/other", "samples/app"];
    let text = build
        .done("rebaser", &[&["-report", &report], &forced[..]].concat())
        .unwrap();
    has(&text, &[other]);
    assert_ne!(daemon.id("samples/app").unwrap(), id);
}
