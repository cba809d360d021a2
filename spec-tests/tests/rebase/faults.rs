//! Whatever fails on the way: every tag leads to what it led to.

use crate::world::World;
use spec_tests::net::proxy::{Fault, Head};
use std::fs;

#[test]
fn a_failed_rebase_leaves_every_tag() {
    let world = World::new();
    let (app, other) = (world.name("app"), world.name("other:1"));
    world.copy(&app, &other);
    world.publish(&world.name("run"), "2", |definition| definition);
    let before = world.tags();
    let steps = [
        ("GET", "/app/manifests/"),
        ("GET", "/app/blobs/"),
        ("GET", "/run/manifests/"),
        ("GET", "/run/blobs/"),
        ("POST", "/app/blobs/uploads/"),
        ("PUT", "/app/blobs/uploads/"),
        ("PUT", "/app/manifests/latest"),
    ];
    let and_other = [
        ("GET", "/other/manifests/"),
        ("POST", "/other/blobs/uploads/"),
        ("PUT", "/other/manifests/1"),
    ];
    let check = |names: &[&str], (method, part): (&'static str, &'static str), fault: &Fault| {
        let row = format!("{names:?}: {method} {part} {fault:?}");
        let fault = fault.clone();
        world.break_by(move |head: &Head| {
            let breaks = head.method == method && head.target.contains(part);
            breaks.then(|| fault.clone())
        });
        let _ = fs::remove_file(world.report());
        let outcome = world.rebase(names);
        world.mend();
        let row = format!("{row}: {}", outcome.text);
        assert!(matches!(outcome.code, Some(70..=79)), "{row}");
        assert_eq!(world.tags(), before, "{row}");
        assert!(!world.report().exists(), "{row}");
    };
    let refused = Fault::status(403);
    for step in steps {
        check(&[&app], step, &refused);
    }
    for step in steps.into_iter().chain(and_other) {
        check(&[&app, &other], step, &refused);
    }
    let again = vec![("Retry-After", "0".to_owned())];
    let passing = Fault::Answer(503, again, Vec::new());
    check(&[&app], ("PUT", "/app/manifests/latest"), &passing);
    check(&[&app, &other], ("PUT", "/other/manifests/1"), &passing);
    world.rebased(&[&app, &other]);
    let after = world.tags();
    assert_ne!(after["app:latest"], before["app:latest"]);
    assert_eq!(after["app:latest"], after["other:1"]);
}

#[test]
fn nothing_is_begun_that_cannot_be_reported() {
    let world = World::new();
    world.publish(&world.name("run"), "2", |definition| definition);
    let before = world.tags();
    let outcome = world.rebase(&["-report", "/proc/report.toml", &world.name("app")]);
    assert_eq!(outcome.code, Some(72), "{}", outcome.text);
    assert!(
        outcome.text.contains("/proc/report.toml"),
        "{}",
        outcome.text
    );
    assert_eq!(world.tags(), before);
}

/// The registry has done what it was asked for, and nobody heard of it.
#[test]
fn lost_answers_do_not_turn_success_into_failure() {
    let world = World::new();
    world.publish(&world.name("run"), "2", |definition| definition);
    world.break_by(|head| {
        let lost = head.method == "PUT" && head.target.contains("/manifests/");
        lost.then_some(Fault::LoseAnswer)
    });
    world.rebased(&[&world.name("app")]);
    let report: toml::Table = fs::read_to_string(world.report()).unwrap().parse().unwrap();
    assert_eq!(
        report["image"]["digest"].as_str().unwrap(),
        world.tags()["app:latest"]
    );
}
