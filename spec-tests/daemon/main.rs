//! Builds into a real Docker daemon, which the tests start on a socket and data root of their own (`make test-docker`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod build;
mod engines;
mod faults;
mod phases;

use spec_tests::docker::Daemon;
use spec_tests::pack::{Build, RUN_IMAGE};
use spec_tests::site::work_directory;
use tempfile::TempDir;

/// A daemon with a run image, and a build into it.
struct Setup {
    daemon: Daemon,
    build: Build,
    // Goes last: the daemon's files are in it.
    work: TempDir,
}

fn set_up() -> Setup {
    let work = work_directory().unwrap();
    let daemon = Daemon::start(work.path()).unwrap();
    daemon.make_run_image(RUN_IMAGE, "1").unwrap();
    let build = Build::new(&work.path().join("build"), &daemon.host()).unwrap();
    Setup {
        daemon,
        build,
        work,
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}
