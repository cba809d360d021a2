use super::*;
use std::path::PathBuf;

/// Runs a shell script through [`capture`].
fn script(text: &str, env: &Env) -> Captured {
    let args = [OsStr::new("-c"), OsStr::new(text)];
    let program = Program {
        path: Path::new("/bin/sh"),
        args: &args,
        env,
        dir: Path::new("/"),
    };
    capture(&program).unwrap()
}

fn check(text: &str, output: &str, exit: Exit) {
    let env = Env::from_pairs([("PATH", "/usr/bin:/bin"), ("ONLY", "this")]);
    let captured = script(text, &env);
    assert_eq!(String::from_utf8_lossy(&captured.output), output, "{text}");
    assert_eq!(captured.exit, exit, "{text}");
}

#[test]
fn output_and_exit_are_reported() {
    check(
        "echo out; echo err >&2; exit 7",
        "out\nerr\n",
        Exit::Code(7),
    );
    check("pwd; cat", "/\n", Exit::Code(0));
    check(
        "env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort",
        "ONLY=this\nPATH=/usr/bin:/bin\n",
        Exit::Code(0),
    );
    check(
        "kill -9 $$",
        "",
        Exit::Signal {
            number: 9,
            core_dumped: false,
        },
    );
    check("exec >&- 2>&-; sleep 0.2; exit 3", "", Exit::Code(3));
}

#[test]
fn no_descriptor_is_inherited() {
    let open = tempfile::NamedTempFile::new().unwrap();
    let captured = script(
        "ls -l /proc/self/fd",
        &Env::from_pairs([("PATH", "/usr/bin:/bin")]),
    );
    let listing = String::from_utf8(captured.output).unwrap();
    assert!(listing.contains("/dev/null"), "{listing}");
    assert!(
        !listing.contains(open.path().to_str().unwrap()),
        "{listing}"
    );
}

#[test]
fn large_output_is_complete() {
    let captured = script(
        "head -c 3000000 /dev/zero",
        &Env::from_pairs([("PATH", "/usr/bin:/bin")]),
    );
    assert_eq!(captured.output.len(), 3_000_000);
}

#[test]
fn background_processes_do_not_hang_the_run() {
    let start = Instant::now();
    check("sleep 30 & echo done", "done\n", Exit::Code(0));
    let chatty = script(
        "yes & echo $!",
        &Env::from_pairs([("PATH", "/usr/bin:/bin")]),
    );
    assert_eq!(chatty.exit, Exit::Code(0));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn late_output_of_background_processes_is_kept() {
    check(
        "(sleep 0.1; echo late) & echo early",
        "early\nlate\n",
        Exit::Code(0),
    );
}

#[test]
fn what_does_not_start_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let not_executable = dir.path().join("file");
    std::fs::write(&not_executable, "x").unwrap();
    let cases: [(PathBuf, &str, String); 4] = [
        (
            "/no/such".into(),
            "/",
            "fork/exec /no/such: no such file or directory".into(),
        ),
        (
            "/bin/sh".into(),
            "/no/dir",
            "chdir /no/dir: no such file or directory".into(),
        ),
        (
            not_executable.clone(),
            "/",
            format!("fork/exec {}: permission denied", not_executable.display()),
        ),
        (
            dir.path().into(),
            "/",
            format!("fork/exec {}: permission denied", dir.path().display()),
        ),
    ];
    for (path, working_dir, expected) in cases {
        let program = Program {
            path: &path,
            args: &[],
            env: &Env::default(),
            dir: Path::new(working_dir),
        };
        assert_eq!(capture(&program).unwrap_err().to_string(), expected);
    }
}
