use super::{DefaultAction, Env};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tempfile::TempDir;

fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// `before` and `after`: `NAME=value` words.
#[track_caller]
fn check(default: DefaultAction, files: &[(&str, &str)], before: &str, after: &str) {
    let mut env = env(before);
    env.apply_env_dir(dir(files).path(), default).unwrap();
    assert_eq!(env, self::env(after));
}

fn env(words: &str) -> Env {
    Env::from_pairs(
        words
            .split_whitespace()
            .map(|word| word.split_once('=').unwrap()),
    )
}

#[test]
fn suffixes() {
    use DefaultAction::{Default, Override};
    check(Override, &[("A", "v")], "A=e", "A=v");
    check(Default, &[("A", "v")], "A=e", "A=e");
    check(Default, &[("A", "v"), ("B", "v")], "A=", "A=v B=v");
    check(Override, &[("A.append", "v")], "A=e", "A=ev");
    check(
        Override,
        &[("A.append", "v"), ("A.delim", ":")],
        "A=e",
        "A=e:v",
    );
    check(
        Override,
        &[("A.append", "v"), ("A.delim", ":")],
        "A=",
        "A=v",
    );
    check(Override, &[("A.prepend", "v")], "A=e", "A=ve");
    check(
        Override,
        &[("A.prepend", "v"), ("A.delim", "::")],
        "A=e B=f",
        "A=v::e B=f",
    );
    check(Override, &[("A.prepend", "v"), ("A.delim", ":")], "", "A=v");
    check(Override, &[("A.override", "v")], "A=e", "A=v");
    check(Override, &[("A.default", "v")], "A=e", "A=e");
    check(
        Override,
        &[("A.default", "v"), ("B.default", "w")],
        "A=",
        "A=v B=w",
    );
    check(Override, &[("A.", "v")], "A=e", "A=v:e");
    check(Override, &[("A.", "v"), ("A.delim", ",")], "A=e", "A=v,e");
    check(
        Override,
        &[("A.what", "v"), ("A.delim", ":"), ("A.x.append", "v")],
        "A=e",
        "A=e",
    );
    check(
        Override,
        &[("A.prepend", "3"), ("A.append", "2"), ("A", "1")],
        "A=e",
        "A=312",
    );
    check(
        Override,
        &[("A.override", "3"), ("A.append", "2")],
        "A=e",
        "A=3",
    );
}

#[test]
fn contents_are_kept_as_they_are() {
    let files = dir(&[("NL", "a\n"), ("EMPTY", "")]);
    fs::write(files.path().join("RAW"), b"\xff\xfe").unwrap();
    fs::write(files.path().join(OsStr::from_bytes(b"\xffNAME")), b"x").unwrap();
    let mut env = Env::default();
    env.apply_env_dir(files.path(), DefaultAction::Override)
        .unwrap();
    assert_eq!(env.get("NL").unwrap(), "a\n");
    assert_eq!(env.get("EMPTY").unwrap(), "");
    assert_eq!(env.get("RAW").unwrap().as_bytes(), b"\xff\xfe");
    assert_eq!(env.get(OsStr::from_bytes(b"\xffNAME")).unwrap(), "x");
}

#[test]
fn what_is_not_a_file() {
    let files = dir(&[("A", "v")]);
    fs::create_dir(files.path().join("DIR")).unwrap();
    std::os::unix::fs::symlink("DIR", files.path().join("LINK_TO_DIR")).unwrap();
    std::os::unix::fs::symlink("A", files.path().join("LINK")).unwrap();
    let apply = || {
        let mut env = Env::default();
        env.apply_env_dir(files.path(), DefaultAction::Override)
            .map(|()| env)
    };
    assert_eq!(apply().unwrap(), env("A=v LINK=v"));
    std::os::unix::fs::symlink("nowhere", files.path().join("DANGLING")).unwrap();
    let (dir, error) = (files.path().display(), apply().unwrap_err());
    let expected =
        format!("apply env files from dir '{dir}': open {dir}/DANGLING: no such file or directory");
    assert_eq!(error.to_string(), expected);
    let mut unchanged = Env::default();
    unchanged
        .apply_env_dir(Path::new("/nonexistent"), DefaultAction::Override)
        .unwrap();
    assert_eq!(unchanged, Env::default());
}

#[test]
fn platform_variables() {
    let files = dir(&[
        ("PATH", "/p"),
        ("CPATH", "/c"),
        ("HOME", "/h"),
        ("X.append", "odd"),
    ]);
    let mut found = env("PATH=/bin HOME=/root");
    found.apply_platform_dir(files.path()).unwrap();
    assert_eq!(found, env("PATH=/p:/bin CPATH=/c HOME=/h X.append=odd"));
}

#[test]
fn base_environments() {
    let process = env("PATH=/bin HOME=/h USER=u CNB_EXEC_ENV=test CNB_STACK_ID=s no_proxy=n");
    assert_eq!(
        Env::for_build(&process),
        env("PATH=/bin HOME=/h CNB_STACK_ID=s no_proxy=n")
    );
    let launch = |before: &str| {
        Env::for_launch(
            env(before),
            Path::new("/cnb/process"),
            Path::new("/cnb/lifecycle"),
        )
    };
    let own = "CNB_LAYERS_DIR=/l CNB_APP_DIR=/a CNB_PROCESS_TYPE=p CNB_PLATFORM_API=0.12 CNB_DEPRECATION_MODE=quiet";
    assert_eq!(
        launch(&format!("A=1 CNB_NO_COLOR=1 CNB_EXEC_ENV=x {own}")),
        env("A=1 CNB_NO_COLOR=1 CNB_EXEC_ENV=x")
    );
    assert_eq!(
        launch("PATH=/cnb/process:/bin:/cnb/lifecycle:"),
        env("PATH=/bin:")
    );
    assert_eq!(
        launch("PATH=/cnb/process/:/cnb/lifecycle"),
        env("PATH=/cnb/process/")
    );
    assert_eq!(launch("PATH=/cnb/process"), env("PATH="));
}

#[test]
fn build_paths_of_a_layer() {
    let layer = tempfile::tempdir().unwrap();
    fs::create_dir(layer.path().join("bin")).unwrap();
    fs::create_dir(layer.path().join("lib")).unwrap();
    let mut found = env("PATH=/bin LIBRARY_PATH=");
    found.add_build_paths(layer.path());
    let layer = layer.path().display();
    let expected =
        format!("PATH={layer}/bin:/bin LD_LIBRARY_PATH={layer}/lib LIBRARY_PATH={layer}/lib");
    assert_eq!(found, env(&expected));
}

#[test]
fn many_variables_are_cheap() {
    let variables = (0..100_000).map(|number| (format!("V{number}"), "value"));
    let mut env = Env::from_pairs(variables);
    env.set("V5", "other");
    assert_eq!(env.iter().count(), 100_000);
}
