mod cache;
mod scene;

use lifecycle_core::data::launch::{Label, Slice};
use lifecycle_image::cache::Cache;
use lifecycle_image::store::ImageStore;
use scene::{BOTH, CACHE, LAUNCH, Scene, process};
use std::fs;

#[test]
fn layers_are_taken_in_order() {
    let mut scene = Scene::new(&[
        ("l/f", "x"),
        ("l.toml", LAUNCH),
        ("c/f", "y"),
        ("c.toml", CACHE),
        ("b/f", ""),
        ("b.toml", BOTH),
    ]);
    scene.write("layers/sbom/launch/sbom.legacy.json", "null\n");
    scene.write("app/static/x", "s");
    scene.metadata.processes = vec![process("web")];
    scene.metadata.default_process_type = "web".to_owned();
    scene.metadata.slices = vec![Slice {
        paths: vec!["static".to_owned()],
    }];
    scene.metadata.labels = vec![Label {
        key: "k".to_owned(),
        value: "v".to_owned(),
    }];
    let (report, log) = scene.export();
    assert_eq!(
        report.unwrap().tags,
        [scene
            .path("layout/index.docker.io/library/app/latest")
            .to_str()
            .unwrap()]
    );
    let (log, digest) = log.split_once("*** Images (").unwrap();
    assert_eq!(
        log,
        "Adding layer 'a/b:b'\nAdding layer 'a/b:l'\nAdding layer 'buildpacksio/lifecycle:launch.sbom'\n\
         Added 2/2 app layer(s)\nAdding layer 'buildpacksio/lifecycle:launcher'\n\
         Adding layer 'buildpacksio/lifecycle:config'\nAdding layer 'buildpacksio/lifecycle:process-types'\n\
         Adding label 'io.buildpacks.lifecycle.metadata'\nAdding label 'io.buildpacks.build.metadata'\n\
         Adding label 'io.buildpacks.project.metadata'\nAdding label 'k'\nAdding label 'io.buildpacks.exec-env'\n\
         Setting default process type 'web'\nSaving DIR/layout/index.docker.io/library/app/latest...\n"
    );
    assert!(
        digest.ends_with("latest\nAdding cache layer 'a/b:b'\nAdding cache layer 'a/b:c'\n"),
        "{digest}"
    );
    let created_by = scene
        .image()
        .layers
        .into_iter()
        .map(|layer| layer.history.unwrap().created_by);
    assert_eq!(
        created_by.collect::<Vec<_>>(),
        [
            "made by hand",
            "Layer: 'b', Created by buildpack: a/b@1",
            "Layer: 'l', Created by buildpack: a/b@1",
            "Software Bill-of-Materials",
            "Application Slice: 1",
            "Application Slice: 2",
            "Buildpacks Application Launcher",
            "Buildpacks Launcher Config",
            "Buildpacks Process Types",
        ]
    );
    let (config, expected) = (
        scene.image().config,
        r#"["/cnb/process/web"],"Env":["PATH=/cnb/process:/cnb/lifecycle:/bin","#,
    );
    assert!(config.to_json().contains(expected), "{}", config.to_json());
    assert_eq!(
        (config.created(), config.label("keep"), config.label("k")),
        ("2020-01-01T00:00:00Z", Some("me"), Some("v"))
    );
}

#[test]
fn the_label_names_layers_and_run_image() {
    let mut scene = Scene::new(&[
        ("l/f", "x"),
        ("l.toml", BOTH),
        ("store.toml", "[metadata]\ns = 1\n"),
    ]);
    scene.metadata.processes = vec![process("task"), process("web")];
    scene.export().0.unwrap();
    let label = scene.label();
    // Digests of the reference's tars.
    let hex = |sha: &str| sha.split_at("sha256:".len() + 8).0.to_owned();
    assert_eq!(
        [hex(&label.launcher), hex(&label.process_types)],
        ["sha256:29ab6994", "sha256:50fb2458"]
    );
    let diff_ids: Vec<_> = scene
        .image()
        .layers
        .iter()
        .map(|layer| layer.diff_id.to_string())
        .collect();
    let record = label.buildpack("a/b").unwrap();
    let shas = [
        &record.layer("l").unwrap().sha,
        &label.app.as_ref().unwrap()[0],
        &label.launcher,
        &label.config,
        &label.process_types,
    ];
    assert_eq!(diff_ids[1..].iter().collect::<Vec<_>>(), shas);
    assert!(record.store.is_some() && record.layer("l").unwrap().cache);
    assert_eq!(label.run_image.top_layer, diff_ids[0]);
    assert_eq!(label.run_image.reference, scene.run.identifier);
    assert_eq!(
        (
            label.run_image.image.as_str(),
            label.stack.unwrap().image.as_str()
        ),
        ("run", "run")
    );
}

#[test]
fn unchanged_layers_are_reused() {
    let mut scene = Scene::new(&[
        ("same/f", "x"),
        ("same.toml", LAUNCH),
        ("new/f", "1"),
        ("new.toml", LAUNCH),
        ("gone/f", ""),
        ("gone.toml", LAUNCH),
    ]);
    scene.export().0.unwrap();
    scene.previous = scene.label();
    let before = scene
        .previous
        .buildpack("a/b")
        .unwrap()
        .layer("gone")
        .unwrap()
        .sha
        .clone();
    fs::remove_dir_all(scene.path("layers/a_b/gone")).unwrap();
    scene.write("layers/a_b/new/f", "2");
    let (report, log) = scene.export();
    report.unwrap();
    let said: Vec<_> = log.lines().take(6).collect();
    assert_eq!(
        said,
        [
            "Reusing layer 'a/b:gone'",
            "Adding layer 'a/b:new'",
            "Reusing layer 'a/b:same'",
            "Reused 1/1 app layer(s)",
            "Reusing layer 'buildpacksio/lifecycle:launcher'",
            "Reusing layer 'buildpacksio/lifecycle:config'",
        ]
    );
    assert_eq!(
        scene
            .label()
            .buildpack("a/b")
            .unwrap()
            .layer("gone")
            .unwrap()
            .sha,
        before
    );
}

#[test]
fn images_do_not_depend_on_threads() {
    let mut scene = Scene::new(&[
        ("a/f", "x"),
        ("a.toml", BOTH),
        ("b/f", "y"),
        ("b.toml", LAUNCH),
    ]);
    let large: String = (0..400_000).map(|n| format!("{n} ")).collect();
    scene.write("app/large", &large);
    let digest = |scene: &Scene| {
        scene
            .store
            .open("app")
            .unwrap()
            .map(|opened| opened.identifier)
    };
    scene.export().0.unwrap();
    let first = digest(&scene);
    scene.threads = 1;
    fs::remove_dir_all(scene.path("layout/index.docker.io/library/app")).unwrap();
    scene.export().0.unwrap();
    assert_eq!(digest(&scene), first);
}

fn check_failure(files: &[(&str, &str)], edit: impl FnOnce(&mut Scene), error: &str) {
    let mut scene = Scene::new(&[("ok/f", ""), ("ok.toml", BOTH)]);
    scene.export().0.unwrap();
    let (image, cache) = (
        scene.store.open("app").unwrap().unwrap().identifier,
        scene.cache().metadata().unwrap(),
    );
    for (name, content) in files {
        scene.write(&format!("layers/a_b/{name}"), content);
    }
    scene.write("layers/a_b/ok/f", "changed");
    edit(&mut scene);
    let failed = scene.export().0.unwrap_err().to_string();
    assert_eq!(
        failed.replace(&*scene.dir.path().to_string_lossy(), "DIR"),
        error
    );
    assert_eq!(scene.store.open("app").unwrap().unwrap().identifier, image);
    assert_eq!(scene.cache().metadata().unwrap(), cache);
    let left = fs::read_dir(scene.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.retain(|name| name != "launcher");
    left.sort();
    assert_eq!(left, ["app", "cache", "layers", "layout"]);
}

#[test]
fn failures_leave_the_old_image_and_the_old_cache() {
    let nothing = |_: &mut Scene| ();
    check_failure(
        &[("bad.toml", "[")],
        nothing,
        "failed to parse metadata for layers '[a/b:bad]'",
    );
    check_failure(
        &[("x.toml", BOTH)],
        nothing,
        "layer 'a/b:x' is cache=true but has no contents",
    );
    let unknown = "cannot reuse 'a/b:x', previous image has no metadata for layer 'a/b:x'";
    check_failure(&[("x.toml", LAUNCH)], nothing, unknown);
    let types = |name: &'static str| {
        move |scene: &mut Scene| scene.metadata.processes = vec![process(name)]
    };
    check_failure(
        &[],
        types(""),
        "creating layer '': type is required for all processes",
    );
    let text =
        r"creating layer '': invalid process type 'a/b': type may not contain characters '/><:|&\'";
    check_failure(&[], types("a/b"), text);
    check_failure(
        &[],
        types(".."),
        "creating layer '': invalid process type '..'",
    );
    let long = |scene: &mut Scene| scene.metadata.processes = vec![process(&"n".repeat(256))];
    let text = format!(
        "creating layer '': invalid process type '{}': longer than 255 bytes",
        "n".repeat(256)
    );
    check_failure(&[], long, &text);
    let default = |scene: &mut Scene| scene.default_process_type = Some("gone");
    check_failure(
        &[],
        default,
        "determining entrypoint: tried to set gone to default but it doesn't exist",
    );
    let slice = |scene: &mut Scene| {
        scene.metadata.slices = vec![Slice {
            paths: vec!["[a".to_owned()],
        }]
    };
    let text = "exporting app layers: creating app layers: failed to check if 'file' matches '[a': syntax error in pattern";
    check_failure(&[], slice, text);
    let launcher = |scene: &mut Scene| fs::remove_file(scene.path("launcher")).unwrap();
    let text = "creating layer 'buildpacksio/lifecycle:launcher': stat DIR/launcher: no such file or directory";
    check_failure(&[], launcher, text);
}
