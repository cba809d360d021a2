//! What buildpacks, or whoever changed an image, may leave for the launcher: it fails with a clear message and the right code,
//! or starts the process, with 64 MB of memory and 16 descriptors ([`App::launch`]).

use crate::app::{App, LAYERS, METADATA};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, Instant};

/// Starts `web` after `prepare` changed the app. `expected` is in the output; with code 0 the process ran.
#[track_caller]
fn check(prepare: impl Fn(&App), code: i32, expected: &str) {
    let app = App::new();
    prepare(&app);
    let started = Instant::now();
    let outcome = app.launch();
    assert_eq!(outcome.code, Some(code), "{}", outcome.text);
    assert!(outcome.text.contains(expected), "{}", outcome.text);
    assert!(started.elapsed() < Duration::from_secs(10), "{expected}");
}

/// Puts a layer's env file, exec.d program and so on in its place.
fn layer(path: &str) -> String {
    format!("{LAYERS}/layer/{path}")
}

fn replace(app: &App, path: &str, target: &str) {
    let path = app.path(path);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

fn sparse(app: &App, path: &str, bytes: u64) {
    app.write(path, "");
    File::options()
        .write(true)
        .open(app.path(path))
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

fn fifo(app: &App, path: &str) {
    let path = app.path(path);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

const METADATA_PATH: &str = "layers/config/metadata.toml";

#[test]
fn metadata_that_is_no_document() {
    let check = |prepare: &dyn Fn(&App), expected: &str| {
        let expected = format!("ERROR: failed to read metadata: {expected}");
        check(prepare, 1, &expected);
    };
    let at = "/layers/config/metadata.toml";
    check(
        &|app| fs::remove_file(app.path(METADATA_PATH)).unwrap(),
        &format!("open {at}: no such file"),
    );
    check(
        &|app| replace(app, METADATA_PATH, "metadata.toml"),
        &format!("open {at}: too many"),
    );
    check(
        &|app| replace(app, METADATA_PATH, "/dev/zero"),
        &format!("open {at}: not a regular file"),
    );
    check(
        &|app| replace(app, METADATA_PATH, "/tmp"),
        &format!("read {at}: is a directory"),
    );
    check(
        &|app| fifo(app, METADATA_PATH),
        &format!("open {at}: not a regular file"),
    );
    check(
        &|app| sparse(app, METADATA_PATH, 1 << 30),
        &format!("read {at}: larger than the limit"),
    );
    check(
        &|app| app.write(METADATA_PATH, b"a = \"\xff\""),
        &format!("{at}: toml: not UTF-8"),
    );
    check(
        &|app| app.write(METADATA_PATH, vec![0; 100_000]),
        &format!("{at}: toml: line 1, column 1: "),
    );
    check(
        &|app| app.write(METADATA_PATH, "[[processes]\n"),
        &format!("{at}: toml: line 1, column "),
    );
    check(
        &|app| app.write(METADATA_PATH, "processes = 1\n"),
        &format!("{at}: toml: "),
    );
    check(
        &|app| app.write(METADATA_PATH, "[[processes]]\ncommand = { a = 1 }\n"),
        &format!("{at}: toml: "),
    );
    for (text, repeated) in [("a = ", "["), ("a = ", "{a="), ("", "[a."), ("", "a.")] {
        check(
            &|app| {
                app.write(
                    METADATA_PATH,
                    format!("{text}{}", repeated.repeat(1_000_000)),
                )
            },
            &format!("{at}: toml: "),
        );
    }
}

/// Documents that are well-formed, and name what does not exist or what must not be used.
#[test]
fn metadata_with_hostile_values() {
    let process = |text: &str| format!("{METADATA}{text}\n");
    let check = |text: &str, code: i32, expected: &str| {
        check(|app| app.write(METADATA_PATH, text), code, expected)
    };
    check(
        "",
        82,
        "ERROR: failed to launch: determine start command: when there is no default process",
    );
    for id in ["", ".", ".."] {
        let text = METADATA.replace("some/bp", id);
        let expected = format!(
            "ERROR: failed to launch: modify env: buildpack ID '{id}' cannot name a directory"
        );
        check(&text, 82, &expected);
    }
    check(
        &METADATA.replace("some/bp", "../../../etc"),
        0,
        "in /workspace",
    );
    check(
        &METADATA.replace("some/bp", &"x".repeat(300)),
        82,
        "file name too long",
    );
    check(&METADATA.replace("0.12", "99.0"), 12, "ERROR: ");
    check(&METADATA.replace("0.12", "not a version"), 12, "ERROR: ");
    check(
        &METADATA.replace("\"probe\"", r#""pro\u0000be""#),
        82,
        "ERROR: failed to launch: ",
    );
    check(
        &METADATA.replace("\"probe\"", r#""probe", "a\u0000b""#),
        82,
        "is followed by a NUL byte",
    );
    check(
        &METADATA.replace("\"probe\"", ""),
        82,
        "no command provided for process type \"web\"",
    );
    check(
        &METADATA.replace("\"probe\"", r#""../probe""#),
        82,
        "ERROR: failed to launch: path lookup: ",
    );
    check(
        &process("working-dir = \"/proc/none\""),
        82,
        "ERROR: failed to launch: change directory: chdir /proc/none: ",
    );
    check(
        &process("working-dir = \"/a\\u0000b\""),
        82,
        "ERROR: failed to launch: change directory: ",
    );
    let many = "[[processes]]\ntype = \"other\"\ncommand = [\"x\"]\n".repeat(10_000);
    check(&process(&many), 0, "in /workspace");
}

#[test]
fn layers_that_are_links() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("env")).unwrap();
    fs::write(outside.path().join("env/FROM_ENV"), "linked").unwrap();
    let outside = outside.path().to_str().unwrap();
    let ignored = "FROM_ENV \"\", ";
    check(
        |app| replace(app, &format!("{LAYERS}/layer"), outside),
        0,
        ignored,
    );
    check(
        |app| replace(app, &format!("{LAYERS}/layer"), "layer"),
        0,
        ignored,
    );
    // The specification leaves open what links inside a layer mean; the reference follows them.
    check(
        |app| replace(app, &layer("env"), &format!("{outside}/env")),
        0,
        "FROM_ENV \"linked\", ",
    );
    check(
        |app| {
            replace(
                app,
                &layer("env.launch/FROM_ENV"),
                &format!("{outside}/env/FROM_ENV"),
            )
        },
        0,
        "FROM_ENV \"linked\", ",
    );
    check(
        |app| replace(app, &layer("env/FROM_ENV"), "/usr"),
        0,
        ignored,
    );
    check(|app| replace(app, &layer("bin"), "/nowhere"), 0, ignored);
    check(
        |app| replace(app, &layer("bin"), "bin"),
        82,
        "ERROR: failed to launch: modify env: add layer root: ",
    );
}

#[test]
fn environments_that_are_no_small_files() {
    let path = layer("env.launch/NAME");
    let check = |prepare: &dyn Fn(&App), expected: &str| {
        let start = format!(
            "ERROR: failed to launch: modify env: add layer env: apply env files from dir '/{}': ",
            layer("env.launch")
        );
        check(prepare, 82, &format!("{start}{expected}"));
    };
    check(
        &|app| fifo(app, &path),
        &format!("open /{path}: not a regular file"),
    );
    check(
        &|app| replace(app, &path, "/dev/zero"),
        &format!("open /{path}: not a regular file"),
    );
    check(
        &|app| replace(app, &path, "NAME"),
        &format!("open /{path}: too many"),
    );
    check(
        &|app| sparse(app, &path, 1 << 30),
        &format!("read /{path}: larger than the limit"),
    );
}

#[test]
fn more_layers_than_descriptors() {
    let many = |app: &App| {
        for number in 0..200 {
            app.write(&format!("{LAYERS}/{number}/env/V{number}"), "value");
        }
    };
    check(many, 0, " 203 variables, ");
    check(
        |app| {
            many(app);
            fs::create_dir_all(app.path(&layer("exec.d"))).unwrap();
            fs::copy(
                app.path("programs/probe"),
                app.path(&layer("exec.d/set-variable")),
            )
            .unwrap();
        },
        0,
        "FROM_EXEC_D \"yes\"",
    );
}

#[test]
fn exec_d_programs() {
    let program = layer("exec.d/program");
    let check = |script: &str, code, expected: &str| {
        check(
            |app| {
                app.write_program(
                    &program,
                    format!("#!/bin/sh\nexport PATH=/usr/bin:/bin\n{script}\n"),
                )
            },
            code,
            expected,
        );
    };
    let failed = |cause: &str| format!("ERROR: failed to launch: exec.d: failed to {cause}");
    let decode = |cause: &str| {
        failed(&format!(
            "decode output from exec.d file at path '/{program}': {cause}"
        ))
    };
    let too_long = decode("larger than the limit of 1048576 bytes");
    check("head -c 500000 /dev/urandom >&3", 82, &decode("toml: "));
    check("head -c 1073741824 /dev/zero >&3", 82, &too_long);
    check("exec cat /dev/zero >&3", 82, &too_long);
    for repeated in ["[", "a=", "a.", "{", "[a."] {
        check(
            &format!("yes '{repeated}' | tr -d '\\n' | head -c 1048576 >&3"),
            82,
            &decode("toml: "),
        );
    }
    check(
        "echo 'A = \"a\\u0000b\"' >&3",
        82,
        &decode("variable 'A' contains a NUL byte"),
    );
    check("", 0, "in /workspace");
    check("exec 3>&-; sleep 0.2", 0, "in /workspace");
    check(
        "exec 3>&-; exit 7",
        82,
        &failed(&format!(
            "execute exec.d file at path '/{program}': exit status 7"
        )),
    );
    check(
        "kill -9 $$",
        82,
        &failed(&format!(
            "execute exec.d file at path '/{program}': signal: killed"
        )),
    );
    // What it leaves behind holds its output open.
    check(
        "echo \"FROM_EXEC_D = 'yes'\" >&3; sleep 30 >/dev/null 2>&1 &",
        0,
        "FROM_EXEC_D \"yes\"",
    );
}
