use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory `in` to work on, and `out` next to it with a file that has to survive.
fn sandbox() -> (tempfile::TempDir, Dir) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("out")).unwrap();
    fs::write(root.path().join("out/kept"), "kept").unwrap();
    let dir = Dir::open(&root.path().join("in")).unwrap();
    (root, dir)
}

fn check(
    prepare: impl FnOnce(&Path),
    act: impl FnOnce(&Dir) -> Result<()>,
    expected: Result<(), &str>,
) {
    let (root, dir) = sandbox();
    prepare(dir.path());
    let result =
        act(&dir).map_err(|error| error.to_string().replace(root.path().to_str().unwrap(), ""));
    assert_eq!(result, expected.map_err(str::to_owned));
    assert_eq!(fs::read_dir(root.path().join("out")).unwrap().count(), 1);
    assert_eq!(
        fs::read_to_string(root.path().join("out/kept")).unwrap(),
        "kept"
    );
    assert!(
        dir.names()
            .unwrap()
            .iter()
            .all(|name| !name.as_bytes().starts_with(b".lifecycle"))
    );
}

#[test]
fn links_are_not_followed() {
    let link = |dir: &Path| symlink("../out", dir.join("x")).unwrap();
    let name = OsStr::new("x");
    check(
        link,
        |dir| dir.make_dir(name).map(drop),
        Err("mkdir /in/x: not a directory"),
    );
    check(
        link,
        |dir| dir.dir(name).map(drop),
        Err("open /in/x: not a directory"),
    );
    check(link, |dir| dir.remove(name), Ok(()));
    check(link, |dir| dir.write(name, &b"new"[..]), Ok(()));
    check(
        |dir| symlink("../out/kept", dir.join("x")).unwrap(),
        |dir| dir.write(name, &b"new"[..]),
        Ok(()),
    );
    check(link, |dir| dir.rename(name, OsStr::new("y")), Ok(()));
    check(
        |_| (),
        |dir| dir.dir(name).map(|found| assert!(found.is_none())),
        Ok(()),
    );
}

#[test]
fn names_are_single_components() {
    for name in ["", ".", "..", "../out", "/out", "a/b", "a\0b"] {
        let name = OsStr::new(name);
        check(
            |_| (),
            |dir| {
                assert!(dir.make_dir(name).is_err());
                Ok(())
            },
            Ok(()),
        );
        check(
            |_| (),
            |dir| {
                assert!(dir.write(name, &b""[..]).is_err());
                Ok(())
            },
            Ok(()),
        );
        check(
            |_| (),
            |dir| {
                assert!(dir.remove(name).is_err());
                Ok(())
            },
            Ok(()),
        );
        check(
            |_| (),
            |dir| {
                assert!(dir.rename(name, OsStr::new("x")).is_err());
                Ok(())
            },
            Ok(()),
        );
        check(
            |_| (),
            |dir| {
                assert!(dir.contains(name).is_err());
                Ok(())
            },
            Ok(()),
        );
    }
    let long = "n".repeat(300);
    check(
        |_| (),
        |dir| {
            assert!(dir.make_dir(OsStr::new(&long)).is_err());
            Ok(())
        },
        Ok(()),
    );
}

#[test]
fn files_appear_whole() {
    let (_root, dir) = sandbox();
    let name = OsStr::new("file");
    dir.write(name, &b"one"[..]).unwrap();
    dir.write(name, &b"two"[..]).unwrap();
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"two");
    fs::create_dir(dir.path().join("dir")).unwrap();
    assert!(dir.write(OsStr::new("dir"), &b""[..]).is_err());
    assert_eq!(dir.names().unwrap(), ["dir", "file"]);
}

#[test]
fn trees_are_removed_whatever_is_in_them() {
    let (_root, dir) = sandbox();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a/b/c/d")).unwrap();
    fs::write(tree.join("a/b/c/file"), "").unwrap();
    symlink("../../out", tree.join("a/link")).unwrap();
    for path in ["a/b", "a"] {
        fs::set_permissions(tree.join(path), fs::Permissions::from_mode(0o555)).unwrap();
    }
    dir.remove(OsStr::new("tree")).unwrap();
    dir.remove(OsStr::new("tree")).unwrap();
    assert!(dir.names().unwrap().is_empty());
}

#[test]
fn too_deep_trees_are_refused() {
    let (_root, dir) = sandbox();
    let mut level = dir.make_dir(OsStr::new("deep")).unwrap();
    for _ in 0..DEPTH_LIMIT {
        level = level.make_dir(OsStr::new("d")).unwrap();
    }
    assert!(
        dir.remove(OsStr::new("deep"))
            .unwrap_err()
            .to_string()
            .ends_with("/deep: file name too long")
    );
}
