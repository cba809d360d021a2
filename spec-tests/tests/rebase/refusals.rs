//! What an operator is told when an image cannot be rebased: image, operation, status, credentials, what to do.

use crate::world::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use spec_tests::net::registry::{Access, PASSWORD, Registry, Transport, USER};
use spec_tests::subject::Outcome;
use std::fs;

const METADATA: &str = "io.buildpacks.lifecycle.metadata";

/// A rebase that ends with `code`, having said each of `words`, and leaves every tag.
fn check(world: &World, args: &[&str], code: i32, words: &[&str]) {
    let before = world.tags();
    let outcome = world.rebase(args);
    assert_eq!(outcome.code, Some(code), "{args:?}: {}", outcome.text);
    for word in words {
        assert!(
            outcome.text.contains(word),
            "{args:?}: {word}: {}",
            outcome.text
        );
    }
    assert_eq!(world.tags(), before, "{args:?}");
}

fn labels(config: &mut Value) -> &mut Value {
    &mut config["config"]["Labels"]
}

/// Changes what the label says about the run image.
fn record(config: &mut Value, change: impl FnOnce(&mut Value)) {
    let label = &mut labels(config)[METADATA];
    let mut metadata: Value = serde_json::from_str(label.as_str().unwrap()).unwrap();
    change(&mut metadata);
    *label = metadata.to_string().into();
}

#[test]
fn images_that_cannot_be_rebased() {
    let world = World::new();
    let (app, run) = (world.name("app"), world.name("run"));
    let place = world.name("");
    check(
        &world,
        &[&run],
        72,
        &["failed to set app image", &run, METADATA, "built"],
    );
    check(
        &world,
        &[&world.name("none")],
        72,
        &[
            "access image to rebase",
            &world.name("none"),
            "no such name",
        ],
    );
    check(
        &world,
        &["-run-image", &world.name("none"), &app],
        1,
        &["access run image", &world.name("none"), "no such name"],
    );
    check(
        &world,
        &["-run-image", "127.0.0.1:9/run", &app],
        1,
        &["127.0.0.1:9/run", "reach registry", "connection refused"],
    );
    check(
        &world,
        &["127.0.0.1:9/app"],
        72,
        &["127.0.0.1:9/app", "reach registry", "connection refused"],
    );

    let odd = world.name("odd");
    let edit = |change: fn(&mut Value)| world.edit(&app, &odd, change);
    edit(|config| labels(config)[METADATA] = "{".into());
    check(
        &world,
        &[&odd],
        72,
        &["failed to set app image", METADATA, &odd],
    );
    edit(|config| {
        record(config, |metadata| {
            metadata["runImage"]["topLayer"] = format!("sha256:{}", "0".repeat(64)).into();
        })
    });
    check(
        &world,
        &[&odd],
        72,
        &["failed to rebase", "sha256:0000", "none of its", &odd, &run],
    );
    edit(|config| {
        record(config, |metadata| {
            metadata["runImage"]["topLayer"] = "../x".into()
        })
    });
    check(&world, &[&odd], 72, &["top layer", &odd]);
    edit(|config| {
        record(config, |metadata| {
            metadata["runImage"]["image"] = "".into();
            metadata["stack"]["runImage"]["image"] = "".into();
        })
    });
    check(&world, &[&odd], 72, &["-run-image is required", &odd]);
    edit(|config| labels(config)["io.buildpacks.rebasable"] = "false".into());
    check(
        &world,
        &[&odd],
        72,
        &["not marked as rebasable", "-force", &odd, &run],
    );
    // Platforms before 0.12 went by stacks.
    edit(|config| {
        let env = config["config"]["Env"].as_array_mut().unwrap();
        env.retain(|one| !one.as_str().unwrap().starts_with("CNB_PLATFORM_API="));
    });
    check(
        &world,
        &["-force", &odd],
        72,
        &["stack not defined on app image", &odd],
    );

    let other = world.name("arm");
    world.edit(&run, &other, |config| {
        config["architecture"] = "arm64".into()
    });
    check(
        &world,
        &["-run-image", &other, &app],
        72,
        &["arm64", "amd64", "-force", &app, &other],
    );
    world.publish(&other, "2", |definition| definition);
    check(
        &world,
        &["-run-image", &other, &app],
        72,
        &["not found in existing run image metadata", &place, "-force"],
    );
    let text = world.rebased(&["-force", "-run-image", &other, &app]);
    assert!(
        text.contains("not found in existing run image metadata"),
        "{text}"
    );
    let text = world.rebased(&["-run-image", &other, &app]);
    assert!(!text.contains("metadata"), "{text}");
}

#[test]
fn registries_that_refuse() {
    let guarded = Registry::start(Access::Htpasswd, Transport::Http).unwrap();
    let world =
        World::with_run_images(|near, _| vec![format!("{near}/run"), format!("{near}/mirror")]);
    let app = world.name("app");
    let run = format!("{}/run", guarded.address());
    let refusal = [
        "access run image",
        &run,
        "401",
        "no credentials found",
        "CNB_REGISTRY_AUTH",
    ];
    check(&world, &["-run-image", &run, &app], 1, &refusal);
    let told = |user: &str| {
        let header = STANDARD.encode(user);
        let auth = format!("{{\"{}\": \"Basic {header}\"}}", guarded.address());
        let mut command = world.command(&["-run-image", &run, &app]);
        let outcome = Outcome::of(command.env("CNB_REGISTRY_AUTH", auth)).unwrap();
        assert_eq!(outcome.code, Some(1), "{}", outcome.text);
        assert!(!outcome.text.contains(&header), "{}", outcome.text);
        outcome.text
    };
    let text = told("user:wrong");
    for word in [&run, "401", "credentials from CNB_REGISTRY_AUTH"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let text = told(&format!("{USER}:{PASSWORD}"));
    assert!(text.contains("not found"), "it only isn't there: {text}");
}

/// Takes a repository away from a registry.
fn lose(registry: &Registry, repository: &str) {
    let repositories = registry.blobs().with_file_name("repositories");
    fs::remove_dir_all(repositories.join(repository)).unwrap();
}

/// A mirror that lacks the image is passed over, and said to be.
#[test]
fn mirrors_without_the_image() {
    const DEAD: &str = "127.0.0.1:9/run";
    let world = World::with_run_images(|near, far| {
        let mirrors = [
            DEAD.to_owned(),
            format!("{far}/run"),
            format!("{near}/mirror"),
        ];
        [vec![format!("{near}/run")], mirrors.to_vec()].concat()
    });
    let app = world.name("app");
    let (run, mirror) = (world.name("run"), world.name("mirror"));
    let far = format!("{}/run", world.far.address());
    world.publish(&far, "2", |definition| definition);
    lose(&world.near, "run");
    let text = world.rebased(&[&app]);
    for word in [&run, &mirror, DEAD, "not found", "connection refused"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let config = world.config(&app);
    let label = config["config"]["Labels"][METADATA].as_str().unwrap();
    assert!(label.contains(&far), "{label}");

    world.publish(&mirror, "3", |definition| definition);
    let text = world.rebased(&[&app]);
    assert!(
        !text.contains(DEAD),
        "the same registry comes first: {text}"
    );
    lose(&world.near, "mirror");
    lose(&world.far, "run");
    let words = [
        "failed to find accessible run image",
        &run,
        &mirror,
        DEAD,
        &far,
        "not found",
    ];
    check(&world, &[&app], 72, &words);
}
