//! Docker's side.

use crate::output;
use crate::rows::Row;
use crate::tree::Tree;
use serde_json::Value;
use spec_tests::docker::Daemon;
use spec_tests::subject::Outcome;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The base images, which differ in their configuration.
const BASES: [(&str, &[&str]); 3] = [
    ("base", &["ENV PATH=/bin"]),
    (
        "entry",
        &[
            "ENV PATH=/bin BASE=b",
            "CMD [\"c\"]",
            "ENTRYPOINT [\"e\"]",
            "EXPOSE 80",
            "VOLUME /v",
            "WORKDIR /data",
        ],
    ),
    (
        "onbuild",
        &["ENV PATH=/bin", "ONBUILD RUN echo x > /onbuild"],
    ),
];

/// A daemon with the base images, and a client that builds with BuildKit.
pub(crate) struct There {
    daemon: Daemon,
    client: &'static str,
    context: PathBuf,
    work: PathBuf,
}

impl There {
    pub(crate) fn start(work: &Path, base: &Path, context: &Path) -> Self {
        let daemon = Daemon::start(work).unwrap();
        for (name, changes) in BASES {
            let mut import = daemon.docker(&["import"]);
            for change in changes {
                import.args(["-c", change]);
            }
            output(import.arg(base).arg(name).stdout(Stdio::piped()));
        }
        // Newer clients need a plug-in (docker-buildx); Debian's own client may be behind one of those.
        let builds = |client: &&str| {
            let mut build = build(client, &daemon);
            fs::write(work.join("Dockerfile"), "FROM base\nLABEL a=b\n").unwrap();
            build.arg("-f").arg(work.join("Dockerfile")).arg(context);
            Outcome::of(&mut build).is_ok_and(|outcome| outcome.code == Some(0))
        };
        let client = ["docker", "/usr/bin/docker"].into_iter().find(builds);
        Self {
            client: client.expect("a docker client that has BuildKit, or docker-buildx"),
            daemon,
            context: context.to_owned(),
            work: work.to_owned(),
        }
    }

    /// The configurations of the base images.
    pub(crate) fn configs(&self) -> BTreeMap<&'static str, Value> {
        let config = |name| self.daemon.inspect(name).unwrap()["Config"].take();
        BASES
            .iter()
            .map(|(name, _)| (*name, config(name)))
            .collect()
    }

    /// Builds a row's image, or says what docker said.
    pub(crate) fn build(&self, row: &Row) -> Result<(), String> {
        let dir = self.work.join("rows").join(row.tag());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("Dockerfile"), &row.dockerfile).unwrap();
        if !row.ignored.is_empty() {
            fs::write(dir.join("Dockerfile.dockerignore"), &row.ignored).unwrap();
        }
        let mut build = build(self.client, &self.daemon);
        for (name, value) in &row.args {
            build.args(["--build-arg", &format!("{name}={value}")]);
        }
        build.args(["-t", &row.tag(), "-f"]);
        build.arg(dir.join("Dockerfile")).arg(&self.context);
        let outcome = Outcome::of(&mut build).unwrap();
        match outcome.code {
            Some(0) => Ok(()),
            _ => Err(outcome.text),
        }
    }

    /// Every image that was built, by its tag: its files, given those of the base, and its configuration.
    pub(crate) fn images(&self, bottom: &Tree) -> BTreeMap<String, (Tree, Value)> {
        let list = ["image", "ls", "--format", "{{.Repository}}"];
        let names = self.daemon.output(&list).unwrap();
        let names: Vec<_> = names
            .lines()
            .filter(|name| name.starts_with("row-"))
            .collect();
        let saved = self.work.join("saved");
        fs::create_dir(&saved).unwrap();
        let mut save = self.daemon.docker(&["save"]);
        let mut save = save.args(names).stdout(Stdio::piped()).spawn().unwrap();
        let mut unpack = Command::new("tar");
        unpack.arg("-C").arg(&saved).arg("-xf").arg("-");
        output(unpack.stdin(save.stdout.take().unwrap()));
        assert!(save.wait().unwrap().success());
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(saved.join(name)).unwrap()).unwrap()
        };
        let manifest = read("manifest.json");
        let images = manifest.as_array().unwrap().iter().map(|image| {
            let mut tree = bottom.clone();
            for layer in image["Layers"].as_array().unwrap().iter().skip(1) {
                let layer = File::open(saved.join(layer.as_str().unwrap())).unwrap();
                tree.apply(layer).unwrap();
            }
            let config = read(image["Config"].as_str().unwrap())["config"].take();
            let tag = image["RepoTags"][0].as_str().unwrap();
            (tag.trim_end_matches(":latest").to_owned(), (tree, config))
        });
        images.collect()
    }
}

fn build(client: &str, daemon: &Daemon) -> Command {
    let mut command = Command::new(client);
    command.env("DOCKER_BUILDKIT", "1").stdin(Stdio::null());
    command.args(["--host", &daemon.host(), "build", "--network=none", "-q"]);
    command
}
