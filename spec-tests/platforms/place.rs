//! Where platforms work: a daemon of our own, and a registry that has builder, run image and lifecycle.

use serde_json::{Map, Value};
use spec_tests::builder;
use spec_tests::docker::Daemon;
use spec_tests::net::registry::Registry;
use spec_tests::site;
use spec_tests::subject::Outcome;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The build user of the sample stacks.
pub(crate) const USER: u32 = 1000;
/// What the sample app's page says.
pub(crate) const PAGE: &str = "Hello from a static site";
/// How long any one command may take.
const LIMIT: Duration = Duration::from_secs(300);
const START_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Place {
    pub(crate) daemon: Daemon,
    registry: Registry,
    pub(crate) work: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let work = site::work_directory().unwrap();
        let place = Self {
            daemon: Daemon::start(work.path()).unwrap(),
            registry: Registry::open().unwrap(),
            work,
        };
        for (name, layout) in [
            ("builder", "builders/tiny"),
            ("extended", "builders/extended"),
            ("run", "stacks/tiny/run"),
            ("lifecycle", "dist/lifecycle-image"),
        ] {
            place.push(layout, name);
        }
        place
    }

    /// Copies the image of a layout in `target` into the registry.
    pub(crate) fn push(&self, layout: &str, name: &str) {
        let layout = builder::repository().join("target").join(layout);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--all", "--dest-tls-verify=false"]);
        skopeo.arg(format!("oci:{}", layout.display()));
        expect(skopeo.arg(format!("docker://{}", self.name(name))));
    }

    /// Pushes a newer version of the run image, by Docker: with one file more, which says `mark`.
    pub(crate) fn publish_newer(&self, name: &str, mark: &str) {
        let context = self.work.path().join("newer");
        fs::create_dir_all(&context).unwrap();
        fs::write(context.join("mark"), mark).unwrap();
        let dockerfile = format!("FROM {}\nCOPY mark /mark\nUSER {USER}\n", self.name("run"));
        fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        let (name, context) = (self.name(name), context.display().to_string());
        expect(&mut self.daemon.docker(&["build", "--tag", &name, &context]));
        expect(&mut self.daemon.docker(&["push", &name]));
    }

    /// The name of an image in the registry.
    pub(crate) fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.address())
    }

    pub(crate) fn digest(&self, image: &str) -> String {
        self.inspect(image, &["--format={{.Digest}}"])
    }

    pub(crate) fn labels(&self, image: &str) -> Map<String, Value> {
        let config: Value = serde_json::from_str(&self.inspect(image, &["--config"])).unwrap();
        config["config"]["Labels"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn architecture(&self, image: &str) -> String {
        let config: Value = serde_json::from_str(&self.inspect(image, &["--config"])).unwrap();
        config["architecture"].as_str().unwrap_or_default().into()
    }

    fn inspect(&self, image: &str, args: &[&str]) -> String {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false"]).args(args);
        let outcome = expect(skopeo.arg(format!("docker://{}", self.name(image))));
        outcome.text.trim().to_owned()
    }

    /// The paths in the image's last layer.
    pub(crate) fn last_layer(&self, image: &str) -> BTreeSet<String> {
        let directory = self.work.path().join("last-layer");
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--src-tls-verify=false"]);
        skopeo.arg(format!("docker://{}", self.name(image)));
        expect(skopeo.arg(format!("dir:{}", directory.display())));
        let manifest = fs::read(directory.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let digest = manifest["layers"]
            .as_array()
            .and_then(|layers| layers.last())
            .unwrap()["digest"]
            .as_str()
            .unwrap();
        let file = fs::File::open(directory.join(digest.trim_start_matches("sha256:"))).unwrap();
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
        let entries = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string());
        entries
            .map(|path| path.trim_matches('/').to_owned())
            .collect()
    }

    /// Copies the sample app, for the build user.
    pub(crate) fn copy_app(&self, to: &Path) {
        builder::copy(
            &builder::repository().join("buildpacks/apps/static-site"),
            to,
        )
        .unwrap();
        for path in [
            to.to_owned(),
            to.join("public"),
            to.join("public/index.html"),
        ] {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }

    /// The page that a container of the registry's image serves.
    pub(crate) fn page(&self, image: &str) -> String {
        self.page_of(&self.name(image))
    }

    /// The page that a container of the image serves.
    pub(crate) fn page_of(&self, image: &str) -> String {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let variable = format!("PORT={port}");
        let container = expect(&mut self.daemon.docker(&[
            "run",
            "--detach",
            "--network=host",
            "--env",
            &variable,
            image,
        ]))
        .text;
        let container = container
            .trim()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned();
        let deadline = Instant::now() + START_LIMIT;
        let page = loop {
            match get(port) {
                Ok(page) if !page.is_empty() => break page,
                _ if Instant::now() > deadline => panic!(
                    "{image}: {}",
                    expect(&mut self.daemon.docker(&["logs", &container])).text
                ),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        };
        expect(&mut self.daemon.docker(&["rm", "--force", &container]));
        page
    }
}

fn get(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

/// Where `pack` is; it is compiled if it has to be.
pub(crate) fn pack() -> PathBuf {
    let program = expect(Command::new("sh").arg(builder::repository().join(".ci/pack"))).text;
    program.trim().lines().last().unwrap_or_default().into()
}

/// Runs a command that has to succeed.
pub(crate) fn expect(command: &mut Command) -> Outcome {
    let outcome = Outcome::within(LIMIT, command).unwrap();
    assert_eq!(outcome.code, Some(0), "{command:?}: {}", outcome.text);
    outcome
}
