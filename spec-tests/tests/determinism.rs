//! The same inputs give the same image.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use spec_tests::builder;
use spec_tests::layout::Image;
use spec_tests::site::{self, Site};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A launch layer of files with modes of their own, one of them big enough for several compression blocks.
const BUILD: &str = r#"
umask 022
layer=$CNB_LAYERS_DIR/files
mkdir -p "$layer/bin" "$layer/many"
for number in $(seq 1 200); do echo "file $number" >"$layer/many/$number"; done
seq 1 400000 >"$layer/numbers"
printf '#!/bin/sh\necho hello\n' >"$layer/bin/hello"
chmod 755 "$layer/bin/hello"
ln -sfn ../numbers "$layer/many/link"
printf '[types]\nlaunch = true\ncache = true\n[metadata]\nnumber = 1\n' >"$layer.toml"
printf '[[processes]]\ntype = "web"\ncommand = ["hello"]\ndefault = true\n[[slices]]\npaths = ["static/*"]\n' >"$CNB_LAYERS_DIR/launch.toml"
chmod 644 "$layer.toml" "$CNB_LAYERS_DIR/launch.toml"
"#;

#[test]
fn same_inputs_same_image() {
    let rows: [(&str, &[&str]); 5] = [
        ("a second time", &[]),
        ("on one core", &["taskset", "-c", "0"]),
        (
            "with another umask",
            &["sh", "-c", "umask 077; exec \"$@\"", "sh"],
        ),
        (
            "with a wide-open umask",
            &["sh", "-c", "umask 000; exec \"$@\"", "sh"],
        ),
        (
            "in another locale and time zone",
            &["env", "LC_ALL=tr_TR.UTF-8", "TZ=Asia/Kathmandu"],
        ),
    ];
    let work = site::work_directory().unwrap();
    let site = site(work.path());
    write_app(&site.app, false);
    let expected = build(&site, &[]);
    for (name, wrapper) in rows {
        fs::remove_dir_all(&site.cache).unwrap();
        fs::create_dir(&site.cache).unwrap();
        fs::remove_dir_all(site.app_layout()).unwrap();
        check(name, &expected, &build(&site, wrapper));
    }
    // A second copy of the inputs: other inodes, other order in the directories.
    fs::remove_dir_all(&site.app).unwrap();
    write_app(&site.app, true);
    fs::remove_dir_all(site.app_layout()).unwrap();
    check("from a second copy", &expected, &build(&site, &[]));
}

#[test]
fn a_rebuild_keeps_the_image() {
    let work = site::work_directory().unwrap();
    let site = site(work.path());
    write_app(&site.app, false);
    let first = build(&site, &[]);
    check(
        "over the previous image and cache",
        &first,
        &build(&site, &[]),
    );
}

fn site(work: &Path) -> Site {
    let builder = builder::scripted(&work.join("cnb"), "exit 0", BUILD).unwrap();
    let site = Site::new(work, builder).unwrap();
    site.make_run_image().unwrap();
    site
}

fn write_app(app: &Path, backwards: bool) {
    let mut files: Vec<(String, String)> = (0..50)
        .map(|number| (format!("static/{number}.txt"), format!("page {number}\n")))
        .collect();
    files.push(("main.txt".to_owned(), "main\n".to_owned()));
    files.push(("a/b/c.txt".to_owned(), "deep\n".to_owned()));
    if backwards {
        files.reverse();
    }
    for (name, text) in files {
        let path = app.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn build(site: &Site, wrapper: &[&str]) -> Image {
    site.clear_layers().unwrap();
    let creator = site.creator(&Subject::under_test().unwrap()).unwrap();
    let mut command = wrapped(&creator, wrapper);
    let outcome = Outcome::of(&mut command).unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    site.app_image().unwrap()
}

/// The same command below another program.
fn wrapped(command: &Command, wrapper: &[&str]) -> Command {
    let words = wrapper
        .iter()
        .map(|word| word.as_ref())
        .chain([command.get_program()])
        .chain(command.get_args());
    let words: Vec<_> = words.collect();
    let mut outer = Command::new(words[0]);
    outer.args(&words[1..]).env_clear();
    outer.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    outer
}

fn check(name: &str, expected: &Image, got: &Image) {
    for (index, (expected, got)) in expected.layers.iter().zip(&got.layers).enumerate() {
        assert_eq!(expected, got, "{name}: layer {index}");
    }
    assert_eq!(expected.config, got.config, "{name}");
    assert_eq!(expected.digest, got.digest, "{name}");
}
