//! Places in which a launcher has to work, and what a process gets there.

use crate::app::{App, LAYERS};
use spec_tests::subject::Outcome;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

/// Runs a command that ends with this code and says this.
#[track_caller]
fn check(command: &mut Command, code: i32, expected: &str) {
    let outcome = Outcome::of(command).unwrap();
    assert_eq!(outcome.code, Some(code), "{}", outcome.text);
    assert!(outcome.text.contains(expected), "{}", outcome.text);
}

/// Nothing but launcher, metadata, layer and program: no shell, no library, no /proc, no /dev, no /etc/passwd. The root is
/// read-only, /tmp not executable, the user has no name.
#[test]
fn an_empty_image() {
    let app = App::new();
    app.write(&format!("{LAYERS}/l/env.launch/FROM_ENV"), "value");
    fs::create_dir_all(app.path(&format!("{LAYERS}/l/exec.d"))).unwrap();
    let exec_d = app.path(&format!("{LAYERS}/l/exec.d/set-variable"));
    fs::copy(app.path("programs/probe"), exec_d).unwrap();
    fs::create_dir(app.path("tmp")).unwrap();
    // In a user namespace there are no other users to become.
    let is_root = fs::metadata(app.path("tmp")).unwrap().uid() == 0;
    let user = if is_root {
        "--userspec=12345:54321"
    } else {
        "--userspec=0:0"
    };
    let script = r#"set -e
        mount --bind "$1" "$1"
        mount -t tmpfs -o noexec tmpfs "$1/tmp"
        mount -o remount,bind,ro "$1"
        if touch "$1/layers/x" 2>/dev/null; then echo "not read-only"; exit 1; fi
        exec chroot "$2" "$1" /cnb/process/web"#;
    let mut command = app.command("/usr/bin/unshare");
    command.args((!is_root).then_some("--map-root-user"));
    command.args(["--mount", "sh", "-c", script, "sh"]);
    command.arg(app.path("")).arg(user);
    command.env("PATH", "/programs:/usr/sbin:/usr/bin:/sbin:/bin");
    command
        .env("CNB_LAYERS_DIR", "/layers")
        .env("CNB_APP_DIR", "/workspace");
    check(
        &mut command,
        0,
        r#"FROM_ENV "value", FROM_EXEC_D "yes", in /workspace"#,
    );
}

#[test]
fn ten_thousand_variables() {
    let app = App::new();
    let mut command = app.command(app.path("cnb/process/web"));
    command.envs((0..10_000).map(|number| (format!("VARIABLE_{number}"), "value")));
    // Of the launcher's own ones PATH and CNB_NO_COLOR stay.
    check(&mut command, 0, ", 10002 variables, ");
}

#[test]
fn a_megabyte_of_arguments() {
    let app = App::new();
    let mut command = app.command(app.path("cnb/process/web"));
    command.args(std::iter::repeat_n("a".repeat(100_000), 10));
    check(&mut command, 0, ", 11 arguments of 1000005 bytes, ");
}

/// What the launcher was started with fits; what layers add does not.
#[test]
fn the_kernels_limits_are_named() {
    let app = App::new();
    let variable = format!("{LAYERS}/l/env.launch/LARGE");
    app.write(&variable, "x".repeat(200_000));
    let start = "ERROR: failed to launch: direct exec: argument list too long: ";
    let mut command = app.command(app.path("cnb/process/web"));
    let one = "LARGE has 200006 bytes, the kernel takes 131071";
    check(&mut command, 82, &format!("{start}{one}"));

    app.write(&variable, "x".repeat(100_000));
    let mut command = app.command("/bin/sh");
    // A quarter of the stack's limit is there for arguments and variables: 1 MB.
    command.args(["-c", r#"ulimit -s 4096; exec "$@""#, "sh"]);
    command.arg(app.path("cnb/process/web"));
    command.args(std::iter::repeat_n("a".repeat(100_000), 10));
    let all = "11 arguments and 4 variables have 1100";
    check(&mut command, 82, &format!("{start}{all}"));
}

/// The process takes the launcher's place: its id, its signals and exit code are those that the platform sees.
#[test]
fn the_process_is_the_one_that_was_started() {
    let app = App::new();
    let child = app
        .command(app.path("cnb/process/web"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("pid {id}, ")), "{text}");

    let mut command = app.command(app.path("cnb/lifecycle/launcher"));
    command.args(["--", "/bin/sh", "-c", "kill -9 $$"]);
    assert_eq!(command.status().unwrap().signal(), Some(9));
}
