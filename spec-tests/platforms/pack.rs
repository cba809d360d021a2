//! `pack` drives the sample builder: trusted (creator) and untrusted (phase by phase, in the lifecycle image), into the daemon and
//! into the registry, and reads back what was built.

use crate::place::{self, PAGE, Place, expect};
use serde_json::Value;
use spec_tests::subject::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(300);

struct Pack<'a> {
    place: &'a Place,
    program: PathBuf,
    app: PathBuf,
}

/// How a build differs from the others.
struct Build {
    image: &'static str,
    trusted: bool,
    publish: bool,
    args: &'static [&'static str],
    /// What the log must have, and what it must not have.
    has: &'static [&'static str],
    has_not: &'static [&'static str],
}

impl Pack<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env("DOCKER_HOST", self.place.daemon.host());
        command.env("PACK_HOME", self.place.work.path().join("pack"));
        command
    }

    /// Builds, checks the log, and returns the image's id in the daemon or digest in the registry.
    fn build(&self, build: &Build) -> String {
        let (builder, lifecycle, name) = (
            self.place.name("builder"),
            self.place.name("lifecycle"),
            self.place.name(build.image),
        );
        let mut command = self.command(&[
            "build",
            &name,
            "--builder",
            &builder,
            "--lifecycle-image",
            &lifecycle,
        ]);
        command
            .args(["--network", "host", "--docker-host", "inherit", "--path"])
            .arg(&self.app);
        command.args([
            "--pull-policy",
            "if-not-present",
            "--run-image",
            &self.place.name("run"),
        ]);
        if build.trusted {
            command.arg("--trust-builder");
        }
        if build.publish {
            command.arg("--publish");
        }
        let work = self.place.work.path().display().to_string();
        let registry = self.place.name("");
        let fill = |arg: &&str| {
            arg.replace("@WORK@", &work)
                .replace("@REGISTRY@/", &registry)
        };
        command.args(build.args.iter().map(fill));
        let log = Outcome::within(LIMIT, &mut command).unwrap();
        assert_eq!(log.code, Some(0), "{command:?}: {}", log.text);
        for text in build.has {
            assert!(log.text.contains(text), "no {text:?} in {}", log.text);
        }
        for text in build.has_not {
            assert!(!log.text.contains(text), "{text:?} in {}", log.text);
        }
        if build.publish {
            self.place.digest(build.image)
        } else {
            self.place.daemon.id(&self.place.name(build.image)).unwrap()
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        let text = expect(&mut self.command(args)).text;
        let start = text.find('{').unwrap_or_default();
        serde_json::from_str(text.get(start..).unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// The image that is built into the daemon. pack also looks for it in the registry that its name begins with.
const DAEMON_APP: &str = "apps/daemon";
const REUSED: &str = "Reusing layer 'samples/static-site:server'";
const ADDED: &str = "Adding layer 'samples/static-site:server'";

#[test]
fn pack() {
    let place = Place::new();
    let app = place.work.path().join("app");
    place.copy_app(&app);
    let pack = Pack {
        place: &place,
        program: place::pack(),
        app,
    };

    let into_daemon = |trusted, has, has_not| Build {
        image: DAEMON_APP,
        trusted,
        publish: false,
        args: &["--sbom-output-dir", "@WORK@/sbom"],
        has,
        has_not,
    };
    let first = pack.build(&into_daemon(
        true,
        &[ADDED, "===> ANALYZING", "===> EXPORTING"],
        &[REUSED],
    ));
    assert!(place.page_of(&place.name(DAEMON_APP)).contains(PAGE));
    let again = pack.build(&into_daemon(true, &[REUSED], &[ADDED]));
    assert_eq!(
        first, again,
        "a rebuild without changes gives the same image"
    );
    let untrusted = pack.build(&into_daemon(false, &[REUSED, "===> ANALYZING"], &[ADDED]));
    assert_eq!(first, untrusted, "phases and creator give the same image");
    assert!(
        place.work.path().join("sbom/launch").is_dir(),
        "no bills of materials were copied out"
    );

    let publish = |image, trusted, args, has, has_not| Build {
        image,
        trusted,
        publish: true,
        args,
        has,
        has_not,
    };
    let cached: &[&str] = &["--cache-image", "@REGISTRY@/apps/cache"];
    let first = pack.build(&publish("apps/registry", true, cached, &[ADDED], &[REUSED]));
    let again = pack.build(&publish(
        "apps/registry",
        false,
        cached,
        &[REUSED],
        &[ADDED],
    ));
    assert_eq!(first, again);
    assert!(!place.digest("apps/cache").is_empty());
    assert!(place.page("apps/registry").contains(PAGE));
    pack.build(&publish(
        "apps/registry",
        false,
        &[
            "--clear-cache",
            "--env",
            "GREETING=hello",
            "--tag",
            "@REGISTRY@/apps/second",
        ],
        &[],
        &[],
    ));
    assert_eq!(place.digest("apps/registry"), place.digest("apps/second"));

    extend(&pack, false);
    extend(&pack, true);
    inspect(&pack);
    bills_of_materials(&pack);
    rebase(&pack);
    failure(&pack);
}

/// A builder whose extension marks build and run image: the app image is on the marked one.
fn extend(pack: &Pack<'_>, publish: bool) {
    let image = if publish {
        "apps/extended-registry"
    } else {
        "apps/extended-daemon"
    };
    pack.build(&Build {
        image,
        trusted: false,
        publish,
        // The last of a flag's values counts.
        args: &[
            "--builder",
            "@REGISTRY@/extended",
            "--pull-policy",
            "always",
        ],
        has: &["RUN of build", ADDED],
        has_not: &[],
    });
    let name = pack.place.name(image);
    assert!(pack.place.page(image).contains(PAGE));
    let busybox = "/layers/samples_static-site/server/bin/busybox";
    let mut cat = pack.place.daemon.docker(&[
        "run",
        "--rm",
        "--network=host",
        "--entrypoint",
        busybox,
        &name,
        "cat",
        "/etc/mark",
    ]);
    assert_eq!(expect(&mut cat).text.trim(), "run");
}

fn inspect(pack: &Pack<'_>) {
    let description = pack.json(&["inspect", &pack.place.name(DAEMON_APP), "--output", "json"]);
    let local = &description["local_info"];
    assert_eq!(
        local["buildpacks"][0]["id"], "samples/static-site",
        "{description}"
    );
    assert_eq!(local["processes"][0]["type"], "web", "{description}");
    assert_eq!(local["processes"][0]["default"], true, "{description}");
    let builder =
        expect(&mut pack.command(&["builder", "inspect", &pack.place.name("builder")])).text;
    for text in ["samples/static-site", "0.22.0", "0.15"] {
        assert!(builder.contains(text), "no {text} in {builder}");
    }
}

fn bills_of_materials(pack: &Pack<'_>) {
    let directory = pack.place.work.path().join("downloaded");
    expect(
        pack.command(&[
            "sbom",
            "download",
            &pack.place.name(DAEMON_APP),
            "--output-dir",
        ])
        .arg(&directory),
    );
    let launcher =
        directory.join("layers/sbom/launch/buildpacksio_lifecycle/launcher/sbom.cdx.json");
    assert!(
        launcher.is_file(),
        "no {} among {:?}",
        launcher.display(),
        files(&directory)
    );
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// pack rebases by its own code, over the labels that we wrote.
fn rebase(pack: &Pack<'_>) {
    let place = pack.place;
    place.publish_newer("newer", "newer");
    let newer = place.name("newer");
    let app = place.name(DAEMON_APP);
    let before = place.daemon.id(&app).unwrap();
    expect(&mut pack.command(&[
        "rebase",
        &app,
        "--run-image",
        &newer,
        "--pull-policy",
        "if-not-present",
        "--force",
    ]));
    assert_ne!(place.daemon.id(&app).unwrap(), before);
    assert!(place.page_of(&place.name(DAEMON_APP)).contains(PAGE));
}

/// pack shows our exit code.
fn failure(pack: &Pack<'_>) {
    let empty = pack.place.work.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let mut command = pack.command(&[
        "build",
        "apps/none",
        "--builder",
        &pack.place.name("builder"),
        "--trust-builder",
    ]);
    command
        .args([
            "--network",
            "host",
            "--docker-host",
            "inherit",
            "--pull-policy",
            "if-not-present",
            "--run-image",
            &pack.place.name("run"),
            "--path",
        ])
        .arg(&empty);
    let log = Outcome::within(LIMIT, &mut command).unwrap();
    assert_eq!(log.code, Some(1), "{}", log.text);
    assert!(
        log.text.contains("failed with status code: 20"),
        "{}",
        log.text
    );
}
