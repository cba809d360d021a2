//! What a rebase changes, and what travels for it.

use crate::world::{World, blobs};
use spec_tests::layout::Image;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// What the app prints when it is started from its unpacked image, as the image's user.
fn start(world: &World, name: &str) -> String {
    let work = TempDir::new().unwrap();
    let (layout, root) = (work.path().join("layout"), work.path().join("root"));
    world.fetch(name, &layout);
    let image = Image::open(&layout).unwrap();
    image.unpack(&root).unwrap();
    let variables = image.strings("Env");
    let output = Command::new("/usr/sbin/chroot")
        .arg(format!("--userspec={}", image.user()))
        .arg(&root)
        .args(image.strings("Entrypoint"))
        .env_clear()
        .envs(variables.iter().filter_map(|one| one.split_once('=')))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_rebase_in_a_registry_moves_metadata_alone() {
    let world = World::new();
    let app = world.name("app");
    assert!(start(&world, &app).contains("VERSION_ID=1\n"));
    world.publish(&world.name("run"), "2", |definition| definition);
    let before = world.manifest(&app);
    let old: BTreeSet<_> = blobs(&before).into_iter().collect();
    let seen = world.proxy.seen().len();
    world.rebased(&[&app]);

    let requests = world.proxy.seen().split_off(seen);
    let after = world.manifest(&app);
    let new: Vec<_> = blobs(&after)
        .into_iter()
        .filter(|blob| !old.contains(blob))
        .collect();
    let listed: Vec<_> = requests
        .iter()
        .map(|head| format!("{} {}", head.method, head.target))
        .collect();
    assert_eq!(
        new.len(),
        2,
        "the configuration, and the layer in which the versions differ"
    );
    assert!(requests.len() <= 6 + new.len(), "{listed:#?}");
    let layers = before["layers"]
        .as_array()
        .unwrap()
        .iter()
        .chain(after["layers"].as_array().unwrap());
    for layer in layers {
        let read = format!("GET /v2/app/blobs/{}", layer["digest"].as_str().unwrap());
        assert!(!listed.contains(&read), "{listed:#?}");
        assert!(
            !listed.contains(&read.replace("/app/", "/run/")),
            "{listed:#?}"
        );
    }
    let report: toml::Table = fs::read_to_string(world.report()).unwrap().parse().unwrap();
    assert_eq!(
        report["image"]["digest"].as_str().unwrap(),
        world.tags()["app:latest"]
    );

    assert!(start(&world, &app).contains("VERSION_ID=2\n"));
    world.publish(&world.name("run"), "1", |definition| definition);
    world.rebased(&[&app]);
    assert_eq!(world.manifest(&app), before, "there and back");
}

#[test]
fn layers_of_another_registry_travel_once() {
    let world = World::with_run_images(|_, far| vec![format!("{far}/run")]);
    let app = world.name("app");
    world.publish(&format!("{}/run", world.far.address()), "2", |definition| {
        definition
    });
    let uploads = || world.proxy.count("PUT", "/blobs/uploads/");
    let before = uploads();
    world.rebased(&[&app, &world.name("again"), &world.name("again:other")]);
    assert_eq!(
        uploads() - before,
        2,
        "one layer and the configuration, mounted wherever else they are"
    );
    assert!(start(&world, &app).contains("VERSION_ID=2\n"));
    let tags = world.tags();
    assert_eq!(tags["app:latest"], tags["again:latest"]);
    assert_eq!(tags["app:latest"], tags["again:other"]);

    let (before, patches) = (uploads(), world.proxy.count("PATCH", ""));
    world.rebased(&[&app]);
    assert_eq!(
        (uploads() - before, world.proxy.count("PATCH", "")),
        (1, patches),
        "the configuration"
    );
    assert_eq!(world.tags(), tags);
}

#[test]
fn the_image_rebased_need_not_be_the_one_written() {
    let world = World::new();
    world.publish(&world.name("run"), "2", |definition| definition);
    let old = world.tags();
    world.rebased(&[
        "-previous-image",
        &world.name("app"),
        &world.name("out:1"),
        &world.name("out:2"),
    ]);
    let tags = world.tags();
    assert_eq!(tags["app:latest"], old["app:latest"]);
    assert_ne!(tags["out:1"], old["app:latest"]);
    assert_eq!(tags["out:1"], tags["out:2"]);
    let report: toml::Table = fs::read_to_string(world.report()).unwrap().parse().unwrap();
    let names = [world.name("out:1"), world.name("out:2")].map(toml::Value::String);
    assert_eq!(report["image"]["tags"], toml::Value::Array(names.to_vec()));
}
