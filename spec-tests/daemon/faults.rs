//! Daemons that are absent, refuse or die: the error names the endpoint and the cause, and the old image stays.

use crate::{Setup, has, set_up, set_up_tcp};
use spec_tests::docker::{Daemon, USER};
use spec_tests::net::proxy::{Fault, Head, Proxy, first};
use spec_tests::pack::{Build, RUN_IMAGE};
use spec_tests::site::work_directory;
use spec_tests::subject::Outcome;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const ARGS: [&str; 3] = ["-run-image", RUN_IMAGE, "samples/app"];

#[test]
fn an_absent_daemon_is_named() {
    let work = work_directory().unwrap();
    // Whoever builds cannot look into this directory, and has to hear what root saw there.
    let closed = work.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    for (host, code, cause) in [
        (
            format!("unix://{}/docker.sock", work.path().display()),
            32,
            ": no such file or directory",
        ),
        (
            format!("unix://{}/docker.sock", closed.display()),
            32,
            ": no such file or directory",
        ),
        ("tcp://127.0.0.1:1".to_owned(), 32, ": connection refused"),
        ("bogus".to_owned(), 1, "unable to parse docker host `bogus`"),
    ] {
        let build = Build::new(&work.path().join("build"), &host).unwrap();
        let outcome = build.phase("creator", &ARGS).unwrap();
        assert_eq!(outcome.code, Some(code), "{}", outcome.text);
        let reached = format!("cannot reach the docker daemon at {host}");
        has(
            &outcome.text,
            &[cause, if code == 32 { &reached } else { &host }],
        );
    }
}

#[test]
fn a_socket_that_lets_nobody_in_is_named() {
    let Setup {
        work: _work,
        daemon,
        build,
    } = set_up();
    fs::set_permissions(daemon.socket(), Permissions::from_mode(0o600)).unwrap();
    build
        .create(&ARGS)
        .expect("root opens it before it becomes nobody");
    build.begin().unwrap();
    let mut analyzer = build.command("analyzer", &ARGS);
    let outcome = Outcome::of(analyzer.uid(USER).gid(USER)).unwrap();
    assert_eq!(outcome.code, Some(32), "{}", outcome.text);
    let host = daemon.host();
    let cause = format!("cannot reach the docker daemon at {host}: permission denied");
    has(&outcome.text, &[&cause]);
}

#[test]
fn a_daemon_that_is_too_old_is_told_so() {
    let work = work_directory().unwrap();
    let old = |_: &Head| {
        let version = vec![("Api-Version", "1.40".to_owned())];
        Some(Fault::Answer(200, version, Vec::new()))
    };
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let daemon = Proxy::start(nowhere, old).unwrap();
    let host = format!("tcp://{}", daemon.address());
    let build = Build::new(&work.path().join("build"), &host).unwrap();
    for (phase, args, code) in [
        ("analyzer", &ARGS[..], 32),
        ("creator", &ARGS, 32),
        ("rebaser", &ARGS, 72),
    ] {
        let outcome = build.phase(phase, args).unwrap();
        assert_eq!(outcome.code, Some(code), "{phase}: {}", outcome.text);
        let cause = format!(
            "the docker daemon at {host}: API version 1.40 is too old: at least 1.41 is needed"
        );
        has(&outcome.text, &[&cause]);
    }
}

/// What a daemon does that fails at the end of an export, and what the error says.
#[test]
fn failed_loads_keep_the_old_image() {
    let (mut setup, address) = set_up_tcp(&["--tls=false"]);
    setup.build.create(&ARGS).unwrap();
    let old = setup.daemon.id("samples/app").unwrap();
    let cache = setup.build.dir.join("launch-cache/committed");
    let cached = || -> BTreeSet<_> {
        let entries = fs::read_dir(&cache).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let old_cache = cached();
    // A layer that the cache would take.
    let script = setup.build.dir.join("buildpacks/kept/1/bin/build");
    let text = fs::read_to_string(&script).unwrap();
    let text = text.replace("[ ! -e \"$1/kept.toml\" ]", "true");
    fs::write(script, text.replace("echo kept", "echo other")).unwrap();
    let answer = |status, text: &str| Fault::Answer(status, Vec::new(), text.into());
    let stream_error = "{\"stream\":\"Loading\"}\n{\"errorDetail\":{\"message\":\"disk on fire\"},\"error\":\"disk on fire\"}\n";
    let nothing = "{\"stream\":\"Loaded image\"}\n";
    for (method, target, fault, cause) in [
        (
            "POST",
            "/images/load",
            answer(200, stream_error),
            ": disk on fire",
        ),
        (
            "POST",
            "/images/load",
            answer(500, "{\"message\":\"no space\"}"),
            ": no space",
        ),
        ("POST", "/images/load", answer(500, "<html>"), "<html>"),
        (
            "POST",
            "/images/load",
            answer(200, nothing),
            "after loading it",
        ),
        (
            "POST",
            "/images/load",
            Fault::CutUpload(4000),
            "cannot reach",
        ),
        ("POST", "/images/load", Fault::LoseAnswer, "cannot reach"),
        (
            "POST",
            "/tag",
            answer(500, "{\"message\":\"no tags today\"}"),
            ": no tags today",
        ),
        (
            "GET",
            "/info",
            answer(403, "{\"message\":\"denied by plugin\"}"),
            ": denied by plugin",
        ),
    ] {
        let proxy = Proxy::start(address, first(99, method, target, fault)).unwrap();
        let host = format!("tcp://{}", proxy.address());
        setup.build.set_variable("DOCKER_HOST", &host);
        setup.build.begin().unwrap();
        let outcome = setup.build.phase("creator", &ARGS).unwrap();
        assert_eq!(outcome.code, Some(62), "{target} {}", outcome.text);
        has(&outcome.text, &[cause, &host]);
        assert_eq!(setup.daemon.id("samples/app").unwrap(), old, "{cause}");
        assert_eq!(cached(), old_cache, "{cause}");
    }
}

#[test]
fn a_full_disk_is_named() {
    let work = work_directory().unwrap();
    let data = work.path().join("data");
    fs::create_dir(&data).unwrap();
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
        .arg(&data);
    assert!(mount.status().unwrap().success());
    let daemon = Daemon::start(work.path()).unwrap();
    daemon.make_run_image(RUN_IMAGE, "1").unwrap();
    let build = Build::new(&work.path().join("build"), &daemon.host()).unwrap();
    build.create(&ARGS).unwrap();
    let old = daemon.id("samples/app").unwrap();
    let large = File::create(build.dir.join("app/large")).unwrap();
    large.set_len(128 << 20).unwrap();
    build.begin().unwrap();
    let outcome = build.phase("creator", &ARGS).unwrap();
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    has(&outcome.text, &["no space left on device", &daemon.host()]);
    assert_eq!(daemon.id("samples/app").unwrap(), old);

    fs::remove_file(build.dir.join("app/large")).unwrap();
    build.change_app("small").unwrap();
    build.create(&ARGS).expect("the daemon has room again");
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
