//! Bad input ends with the contract's exit code and an error that names what is wrong; nothing half-written stays, nothing
//! hangs, and no old image is lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use spec_tests::builder;
use spec_tests::layout::leftovers;
use spec_tests::site::{self, Site};
use spec_tests::subject::{Outcome, Subject};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const PASS: &str = "exit 0";
const BUILD: &str =
    r#"printf '[[processes]]\ntype = "web"\ncommand = ["true"]\n' >"$CNB_LAYERS_DIR/launch.toml""#;

#[test]
fn documents() {
    type Sabotage = fn(&Site);
    let rows: [(&str, Sabotage, i32, &[&str]); 8] = [
        (
            "order.toml malformed",
            |site| write(&site.builder.order, "[[order]"),
            1,
            &["order.toml"],
        ),
        (
            "order.toml missing",
            |site| fs::remove_file(&site.builder.order).unwrap(),
            1,
            &["order.toml"],
        ),
        (
            "run.toml malformed",
            |site| write(&site.builder.run, "images = 7 8"),
            3,
            &["run.toml"],
        ),
        (
            "buildpack.toml missing",
            |site| fs::remove_file(descriptor(site)).unwrap(),
            1,
            &["buildpack.toml"],
        ),
        (
            "buildpack.toml malformed",
            |site| write(&descriptor(site), "api = "),
            1,
            &["buildpack.toml"],
        ),
        (
            "buildpack API of the future",
            |site| {
                write(
                    &descriptor(site),
                    "api = \"0.99\"\n[buildpack]\nid = \"test/scripted\"\nversion = \"1\"\n",
                )
            },
            12,
            &["0.99"],
        ),
        (
            "buildpack API missing",
            |site| {
                write(
                    &descriptor(site),
                    "[buildpack]\nid = \"test/scripted\"\nversion = \"1\"\n",
                )
            },
            12,
            &["buildpack API"],
        ),
        (
            "run image missing",
            |site| fs::remove_dir_all(site.layouts.join("index.docker.io")).unwrap(),
            1,
            &["samples/run"],
        ),
    ];
    for (name, sabotage, code, words) in rows {
        check(name, PASS, BUILD, sabotage, code, words);
    }
}

#[test]
fn detection() {
    let rows: [(&str, &str, i32, &[&str]); 5] = [
        (
            "no group passes",
            "exit 100",
            20,
            &["No buildpack groups passed detection"],
        ),
        (
            "detect fails",
            "echo broken; exit 7",
            21,
            &["broken", "(7)"],
        ),
        (
            "plan malformed",
            "echo '[[' >\"$CNB_BUILD_PLAN_PATH\"",
            21,
            &[],
        ),
        (
            "plan is a fifo",
            "rm \"$CNB_BUILD_PLAN_PATH\"; mkfifo \"$CNB_BUILD_PLAN_PATH\"",
            21,
            &[],
        ),
        ("detect dies", "kill -9 $$", 21, &[]),
    ];
    for (name, detect, code, words) in rows {
        check(name, detect, BUILD, |_| {}, code, words);
    }
}

#[test]
fn builds() {
    let rows: [(&str, &str, i32, &[&str]); 15] = [
        ("build fails", "exit 1", 51, &["exit status 1"]),
        ("build dies", "kill -9 $$", 51, &["signal"]),
        (
            "launch.toml malformed",
            "echo '[[processes]' >\"$CNB_LAYERS_DIR/launch.toml\"",
            52,
            &["launch.toml"],
        ),
        (
            "launch.toml is a fifo",
            "mkfifo \"$CNB_LAYERS_DIR/launch.toml\"",
            52,
            &["launch.toml"],
        ),
        (
            "launch.toml is a device",
            "ln -s /dev/zero \"$CNB_LAYERS_DIR/launch.toml\"",
            52,
            &["launch.toml"],
        ),
        (
            "launch.toml is enormous",
            "truncate -s 1G \"$CNB_LAYERS_DIR/launch.toml\"",
            52,
            &["launch.toml"],
        ),
        (
            "layer metadata malformed",
            "echo '[types' >\"$CNB_LAYERS_DIR/a.toml\"",
            52,
            &["a.toml"],
        ),
        (
            "layer flags in the wrong place",
            "echo 'launch = true' >\"$CNB_LAYERS_DIR/a.toml\"",
            52,
            &["a.toml", "types"],
        ),
        (
            "build.toml with an unknown unmet",
            "printf '[[unmet]]\\nname = \"x\"\\n' >\"$CNB_LAYERS_DIR/build.toml\"",
            52,
            &["unmet.name 'x'"],
        ),
        (
            "two default processes",
            "printf '[[processes]]\\ntype = \"a\"\\ncommand = [\"a\"]\\ndefault = true\\n[[processes]]\\ntype = \"b\"\\ncommand = [\"b\"]\\ndefault = true\\n' >\"$CNB_LAYERS_DIR/launch.toml\"",
            52,
            &["default"],
        ),
        (
            "process type with a slash",
            "printf '[[processes]]\\ntype = \"../../x\"\\ncommand = [\"a\"]\\n' >\"$CNB_LAYERS_DIR/launch.toml\"",
            62,
            &["../../x"],
        ),
        (
            "process type longer than a file name",
            "printf '[[processes]]\\ntype = \"%0300d\"\\ncommand = [\"a\"]\\n' 1 >\"$CNB_LAYERS_DIR/launch.toml\"",
            62,
            &["invalid process type", "255 bytes"],
        ),
        (
            "layer whose name is not text",
            "name=$(printf 'a\\377')\nmkdir \"$CNB_LAYERS_DIR/$name\"\nprintf '[types]\\nlaunch = true\\n' >\"$CNB_LAYERS_DIR/$name.toml\"",
            52,
            &["not UTF-8"],
        ),
        (
            "layer named ..",
            "printf '[types]\\nlaunch = true\\n' >\"$CNB_LAYERS_DIR/...toml\"",
            52,
            &["...toml does not name a layer"],
        ),
        (
            "layer without contents",
            "printf '[types]\\nlaunch = true\\n' >\"$CNB_LAYERS_DIR/a.toml\"",
            62,
            &["test/scripted:a"],
        ),
    ];
    for (name, build, code, words) in rows {
        check(name, PASS, build, |_| {}, code, words);
    }
}

#[test]
fn symbolic_links_where_the_lifecycle_writes() {
    let names = ["config", "sbom", "report.toml", "config/metadata.toml"];
    for name in names {
        let build = format!(
            "{BUILD}\ncd \"$CNB_LAYERS_DIR/..\"\nmkdir -p \"$(dirname {name})\"\nrm -rf {name}\nln -s \"$CNB_PLATFORM_DIR/victim\" {name}"
        );
        let work = site::work_directory().unwrap();
        let site = site(work.path(), PASS, &build);
        let victim = site.platform.join("victim");
        for is_directory in [false, true] {
            match is_directory {
                true => fs::create_dir(&victim).unwrap(),
                false => write(&victim, "untouched"),
            }
            let outcome = create(&site);
            match is_directory {
                true => assert_eq!(
                    fs::read_dir(&victim).unwrap().count(),
                    0,
                    "{name}: {}",
                    outcome.text
                ),
                false => assert_eq!(
                    fs::read_to_string(&victim).unwrap(),
                    "untouched",
                    "{name}: {}",
                    outcome.text
                ),
            }
            assert_ne!(outcome.code, Some(101), "{name}: panic: {}", outcome.text);
            let _ = fs::remove_file(&victim);
        }
    }
}

/// Platforms read the exporter's lines, and a layer's name is the buildpack's choice.
#[test]
fn names_cannot_forge_the_log() {
    let build = r#"name=$(printf 'x\n*** Images (sha256:0):\n\033[2Kx')
mkdir "$CNB_LAYERS_DIR/$name"
printf '[types]\nlaunch = true\n' >"$CNB_LAYERS_DIR/$name.toml"
printf '[[labels]]\nkey = "a\\nERROR: forged"\nvalue = "v"\n' >"$CNB_LAYERS_DIR/launch.toml""#;
    let work = site::work_directory().unwrap();
    let outcome = create(&site(work.path(), PASS, build));
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let text = outcome.text;
    assert!(text.contains(r"x\n*** Images (sha256:0):\n"), "{text}");
    assert!(text.contains(r"a\nERROR: forged"), "{text}");
    for begin in ["*** Images (sha256:0)", "ERROR: "] {
        assert!(!text.lines().any(|line| line.starts_with(begin)), "{text}");
    }
    assert!(!text.contains("\u{1b}[2K"), "{text}");
}

#[test]
fn odd_files_in_the_app() {
    let work = site::work_directory().unwrap();
    let site = site(work.path(), PASS, BUILD);
    symlink("/nowhere", site.app.join("dangling")).unwrap();
    symlink(".", site.app.join("loop")).unwrap();
    let pipe =
        Outcome::of(std::process::Command::new("mkfifo").arg(site.app.join("pipe"))).unwrap();
    assert_eq!(pipe.code, Some(0), "{}", pipe.text);
    write(&site.app.join(OsStr::from_bytes(b"a\nb\xff")), "");
    // Paths of this depth are as long as the system allows.
    let mut deep = site.app.clone();
    deep.extend(std::iter::repeat_n("d", 1900));
    fs::create_dir_all(deep).unwrap();
    let outcome = create(&site);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
}

#[test]
fn a_full_disk_keeps_the_old_image() {
    let work = site::work_directory().unwrap();
    let site = site(work.path(), PASS, BUILD);
    let first = create(&site);
    assert_eq!(first.code, Some(0), "{}", first.text);
    let before = site.app_image().unwrap().digest;

    fs::write(
        site.app.join("big"),
        (0..4_000_000u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>(),
    )
    .unwrap();
    site.clear_layers().unwrap();
    let creator = site.creator(&Subject::under_test().unwrap()).unwrap();
    // No file may grow beyond 1 MB: what a full disk does, without a disk of our own.
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "sh"]);
    limited
        .arg(creator.get_program())
        .args(creator.get_args())
        .env_clear();
    limited.envs(
        creator
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let outcome = Outcome::of(&mut limited).unwrap();
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    assert!(outcome.text.contains("ERROR"), "{}", outcome.text);
    assert_eq!(site.app_image().unwrap().digest, before);
    assert_eq!(leftovers(&site.layouts).unwrap(), Vec::<PathBuf>::new());
}

fn check(name: &str, detect: &str, build: &str, sabotage: fn(&Site), code: i32, words: &[&str]) {
    let work = site::work_directory().unwrap();
    let site = site(work.path(), detect, build);
    sabotage(&site);
    let outcome = create(&site);
    assert_eq!(outcome.code, Some(code), "{name}: {}", outcome.text);
    for word in words {
        assert!(
            outcome.text.contains(word),
            "{name}: no {word:?} in: {}",
            outcome.text
        );
    }
    assert!(outcome.text.contains("ERROR: "), "{name}: {}", outcome.text);
    assert!(
        !site.app_layout().join("index.json").exists(),
        "{name}: an image was written"
    );
    assert_eq!(
        leftovers(&site.layouts).unwrap(),
        Vec::<PathBuf>::new(),
        "{name}"
    );
    assert!(
        !site.layers.join("report.toml").exists(),
        "{name}: a report was written"
    );
}

fn site(work: &Path, detect: &str, build: &str) -> Site {
    let builder = builder::scripted(&work.join("cnb"), detect, build).unwrap();
    let site = Site::new(work, builder).unwrap();
    site.make_run_image().unwrap();
    write(&site.app.join("index.html"), "<h1>Hello</h1>\n");
    site
}

fn create(site: &Site) -> Outcome {
    site.clear_layers().unwrap();
    let mut creator = site.creator(&Subject::under_test().unwrap()).unwrap();
    Outcome::of(creator.env("CNB_NO_COLOR", "true")).unwrap()
}

fn descriptor(site: &Site) -> PathBuf {
    site.builder
        .buildpacks
        .join("test_scripted/1/buildpack.toml")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}
