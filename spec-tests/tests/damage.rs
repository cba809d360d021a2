//! What earlier builds left may be damaged, and builds may be killed: the next one gives the image that it gives without.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use spec_tests::builder;
use spec_tests::layout::leftovers;
use spec_tests::site::{self, Site};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

/// A layer that is only made where it was not restored.
const BUILD: &str = r#"
layer=$CNB_LAYERS_DIR/numbers
mkdir -p "$layer"
[ -e "$layer/file" ] || seq 1 1000000 >"$layer/file"
printf '[types]\nlaunch = true\nbuild = true\ncache = true\n' >"$layer.toml"
"#;
const CACHE_METADATA: &str = "io.buildpacks.lifecycle.cache.metadata";

/// Harms a directory.
type Damage = fn(&Path);

#[test]
fn damaged_caches() {
    let rows: [(&str, Damage); 9] = [
        ("tar overwritten", |cache| write(&layer(cache), "junk")),
        ("tar missing", |cache| {
            fs::remove_file(layer(cache)).unwrap()
        }),
        ("tar is a link", |cache| {
            let layer = layer(cache);
            fs::remove_file(&layer).unwrap();
            symlink("/dev/zero", layer).unwrap();
        }),
        ("metadata malformed", |cache| {
            write(&cache.join(CACHE_METADATA), "{")
        }),
        ("metadata null", |cache| {
            write(&cache.join(CACHE_METADATA), "null")
        }),
        ("metadata nests", |cache| {
            write(&cache.join(CACHE_METADATA), &"[".repeat(1 << 20))
        }),
        ("layer name leads out", |cache| {
            edit(&cache.join(CACHE_METADATA), "\"numbers\"", "\"../../../x\"")
        }),
        ("digest leads out", |cache| {
            edit(&cache.join(CACHE_METADATA), "sha256:", "sha256:../../")
        }),
        ("killed between two renames", |cache| {
            fs::rename(cache, cache.with_file_name("committed-backup")).unwrap()
        }),
    ];
    let work = site::work_directory().unwrap();
    let site = new_site(work.path());
    let expected = create(&site);
    for (name, damage) in rows {
        damage(&site.cache.join("committed"));
        assert_eq!(create(&site), expected, "{name}");
        assert!(!work.path().join("x").exists(), "{name}");
    }
}

#[test]
fn damaged_previous_images() {
    let rows: [(&str, Damage); 4] = [
        ("index malformed", |layout| {
            write(&layout.join("index.json"), "{")
        }),
        ("index empty", |layout| {
            write(&layout.join("index.json"), "{}")
        }),
        ("blobs missing", |layout| {
            fs::remove_dir_all(layout.join("blobs")).unwrap()
        }),
        ("blobs overwritten", |layout| {
            for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
                write(&blob.unwrap().path(), "junk");
            }
        }),
    ];
    let work = site::work_directory().unwrap();
    let site = new_site(work.path());
    let expected = create(&site);
    for (name, damage) in rows {
        damage(&site.app_layout());
        assert_eq!(create(&site), expected, "{name}");
    }
}

#[test]
fn killed_builds() {
    let work = site::work_directory().unwrap();
    let site = new_site(work.path());
    let expected = create(&site);
    for milliseconds in [0, 5, 10, 20, 30, 50, 80, 120] {
        fs::remove_dir_all(site.app_layout()).unwrap();
        fs::remove_dir_all(site.cache.join("committed")).unwrap();
        site.clear_layers().unwrap();
        let mut command = site.creator(&Subject::under_test().unwrap()).unwrap();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut creator = command.spawn().unwrap();
        // When this file is there, buildpacks have ended and export begins.
        while !site.layers.join("config/metadata.toml").exists()
            && creator.try_wait().unwrap().is_none()
        {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(milliseconds));
        creator.kill().unwrap();
        creator.wait().unwrap();
        assert_eq!(create(&site), expected, "after {milliseconds} ms");
    }
}

fn new_site(work: &Path) -> Site {
    let builder = builder::scripted(&work.join("cnb"), "exit 0", BUILD).unwrap();
    let site = Site::new(work, builder).unwrap();
    site.make_run_image().unwrap();
    site
}

/// Builds, and returns the digest of an image that is whole.
fn create(site: &Site) -> String {
    site.clear_layers().unwrap();
    let mut creator = site.creator(&Subject::under_test().unwrap()).unwrap();
    let outcome = Outcome::of(&mut creator).unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let root = site.layouts.join("unpacked");
    let image = site.app_image().unwrap();
    image.unpack(&root).unwrap();
    fs::remove_dir_all(root).unwrap();
    assert_eq!(
        leftovers(&site.layouts).unwrap(),
        Vec::<PathBuf>::new(),
        "{}",
        outcome.text
    );
    image.digest
}

/// The one layer in a cache.
fn layer(cache: &Path) -> PathBuf {
    let paths = fs::read_dir(cache).unwrap();
    let mut paths = paths.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.extension().is_some_and(|extension| extension == "tar"))
        .unwrap()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    write(path, &text.replace(from, to));
}
