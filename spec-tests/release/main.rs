//! What `make release`, `make stacks` and `make builder` left in `target`: complete, for both architectures, and taken by the
//! tools that users take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builder;
mod image;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use spec_tests::builder::repository;
use spec_tests::site::{self, Site};
use spec_tests::subject::{Outcome, Subject};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PHASES: [&str; 8] = [
    "analyzer", "builder", "creator", "detector", "exporter", "extender", "rebaser", "restorer",
];
/// A quarter of the reference's archive, in bytes.
const MAX_SIZE: u64 = 26_700_000 / 4;

/// An architecture: the archive's word for it, Go's, and what runs its binaries here.
struct Architecture {
    name: &'static str,
    go: &'static str,
    emulator: &'static str,
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        name: "x86-64",
        go: "amd64",
        emulator: "qemu-x86_64-static",
    },
    Architecture {
        name: "arm64",
        go: "arm64",
        emulator: "qemu-aarch64-static",
    },
];

impl Architecture {
    fn archive(&self) -> PathBuf {
        let dist = repository().join("target/dist");
        let version = env!("CARGO_PKG_VERSION");
        dist.join(format!("lifecycle-v{version}+linux.{}.tgz", self.name))
    }

    /// What precedes a binary that shall be started under the name `name`.
    fn start(&self, name: &str) -> Vec<String> {
        let native = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        match self.go == native {
            true => Vec::new(),
            false => [self.emulator, "-0", name].map(str::to_owned).into(),
        }
    }

    /// Unpacks the archive into `directory` and returns where its binaries are.
    fn unpack(&self, directory: &Path) -> PathBuf {
        let file = File::open(self.archive()).unwrap();
        tar::Archive::new(MultiGzDecoder::new(file))
            .unpack(directory)
            .unwrap();
        directory.join("lifecycle")
    }
}

#[test]
fn archives_are_complete_and_small() {
    for architecture in &ARCHITECTURES {
        let path = architecture.archive();
        let bytes = fs::read(&path).unwrap();
        assert!((bytes.len() as u64) < MAX_SIZE, "{} bytes", bytes.len());
        let checksum = fs::read_to_string(format!("{}.sha256", path.display())).unwrap();
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(checksum.starts_with(&digest), "{checksum}");

        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(MultiGzDecoder::new(bytes.as_slice()))
            .entries()
            .unwrap()
        {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            let link = entry.link_name().unwrap().unwrap_or_default();
            let link = link.display().to_string();
            let name = entry.path().unwrap().display().to_string();
            found.insert(name, (header.mode().unwrap(), link));
        }
        let plain = |mode| (mode, String::new());
        let mut expected = BTreeMap::from([
            ("lifecycle.toml".to_owned(), plain(0o644)),
            ("lifecycle".to_owned(), plain(0o755)),
        ]);
        for program in ["lifecycle", "launcher"] {
            expected.insert(format!("lifecycle/{program}"), plain(0o755));
            for format in ["cdx", "spdx", "syft"] {
                let name = format!("lifecycle/{program}.sbom.{format}.json");
                expected.insert(name, plain(0o644));
            }
        }
        for phase in PHASES {
            let link = (0o777, "lifecycle".to_owned());
            expected.insert(format!("lifecycle/{phase}"), link);
        }
        assert_eq!(found, expected);
    }
}

#[test]
fn binaries_know_their_version_and_no_path_of_this_machine() {
    let source = Outcome::of(Command::new("sh").arg(repository().join("release/source"))).unwrap();
    let commit = source.text.split(' ').next().unwrap();
    let version = format!("{}+{commit}", env!("CARGO_PKG_VERSION"));
    for architecture in &ARCHITECTURES {
        let work = tempfile::tempdir().unwrap();
        let binaries = architecture.unpack(work.path());
        for phase in PHASES {
            let mut command = architecture.start(phase);
            command.push(binaries.join(phase).display().to_string());
            let mut command = {
                let mut words = command.into_iter();
                let mut started = Command::new(words.next().unwrap());
                started.args(words);
                started
            };
            command.arg("-version").env("CNB_PLATFORM_API", "0.15");
            let outcome = Outcome::of(&mut command).unwrap();
            assert_eq!(outcome.code, Some(0), "{phase}: {outcome:?}");
            assert_eq!(outcome.text.trim(), version, "{phase}");
        }
        let home = std::env::var("CARGO_HOME").unwrap_or_else(|_| ".cargo/registry".to_owned());
        for program in ["lifecycle", "launcher"] {
            let bytes = fs::read(binaries.join(program)).unwrap();
            for path in [repository().display().to_string(), home.clone()] {
                let there = bytes
                    .windows(path.len())
                    .any(|part| part == path.as_bytes());
                assert!(!there, "{program} for {}: {path}", architecture.go);
            }
        }
    }
}

/// The creator builds an app into a layout, and the launcher starts a command in what it built.
#[test]
fn every_architecture_builds_and_launches() {
    for architecture in &ARCHITECTURES {
        let work = site::work_directory().unwrap();
        let binaries = architecture.unpack(&work.path().join("release"));
        let subject = subject(architecture, &binaries, &work.path().join("subject"));
        let builder = spec_tests::builder::sample(&work.path().join("cnb")).unwrap();
        let site = Site::new(work.path(), builder).unwrap();
        let app = repository().join("buildpacks/apps/static-site");
        spec_tests::builder::copy(&app, &site.app).unwrap();
        site.make_run_image().unwrap();
        let outcome = Outcome::of(&mut site.creator(&subject).unwrap()).unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.text);
        let image = site.app_image().unwrap();
        image.verify().unwrap();
        let metadata = image.label("io.buildpacks.build.metadata").unwrap();
        assert!(metadata.contains(env!("CARGO_PKG_VERSION")), "{metadata}");

        let mut words = architecture.start("launcher").into_iter();
        let launcher = binaries.join("launcher");
        let mut launch = match words.next() {
            Some(emulator) => {
                let mut launch = Command::new(emulator);
                launch.args(words).arg(launcher);
                launch
            }
            None => Command::new(launcher),
        };
        launch
            .args(["--", "busybox", "echo", "launched"])
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_LAYERS_DIR", &site.layers)
            .env("CNB_APP_DIR", &site.app);
        let outcome = Outcome::of(&mut launch).unwrap();
        assert_eq!(outcome.text.trim(), "launched", "{}", architecture.go);
    }
}

/// A directory with the lifecycle as this machine can start it.
fn subject(architecture: &Architecture, binaries: &Path, directory: &Path) -> Subject {
    let start = architecture.start("creator");
    if start.is_empty() {
        return Subject::at(binaries).unwrap();
    }
    fs::create_dir_all(directory).unwrap();
    let script = format!(
        "#!/bin/sh\nexec {} {} \"$@\"\n",
        start.join(" "),
        binaries.join("lifecycle").display()
    );
    let creator = directory.join("creator");
    fs::write(&creator, script).unwrap();
    fs::set_permissions(&creator, Permissions::from_mode(0o755)).unwrap();
    fs::copy(binaries.join("launcher"), directory.join("launcher")).unwrap();
    Subject::at(directory).unwrap()
}
