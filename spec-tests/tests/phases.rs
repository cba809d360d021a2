//! The phases one by one give the image that the creator gives, and refuse bad documents of the phases before them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use spec_tests::builder;
use spec_tests::layout::Image;
use spec_tests::site::{self, APP_IMAGE, Site};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Buildpacks don't run as root; this is `nobody`, who is in every passwd file.
const NOBODY: u32 = 65534;

const BUILD: &str = r#"
layer=$CNB_LAYERS_DIR/files
mkdir -p "$layer"
echo content >"$layer/file"
printf '[types]\nlaunch = true\ncache = true\n[metadata]\nnumber = 1\n' >"$layer.toml"
printf '[[processes]]\ntype = "web"\ncommand = ["cat", "file"]\ndefault = true\n' >"$CNB_LAYERS_DIR/launch.toml"
"#;

#[test]
fn phases_and_creator_agree() {
    let work = site::work_directory().unwrap();
    let builder = builder::scripted(&work.path().join("cnb"), "exit 0", BUILD).unwrap();
    let site = Site::new(work.path(), builder).unwrap();
    site.make_run_image().unwrap();
    fs::write(site.app.join("index.html"), "<h1>Hello</h1>\n").unwrap();
    let subject = reachable(&Subject::under_test().unwrap(), &work.path().join("bin"));

    let separate = [build(&site, &subject), build(&site, &subject)];
    assert_eq!(
        separate[0].digest, separate[1].digest,
        "an unchanged app gave another image"
    );

    for directory in [site.app_layout(), site.cache.clone()] {
        fs::remove_dir_all(directory).unwrap();
    }
    fs::create_dir(&site.cache).unwrap();
    clear(&site);
    let outcome = Outcome::of(&mut site.creator(&subject).unwrap()).unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let created = site.app_image().unwrap();
    assert_eq!(separate[0].layers, created.layers);
    assert_eq!(separate[0].config, created.config);
    assert_eq!(separate[0].digest, created.digest);
}

/// The phases in their order, with their flags.
const PHASES: [(&str, &str); 5] = [
    ("analyzer", "gid layers layout layout-dir run uid"),
    ("detector", "app buildpacks layers order platform"),
    ("restorer", "cache-dir gid layers layout layout-dir uid"),
    ("builder", "app buildpacks layers platform"),
    (
        "exporter",
        "app cache-dir gid launcher layers layout layout-dir run uid",
    ),
];

/// Analyze, detect, restore, build and export, each by its own binary, as an untrusted builder's platform runs them.
fn build(site: &Site, subject: &Subject) -> Image {
    clear(site);
    for (name, _) in PHASES {
        let outcome = Outcome::of(&mut phase(site, subject, name)).unwrap();
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.text);
    }
    site.app_image().unwrap()
}

fn phase(site: &Site, subject: &Subject, name: &str) -> Command {
    let owner = fs::metadata(&site.layers).unwrap();
    let (uid, gid) = (owner.uid(), owner.gid());
    let values = [
        ("app", site.app.display().to_string()),
        ("buildpacks", site.builder.buildpacks.display().to_string()),
        ("cache-dir", site.cache.display().to_string()),
        ("gid", gid.to_string()),
        (
            "launcher",
            subject.directory().join("launcher").display().to_string(),
        ),
        ("layers", site.layers.display().to_string()),
        ("layout", "true".to_owned()),
        ("layout-dir", site.layouts.display().to_string()),
        ("order", site.builder.order.display().to_string()),
        ("platform", site.platform.display().to_string()),
        ("run", site.builder.run.display().to_string()),
        ("uid", uid.to_string()),
    ];
    let (_, flags) = PHASES
        .into_iter()
        .find(|(phase, _)| *phase == name)
        .unwrap();
    let flags: Vec<&str> = flags.split(' ').collect();
    let mut command = subject.command(name);
    command
        .env("CNB_PLATFORM_API", "0.15")
        .env("CNB_EXPERIMENTAL_MODE", "quiet");
    let given = values.iter().filter(|(flag, _)| flags.contains(flag));
    command.args(given.map(|(flag, value)| format!("-{flag}={value}")));
    if ["analyzer", "exporter"].contains(&name) {
        command.arg(APP_IMAGE);
    }
    // The others change to the user themselves.
    if !flags.contains(&"uid") {
        command.uid(uid).gid(gid);
    }
    command
}

#[test]
fn bad_hand_over_documents() {
    const MALFORMED: Option<&str> = Some("[[group");
    let rows = [
        ("detector", "analyzed.toml", MALFORMED, 1),
        ("restorer", "group.toml", None, 1),
        ("restorer", "group.toml", MALFORMED, 1),
        ("builder", "group.toml", MALFORMED, 1),
        ("builder", "plan.toml", None, 1),
        ("builder", "plan.toml", MALFORMED, 1),
        ("builder", "analyzed.toml", MALFORMED, 1),
        ("exporter", "group.toml", MALFORMED, 1),
        ("exporter", "analyzed.toml", MALFORMED, 3),
        ("exporter", "project-metadata.toml", MALFORMED, 1),
        ("exporter", "config/metadata.toml", None, 62),
        ("exporter", "config/metadata.toml", MALFORMED, 62),
    ];
    let work = site::work_directory().unwrap();
    let builder = builder::scripted(&work.path().join("cnb"), "exit 0", BUILD).unwrap();
    let site = Site::new(work.path(), builder).unwrap();
    site.make_run_image().unwrap();
    let subject = reachable(&Subject::under_test().unwrap(), &work.path().join("bin"));
    let digest = build(&site, &subject).digest;
    for (name, document, content, code) in rows {
        let path = site.layers.join(document);
        let good = fs::read(&path).ok();
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let outcome = Outcome::of(&mut phase(&site, &subject, name)).unwrap();
        let row = format!("{name}, {document} {content:?}: {}", outcome.text);
        assert_eq!(outcome.code, Some(code), "{row}");
        assert!(outcome.text.contains(&path.display().to_string()), "{row}");
        assert_eq!(site.app_image().unwrap().digest, digest, "{row}");
        match good {
            Some(good) => fs::write(&path, good).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
}

/// Empties the layers directory and gives the directories that phases write to the user who builds.
fn clear(site: &Site) {
    site.clear_layers().unwrap();
    if fs::metadata(&site.layers).unwrap().uid() == 0 {
        for directory in [&site.app, &site.layers, &site.cache, &site.layouts] {
            give(directory);
        }
    }
}

fn give(directory: &Path) {
    chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => give(&entry.path()),
            false => lchown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap(),
        }
    }
}

/// The same lifecycle in the directory `to`: the build directory may be closed to the user who builds.
fn reachable(subject: &Subject, to: &Path) -> Subject {
    fs::create_dir(to).unwrap();
    for name in ["lifecycle", "launcher"] {
        fs::copy(subject.directory().join(name), to.join(name)).unwrap();
    }
    for name in [
        "analyzer", "detector", "restorer", "builder", "exporter", "creator",
    ] {
        symlink("lifecycle", to.join(name)).unwrap();
    }
    Subject::at(to).unwrap()
}
