//! The sample buildpacks build their apps, and the apps serve their pages from the images.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::print_stdout)]

use spec_tests::builder;
use spec_tests::server::{Place, Server};
use spec_tests::site::{self, Site};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The app finds it there as well, or brings it along.
const BUSYBOX: &str = "PATH=/usr/bin:/bin; busybox httpd --help";
/// Compilers take their time on a loaded machine.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn rust() {
    check("rust", "cargo --version", "Hello from Rust");
}

#[test]
fn go() {
    check("go", "go version", "Hello from Go");
}

#[test]
fn node() {
    check(
        "node",
        "npm view --fetch-retries=0 mustache name",
        "Hello from Node.js",
    );
}

#[test]
fn python() {
    let needs = "python3 -m pip download --quiet --retries 0 --no-deps --dest . bottle";
    check("python", needs, "Hello from Python");
}

#[test]
fn static_site() {
    check("static-site", BUSYBOX, "Hello from a static site");
}

#[test]
fn procfile() {
    check("procfile", BUSYBOX, "Hello from a Procfile");
}

/// Builds an app of buildpacks/apps with the sample builder twice, starts it and looks for `text` in its page. A machine on
/// which the command `needs` fails has not what the buildpack needs; there is nothing to check there.
fn check(app: &str, needs: &str, text: &str) {
    let work = site::work_directory().unwrap();
    let mut command = Command::new("sh");
    let probe = Outcome::of(command.args(["-c", needs]).current_dir(work.path()));
    if !probe.is_ok_and(|outcome| outcome.code == Some(0)) {
        // CI has installed what samples need; a newcomer may not have every language.
        assert!(
            std::env::var_os("CI").is_none(),
            "this machine cannot `{needs}`"
        );
        println!("{app}: not built, this machine cannot `{needs}`");
        return;
    }
    let site = Site::new(
        work.path(),
        builder::sample(&work.path().join("cnb")).unwrap(),
    )
    .unwrap();
    site.make_run_image().unwrap();
    builder::copy(
        &builder::repository().join("buildpacks/apps").join(app),
        &site.app,
    )
    .unwrap();
    site.use_pinned_rust().unwrap();
    let build = || {
        site.clear_layers().unwrap();
        let creator = &mut site.creator(&Subject::under_test().unwrap()).unwrap();
        let outcome = Outcome::within(LIMIT, creator).unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.text);
        site.app_image().unwrap()
    };
    let first = build();
    let second = build();
    assert_eq!(
        first.digest, second.digest,
        "an unchanged app gave another image"
    );

    let root = work.path().join("root");
    fs::create_dir(&root).unwrap();
    first.unpack(&root).unwrap();
    // The launcher under test may be linked to this machine's libraries, as most apps are; the demo starts the static
    // one inside the image.
    let page = Server::start(&site, &first, &root, Place::Beside)
        .unwrap()
        .page()
        .unwrap();
    assert!(page.contains(text), "{page}");
}
