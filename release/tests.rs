//! Archives: what is in them, that they come out alike, and that hostile ones are refused.

use crate::archive;
use crate::files::{Content, Entry, Files};
use std::fs;
use std::path::Path;

fn binaries(at: &Path) {
    fs::create_dir_all(at).unwrap();
    for program in ["lifecycle", "launcher"] {
        fs::write(at.join(program), program).unwrap();
        for format in ["cdx", "spdx", "syft"] {
            fs::write(at.join(format!("{program}.sbom.{format}.json")), "{}").unwrap();
        }
    }
}

#[test]
fn an_archive_has_every_phase_and_reads_back() {
    let work = tempfile::tempdir().unwrap();
    let mut archives = Vec::new();
    for place in ["first", "second"] {
        let place = work.path().join(place);
        binaries(&place);
        let path = place.join("archive.tgz");
        archive::write(&archive::files(&place).unwrap(), 1_700_000_000, &path).unwrap();
        archives.push(fs::read(&path).unwrap());
        let checksum = fs::read_to_string(place.join("archive.tgz.sha256")).unwrap();
        assert!(checksum.ends_with("  archive.tgz\n"), "{checksum}");
    }
    assert!(archives[0] == archives[1]);

    let read = archive::read(&work.path().join("first/archive.tgz")).unwrap();
    assert!(read.descriptor.contains("[apis]"), "{}", read.descriptor);
    let entry = |name: &str| {
        let mut entries = read.binaries.iter();
        let (_, entry) = entries.find(|(path, _)| *path == name).unwrap();
        format!("{:?} {:o}", entry.content, entry.mode)
    };
    assert_eq!(read.binaries.iter().count(), 16);
    assert_eq!(entry("creator"), "Link(\"lifecycle\") 777");
    assert!(entry("launcher").ends_with(" 755"));
    assert!(entry("launcher.sbom.cdx.json").ends_with(" 644"));
}

#[test]
fn a_missing_binary_is_named() {
    let work = tempfile::tempdir().unwrap();
    binaries(work.path());
    fs::remove_file(work.path().join("launcher")).unwrap();
    let error = archive::files(work.path()).unwrap_err().to_string();
    assert!(error.contains("launcher is not there"), "{error}");
}

fn check_refused(files: &[(&str, Content)], expected: &str) {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("archive.tgz");
    let mut all = Files::default();
    for (name, content) in files {
        all.insert(name, Entry::new(content.clone()));
    }
    archive::write(&all, 0, &path).unwrap();
    let error = archive::read(&path).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn other_archives_are_refused() {
    let bytes = |text: &[u8]| Content::Bytes(text.to_vec());
    check_refused(&[("lifecycle/lifecycle", bytes(b""))], "no lifecycle.toml");
    check_refused(&[("lifecycle.toml", bytes(b"\xff"))], "not UTF-8");
}

#[test]
fn paths_that_lead_elsewhere_are_left_out() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("archive.tgz");
    let mut files = Files::default();
    for name in [
        "lifecycle.toml",
        "../evil",
        "lifecycle/..",
        "a/b/c",
        "ok/launcher",
    ] {
        files.insert(name, Entry::new(Content::Bytes(Vec::new())));
    }
    archive::write(&files, 0, &path).unwrap();
    let read = archive::read(&path).unwrap();
    let names: Vec<_> = read.binaries.iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["launcher"]);
}
