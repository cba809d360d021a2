//! Daemons that are absent, refuse or die: the error names the endpoint and the cause, and the old image stays.

use crate::{Setup, has, set_up};
use spec_tests::docker::Daemon;
use spec_tests::pack::{Build, RUN_IMAGE};
use spec_tests::site::work_directory;
use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

const ARGS: [&str; 3] = ["-run-image", RUN_IMAGE, "samples/app"];

#[test]
fn an_absent_daemon_is_named() {
    let work = work_directory().unwrap();
    let socket = format!("unix://{}", work.path().join("docker.sock").display());
    let refused = format!("cannot reach the docker daemon at {socket}: no such file or directory");
    for (host, code, cause) in [
        (socket.as_str(), 32, refused.as_str()),
        ("bogus", 1, "unable to parse docker host `bogus`"),
    ] {
        let build = Build::new(&work.path().join("build"), host).unwrap();
        let outcome = build.phase("creator", &ARGS).unwrap();
        assert_eq!(outcome.code, Some(code), "{}", outcome.text);
        has(&outcome.text, &[cause]);
    }
}

#[test]
fn a_daemon_that_dies_while_it_loads_keeps_the_old_image() {
    // In this order, as what is named last goes first.
    let Setup {
        work,
        daemon,
        build,
    } = set_up();
    build.create(&ARGS).unwrap();
    let old = daemon.id("samples/app").unwrap();

    // Large enough that the daemon is still unpacking when it is killed.
    let large = File::create(build.dir.join("app/large")).unwrap();
    large.set_len(3 << 30).unwrap();
    build.begin().unwrap();
    let temporary = work.path().join("data/tmp");
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            let loading = || fs::read_dir(&temporary).is_ok_and(|mut dir| dir.next().is_some());
            let deadline = Instant::now() + Duration::from_secs(60);
            while !loading() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            daemon.kill().unwrap();
        });
        build.phase("creator", &ARGS).unwrap()
    });
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    let cause = format!("cannot reach the docker daemon at {}", daemon.host());
    has(&outcome.text, &[&cause]);

    drop(daemon);
    let daemon = Daemon::start(work.path()).unwrap();
    assert_eq!(daemon.id("samples/app").unwrap(), old);
}
