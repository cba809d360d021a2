//! `-dry-run` and `-check`: what would happen, and nothing does.

use crate::world::World;
use serde_json::Value;

/// A run that writes nothing, ends with `code` and says each of `lines`.
fn check(world: &World, args: &[&str], code: i32, lines: &[String]) {
    let (tags, seen) = (world.tags(), world.proxy.seen().len());
    let outcome = world.rebase(args);
    assert_eq!(outcome.code, Some(code), "{args:?}: {}", outcome.text);
    for line in lines {
        let found = outcome
            .text
            .lines()
            .any(|found| found.contains(line.as_str()));
        assert!(found, "{args:?}: {line}: {}", outcome.text);
    }
    assert_eq!(world.tags(), tags, "{args:?}");
    let requests = world.proxy.seen().split_off(seen);
    let reads = ["GET", "HEAD"];
    assert!(
        requests
            .iter()
            .all(|head| reads.contains(&head.method.as_str())),
        "{requests:?}"
    );
    assert!(!world.report().exists(), "{args:?}");
}

fn top_layer(config: &Value) -> String {
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap();
    layers.last().unwrap().as_str().unwrap().to_owned()
}

#[test]
fn what_would_change() {
    let world = World::new();
    let (app, run) = (world.name("app"), world.name("run"));
    let (tags, old) = (world.tags(), world.config(&run));
    let current = format!("{run}@{}", tags["run:latest"]);
    check(
        &world,
        &["-check", &app],
        0,
        &[format!("{app} is up to date with {current}")],
    );
    check(
        &world,
        &["-dry-run", &app],
        0,
        &[
            "is up to date already".into(),
            "Layers:    0 out, 0 in".into(),
        ],
    );

    world.publish(&run, "2", |definition| {
        let version = "\"io.buildpacks.base.distro.version\" = ";
        let labels = "[labels]\n\"io.buildpacks.base.released\" = \"today\"\n";
        let gone = "\"io.buildpacks.base.homepage\" = \"https://buildpacks.io\"\n";
        definition
            .replace(&format!("{version}\"1\""), &format!("{version}\"2\""))
            .replace("[labels]\n", labels)
            .replace(gone, "")
    });
    let newer = format!("{run}@{}", world.tags()["run:latest"]);
    check(
        &world,
        &["-check", &app],
        73,
        &[format!("rebase of {app} is due: from {current} to {newer}")],
    );
    let refused = [
        format!("Image:     {app}@{} is to be rebased", tags["app:latest"]),
        format!("Old base:  {current}"),
        format!("New base:  {newer}"),
        "Refused:   unable to satisfy target os/arch constraints".into(),
        "Layers:    2 out, 2 in".into(),
        "failed to rebase: unable to satisfy target".into(),
    ];
    check(&world, &["-dry-run", &app], 72, &refused);
    let new = world.config(&run);
    let changes = [
        format!("Old base:  {current}"),
        format!("New base:  {newer}"),
        "Forced:    unable to satisfy target os/arch constraints".into(),
        "Layers:    2 out, 2 in".into(),
        format!("- {}", top_layer(&old)),
        format!("+ {}", top_layer(&new)),
        "Label:     io.buildpacks.base.distro.version: 1 -> 2".into(),
        "Label:     io.buildpacks.base.released: (new) -> today".into(),
        "Label:     io.buildpacks.base.homepage: https://buildpacks.io -> (gone)".into(),
        format!(
            "Label:     io.buildpacks.lifecycle.metadata, runImage: {{\"topLayer\":\"{}\"",
            top_layer(&old)
        ),
        format!("-> {{\"topLayer\":\"{}\"", top_layer(&new)),
        format!("Names:     {app}, {app}:other"),
    ];
    check(
        &world,
        &["-dry-run", "-force", &app, &format!("{app}:other")],
        0,
        &changes,
    );

    let text = world.rebased(&["-force", &app]);
    assert!(
        text.contains("unable to satisfy target os/arch constraints"),
        "{text}"
    );
    std::fs::remove_file(world.report()).unwrap();
    check(
        &world,
        &["-check", &app],
        0,
        &[format!("is up to date with {newer}")],
    );
    // A mirror's name for the same image changes nothing that matters.
    world.copy(&run, &world.name("mirror"));
    check(
        &world,
        &["-check", "-run-image", &world.name("mirror"), &app],
        0,
        &["up to date".into()],
    );
}
