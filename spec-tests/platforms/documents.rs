//! The commands of the documentation, those that push to registries and read from them: as they stand there, with a registry of ours
//! for `registry.example` and `registry.example.com`. Lines that call make are `.ci/run`'s.

use crate::place::{self, PAGE, Place, USER, expect};
use spec_tests::builder::{self, repository};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::process::Command;

/// Below it are the images of the documentation, in the registry.
const NAMES: &str = "documents";

/// What is typed in a checkout where `make release`, `make stacks` and `make builder` have been run.
#[test]
fn pushes() {
    let place = Place::new();
    let checkout = place.work.path().join("checkout");
    prepare_checkout(&place, &checkout);
    let pack = place::pack();
    let path = format!(
        "{}:{}",
        pack.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    // skopeo speaks TLS to every registry but those that this file names.
    let registries = place.work.path().join(".config/containers/registries.conf");
    fs::create_dir_all(registries.parent().unwrap()).unwrap();
    let location = place.name("");
    let location = location.trim_end_matches('/');
    let insecure = format!("[[registry]]\nlocation = {location:?}\ninsecure = true\n");
    fs::write(&registries, insecure).unwrap();

    for (page, block, image, label) in [
        ("README.md", 1, "builder", BUILDER_LABEL),
        ("stacks/README.md", 0, "run:tiny", "io.buildpacks.base.id"),
        ("builders/README.md", 0, "builder:tiny", BUILDER_LABEL),
        ("builders/README.md", 1, "builder:tiny", BUILDER_LABEL),
        ("docs/release.md", 1, "lifecycle:0.22.0", BUILDER_LABEL),
    ] {
        let mut sh = Command::new("sh");
        sh.args(["-eu", "-c", &commands(&place, page, block)]);
        sh.current_dir(&checkout).env("PATH", &path);
        sh.env("HOME", place.work.path());
        sh.env("PACK_HOME", place.work.path().join("pack"));
        expect(sh.env("DOCKER_HOST", place.daemon.host()));
        let image = format!("{NAMES}/{image}");
        let labels = place.labels(&image);
        assert!(labels.contains_key(label), "{page} {block}: {labels:?}");
    }
}

const BUILDER_LABEL: &str = "io.buildpacks.builder.metadata";

/// What is typed where a builder's programs are: in its container.
#[test]
fn builds_and_rebases() {
    let place = Place::new();
    let work = place.work.path().join("work");
    place.copy_app(&work.join("app"));
    fs::create_dir(work.join("layers")).unwrap();
    let script = |text: &str| {
        for path in [work.clone(), work.join("layers")] {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
        let (user, volume) = (
            format!("{USER}:{USER}"),
            format!("{}:/work", work.display()),
        );
        expect(&mut place.daemon.docker(&[
            "run",
            "--rm",
            "--network=host",
            "--user",
            &user,
            "--volume",
            &volume,
            "--workdir=/work",
            "--env=CNB_PLATFORM_API=0.15",
            "--env=PATH=/cnb/lifecycle:/bin",
            "--entrypoint=/bin/sh",
            &place.name("builder"),
            "-euc",
            text,
        ]))
        .text
    };
    let block = |page, number| script(&commands(&place, page, number));

    // The names that the command gives are the user's own files.
    let run = repository().join("target/stacks/tiny/run");
    builder::copy(&run, &work.join("run")).unwrap();
    script(
        "mkdir -p out/index.docker.io/library/run && cp -r run out/index.docker.io/library/run/latest",
    );
    script(
        "cp -r /cnb/buildpacks buildpacks && cp /cnb/order.toml order.toml && cp /cnb/lifecycle/launcher launcher",
    );
    let log = block("docs/buildpack-authors.md", 1);
    assert!(
        log.contains("*** Images (out/index.docker.io/library/myapp/latest"),
        "{log}"
    );
    assert!(
        work.join("out/index.docker.io/library/myapp/latest/index.json")
            .is_file()
    );

    let run = format!("{NAMES}/run");
    place.publish_newer(&run, "first");
    let (image, mirror) = (place.name(&run), place.name(&format!("{run}:jammy")));
    let images = format!("[[images]]\nimage = {image:?}\nmirrors = [{mirror:?}]\n");
    fs::write(work.join("run.toml"), images).unwrap();
    for name in ["shop/web", "app"] {
        let image = place.name(&format!("{NAMES}/{name}"));
        script(&format!(
            "rm -rf layers/* && creator -app app -layers layers -run run.toml {image}"
        ));
    }
    place.publish_newer(&run, "second");
    place.publish_newer(&format!("{run}:jammy"), "jammy");
    let digest = |name: &str| place.digest(&format!("{NAMES}/{name}"));
    let before = (digest("shop/web"), digest("app"));
    let log = block("docs/operators.md", 0);
    assert!(log.contains("Saving"), "{log}");
    assert_ne!(digest("app"), before.1);
    let log = block("docs/rebase.md", 0);
    assert_eq!(log.matches("Saving").count(), 3, "{log}");
    assert_ne!(digest("shop/web"), before.0);
    // The first is on the mirror now, the other on what the run image's name leads to.
    assert_ne!(digest("shop/web:rebased"), digest("shop/web"));

    let images = ["app", "none", "shop/web"].map(|name| place.name(&format!("{NAMES}/{name}")));
    fs::write(work.join("images"), images.join("\n") + "\n").unwrap();
    place.publish_newer(&run, "third");
    let before = digest("app");
    block("docs/rebase.md", 1);
    assert_ne!(digest("app"), before);
    let failed = fs::read_to_string(work.join("not-rebased")).unwrap();
    assert_eq!(failed.trim(), images[1]);
    assert!(place.page(&format!("{NAMES}/app")).contains(PAGE));
}

/// The commands of a page's block but make's, with the names of images that the registry has.
fn commands(place: &Place, page: &str, block: usize) -> String {
    let text = fs::read_to_string(repository().join(page)).unwrap();
    let block = text.split("```sh\n").nth(block + 1).unwrap();
    let lines = block.split("```").next().unwrap().lines();
    let names = place.name(&format!("{NAMES}/"));
    lines
        .filter(|line| !line.starts_with("make "))
        .map(|line| {
            line.replace("registry.example.com/", &names)
                .replace("registry.example/", &names)
                + "\n"
        })
        .collect()
}

/// A checkout as far as the commands go, whose `target` is this one's, and `builder.toml` as the reader's own.
fn prepare_checkout(place: &Place, checkout: &Path) {
    for directory in ["builders", "buildpacks"] {
        builder::copy(&repository().join(directory), &checkout.join(directory)).unwrap();
    }
    symlink(repository().join("target"), checkout.join("target")).unwrap();
    let definition = checkout.join("builders/tiny/builder.toml");
    let text = fs::read_to_string(&definition).unwrap();
    let text = text.replace("localhost:5000/", &place.name(""));
    fs::write(&definition, &text).unwrap();
    fs::write(checkout.join("builder.toml"), text.replace("../../", "")).unwrap();
    for (layout, name) in [
        ("build", "samples/build:tiny"),
        ("run", "samples/run:tiny"),
        ("run", "mirror/run:tiny"),
    ] {
        place.push(&format!("stacks/tiny/{layout}"), name);
    }
}
