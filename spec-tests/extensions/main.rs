//! Image extensions in containers, with the images, mounts, users and flags that pack gives to phases: Debian packages on build and
//! run image, copied files, another run image, and a second build out of the cache (`make test-docker`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod images;

use images::{Images, USER, write};
use spec_tests::docker::Daemon;
use spec_tests::site::work_directory;
use spec_tests::subject::Outcome;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Debian's packages take their time on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The volumes of a build.
struct Volumes<'a> {
    daemon: &'a Daemon,
    images: &'a Images,
    dir: PathBuf,
}

impl<'a> Volumes<'a> {
    fn new(daemon: &'a Daemon, images: &'a Images, dir: &Path) -> Self {
        for name in ["kaniko", "layers", "workspace"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        write(&dir.join("workspace/page"), "page\n", 0o644);
        Self {
            daemon,
            images,
            dir: dir.to_owned(),
        }
    }

    /// Runs a phase in a container of `image`; what it prints.
    fn phase(&self, image: &str, user: &str, args: &[&str]) -> String {
        let user = format!("--user={user}");
        let mut command = self
            .daemon
            .docker(&["run", "--rm", "--network=host", &user]);
        for name in ["kaniko", "layers", "workspace"] {
            let volume = self.dir.join(name).display().to_string();
            command.arg(format!("--volume={volume}:/{name}"));
        }
        // pack makes an image of the run image and the lifecycle; a mount does as well.
        if image != self.images.builder {
            let lifecycle = self.images.lifecycle.display();
            command.arg(format!("--volume={lifecycle}:/cnb/lifecycle:ro"));
        }
        command.args(["--env=CNB_PLATFORM_API=0.13", image]);
        let (phase, args) = args.split_first().unwrap();
        command
            .arg(format!("/cnb/lifecycle/{phase}"))
            .arg("-no-color");
        command.args(args);
        let outcome = Outcome::within(LIMIT, &mut command).unwrap();
        assert_eq!(outcome.code, Some(0), "{phase}: {}", outcome.text);
        outcome.text
    }

    /// Builds the app from an empty layers directory; what the extenders print.
    fn build(&self) -> String {
        let layers = self.dir.join("layers");
        fs::remove_dir_all(&layers).unwrap();
        fs::create_dir(&layers).unwrap();
        chown(&layers, Some(USER), Some(USER)).unwrap();
        let (builder, app) = (self.images.builder.as_str(), self.images.app.as_str());
        let run_image = ["analyzer", "-run-image", &self.images.run, app];
        self.phase(builder, "0", &run_image);
        let user = format!("{USER}:{USER}");
        self.phase(builder, &user, &["detector", "-app", "/workspace"]);
        self.phase(builder, "0", &["restorer", "-build-image", builder]);
        let extends = layers.join("generated/package/build.Dockerfile").exists();
        let mut said = match extends {
            true => self.phase(builder, "0", &["extender", "-app", "/workspace"]),
            false => self.phase(builder, &user, &["builder", "-app", "/workspace"]),
        };
        let analyzed = fs::read_to_string(layers.join("analyzed.toml")).unwrap();
        let analyzed: toml::Table = analyzed.parse().unwrap();
        let run_image = &analyzed["run-image"];
        if run_image.get("extend").and_then(toml::Value::as_bool) == Some(true) {
            let image = run_image["image"].as_str().unwrap();
            let kind = ["extender", "-kind", "run", "-app", "/workspace"];
            said += &self.phase(image, "0", &kind);
        }
        self.phase(builder, "0", &["exporter", "-app", "/workspace", app]);
        self.daemon.output(&["pull", "--quiet", app]).unwrap();
        said
    }

    fn layers_of_app(&self) -> String {
        let image = self.daemon.inspect(&self.images.app).unwrap();
        image["RootFS"]["Layers"].to_string()
    }
}

#[test]
fn extensions_install_copy_and_switch() {
    let work = work_directory().unwrap();
    let daemon = Daemon::start(work.path()).unwrap();
    let images = Images::make(&daemon, &work.path().join("images"));
    let volumes = Volumes::new(&daemon, &images, &work.path().join("build"));

    let said = volumes.build();
    assert!(!said.contains("from the cache"), "{said}");
    // A program of the package, at build time and now; owner of the copied file; who ran what; the package's script.
    let expected = format!("hello\nbuild: hello {USER}\ncopied {USER}\n{USER}\ninstalled 42\npage");
    assert_eq!(daemon.run(&images.app, &[]).unwrap(), expected);
    let status = ["-c", "dpkg-query -W -f '${Status}' hello"];
    let shell = [
        "--rm",
        "--network=host",
        "--entrypoint=/bin/sh",
        &images.app,
    ];
    let status = daemon.output(&[&["run"], &shell[..], &status].concat());
    assert_eq!(status.unwrap(), "install ok installed");

    let layers = volumes.layers_of_app();
    let said = volumes.build();
    let cached = said.matches("Using the layer from the cache").count();
    assert_eq!(cached, 2, "{said}");
    assert_eq!(volumes.layers_of_app(), layers);
    assert_eq!(daemon.run(&images.app, &[]).unwrap(), expected);

    write(&volumes.dir.join("workspace/switch"), "", 0o644);
    let said = volumes.build();
    assert!(!said.contains("Applying"), "{said}");
    let expected = format!("build: none {USER}\nswitched\n{USER}\npage");
    assert_eq!(daemon.run(&images.app, &[]).unwrap(), expected);
}
