//! The launcher ships in every app image: what it is made of changes only on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod app;
mod hostile;
mod places;
mod recorded;

use app::{App, LAYERS};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// docs/PERFORMANCE.md, which says what these tests hold the launcher to.
fn document() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join("docs/PERFORMANCE.md")).unwrap()
}

/// The numbers in the rows of the table below a heading that starts with `start`.
fn numbers(start: &str) -> Vec<Vec<u64>> {
    let document = document();
    let (_, rest) = document.split_once(start).expect("the table");
    rest.lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            row.split('|')
                .filter_map(|cell| cell.trim().parse().ok())
                .collect()
        })
        .collect()
}

#[test]
fn size() {
    const LIMIT: u64 = 400_000;
    let size = fs::metadata(app::launcher()).unwrap().len();
    assert!(size <= LIMIT, "{size} bytes");
    // No interpreter and no libraries: it starts in an image that has none.
    let program = fs::read(app::launcher()).unwrap();
    assert!(
        !program.windows(5).any(|bytes| bytes == b"/lib/"),
        "is it static?"
    );
}

/// arm64 needs its target and an emulator, which `.ci/run` installs.
#[test]
#[ignore = "needs the target aarch64-unknown-linux-musl and qemu-aarch64-static"]
fn arm64() {
    let launcher = app::build_launcher("aarch64-unknown-linux-musl", Some("rust-lld"));
    let size = fs::metadata(&launcher).unwrap().len();
    assert!(size <= 400_000, "{size} bytes");
    let app = App::new();
    app.write(&format!("{LAYERS}/l/env.launch/FROM_ENV"), "value");
    app.write_program(
        &format!("{LAYERS}/l/exec.d/program"),
        "#!/bin/sh\necho \"FROM_EXEC_D = 'yes'\" >&3\n",
    );
    let mut command = app.command("/usr/bin/env");
    command
        .args(["qemu-aarch64-static", "-0", "web"])
        .arg(launcher);
    command.env(
        "PATH",
        format!("{}:/usr/bin:/bin", app.path("programs").display()),
    );
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("FROM_ENV \"value\", FROM_EXEC_D \"yes\""),
        "{text}"
    );
}

/// Each row of the table: layers with `bin`, with `lib`, with a variable in `env.launch`; system calls.
#[test]
fn system_calls() {
    for row in numbers("System calls from") {
        let [bin, lib, env_launch, documented] = row[..4] else {
            panic!("{row:?}")
        };
        let app = App::new();
        for (count, file) in [
            (bin, "bin/program"),
            (lib, "lib/library.so"),
            (env_launch, "env.launch/NAME"),
        ] {
            for number in 0..count {
                app.write(&format!("{LAYERS}/layer-{number}/{file}"), "value");
            }
        }
        let trace = app.path("trace");
        let mut command = app.command("/usr/bin/strace");
        command
            .arg("-o")
            .arg(&trace)
            .arg(app.path("cnb/process/web"));
        assert!(command.output().expect("strace").status.success());
        let trace = fs::read_to_string(trace).unwrap();
        // The exec that starts the launcher is not its own; the one that ends it is.
        let calls = trace
            .lines()
            .skip(1)
            .position(|line| line.starts_with("execve("))
            .unwrap() as u64
            + 1;
        assert!(calls <= documented, "{row:?}: {calls}\n{trace}");
    }
}

#[test]
fn dependency_closure_is_the_documented_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .current_dir(&root)
        .args([
            "tree",
            "--locked",
            "--package",
            "launcher",
            "--edges",
            "normal",
        ])
        .args(["--target", &target, "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    // A line is `name version (path)`.
    let found: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();

    let document = document();
    let (_, list) = document
        .split_once("dependency closure")
        .expect("a section on the closure");
    let list = list.split("```").nth(1).expect("a list");
    let documented: BTreeSet<&str> = list.split_whitespace().collect();
    assert_eq!(found, documented);
}
