//! Builds into a real Docker daemon, which the tests start on a socket and data root of their own (`make test-docker`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod build;
mod engines;
mod faults;
mod phases;
mod reach;
mod rebase;

use spec_tests::docker::Daemon;
use spec_tests::pack::{Build, RUN_IMAGE};
use spec_tests::site::work_directory;
use std::net::{SocketAddr, TcpListener};
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

/// A daemon that also listens at a TCP address, started with `args` besides.
fn set_up_tcp(args: &[&str]) -> (Setup, SocketAddr) {
    let work = work_directory().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let host = format!("--host=tcp://{address}");
    let daemon = Daemon::start_with(work.path(), &[&[host.as_str()], args].concat()).unwrap();
    daemon.make_run_image(RUN_IMAGE, "1").unwrap();
    let build = Build::new(&work.path().join("build"), &format!("tcp://{address}")).unwrap();
    let setup = Setup {
        daemon,
        build,
        work,
    };
    (setup, address)
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}
