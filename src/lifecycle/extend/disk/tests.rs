use super::*;
use lifecycle_image::layer::header::{EntryKind, Header, TRAILER};

/// A tar of (kind, name, target or content).
fn tar_of(members: &[(EntryKind, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, text) in members {
        let is_file = *kind == EntryKind::File;
        let content = if is_file { text.as_bytes() } else { b"" };
        let header = Header {
            link: if is_file { b"" } else { text.as_bytes() },
            size: content.len() as u64,
            ..Header::new(*kind, name.as_bytes(), 0o755, 0, 0)
        };
        header.encode(&mut bytes).unwrap();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + TRAILER, 0);
    bytes
}

/// Unpacks into `dst` of a root with `etc/passwd`; gives the files below the root, or the error.
fn check(layer: bool, members: &[(EntryKind, &str, &str)], expected: &str) {
    let root = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(root.path()).unwrap();
    fs::create_dir_all(path.join("etc")).unwrap();
    fs::create_dir_all(path.join("dst/old")).unwrap();
    fs::write(path.join("etc/passwd"), "root").unwrap();
    fs::write(path.join("dst/old/file"), "old").unwrap();
    std::os::unix::fs::symlink("/etc", path.join("dst/out")).unwrap();
    let disk = Disk::new(&path, Owners::All);
    let ignored = Ignored::new(b"", [Path::new("/dst/ignored")]);
    let what = match layer {
        true => Archive::Layer(&ignored),
        false => Archive::Files,
    };
    let tar = tar_of(members);
    let result = disk.unpack(&tar[..], Path::new("/dst"), what, &mut BTreeSet::new());
    let found = match result {
        Ok(()) => listing(&path.join("dst"), ""),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{members:?}");
    assert_eq!(fs::read_to_string(path.join("etc/passwd")).unwrap(), "root");
    assert_eq!(fs::read_dir(path.join("etc")).unwrap().count(), 1);
}

fn listing(directory: &Path, prefix: &str) -> String {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut text = String::new();
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().display());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            text += &format!("{name}/ ");
            text += &listing(&entry.path(), &format!("{name}/"));
        } else if kind.is_file() {
            text += &format!("{name}={} ", fs::read_to_string(entry.path()).unwrap());
        } else if name != "out" {
            text += &format!("{name}@ ");
        }
    }
    text
}

#[test]
fn tars_unpack_below_their_directory() {
    use EntryKind::{Directory, File, HardLink, Symlink};
    check(false, &[(File, "a/b", "x")], "a/ a/b=x old/ old/file=old ");
    check(
        false,
        &[
            (File, "./a", "x"),
            (HardLink, "b", "a"),
            (Symlink, "c", "/etc"),
        ],
        "a=x b=x c@ old/ old/file=old ",
    );
    check(false, &[(File, "old/file", "new")], "old/ old/file=new ");
    check(false, &[(File, "old", "new")], "old=new ");
    check(false, &[(Directory, "old/file", "")], "old/ old/file/ ");
    check(false, &[(File, "out", "x")], "old/ old/file=old out=x ");
    check(false, &[(File, "/abs", "x")], "abs=x old/ old/file=old ");
    check(
        false,
        &[(File, ".wh.old", "")],
        ".wh.old= old/ old/file=old ",
    );
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
    let expected = format!("{0}/ {long}=x old/ old/file=old ", "d".repeat(120));
    check(false, &[(File, &long, "x")], &expected);
}

#[test]
fn layers_remove_and_leave_alone() {
    use EntryKind::{Directory, File};
    check(true, &[(File, ".wh.old", "")], "");
    check(true, &[(File, "old/.wh.file", "")], "old/ ");
    check(
        true,
        &[(File, "old/new", "n"), (File, "old/.wh..wh..opq", "")],
        "old/ old/new=n ",
    );
    check(
        true,
        &[(Directory, "ignored", ""), (File, "ignored/x", "")],
        "old/ old/file=old ",
    );
}

#[test]
fn tars_cannot_lead_elsewhere() {
    use EntryKind::{File, HardLink, Symlink};
    check(
        false,
        &[(File, "../x", "x")],
        "unpack ../x: its name leads elsewhere",
    );
    check(
        false,
        &[(File, "a/../../x", "")],
        "unpack a/../../x: its name leads elsewhere",
    );
    check(
        false,
        &[(File, "out/passwd", "x")],
        "unpack out/passwd: a link on its way leads elsewhere",
    );
    check(
        false,
        &[(Symlink, "l", "../etc"), (File, "l/passwd", "x")],
        "unpack l/passwd: a link on its way leads elsewhere",
    );
    check(
        false,
        &[(HardLink, "p", "out/passwd")],
        "unpack p: a link on its way leads elsewhere",
    );
}

#[test]
fn broken_tars_are_errors() {
    let check = |tar: &[u8], expected: &str| {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(root.path(), Owners::All);
        let result = disk.unpack(tar, Path::new("/"), Archive::Files, &mut BTreeSet::new());
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    let good = tar_of(&[(EntryKind::File, "a", "content")]);
    check(&good[..100], "malformed tar: it ends within a header");
    check(&good[..600], "tar ends too early");
    let mut bad = good.clone();
    bad[0] = b'b';
    check(&bad, "malformed tar: wrong checksum");
}
