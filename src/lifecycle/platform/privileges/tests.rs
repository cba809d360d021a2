use super::*;
use lifecycle_core::api::PlatformApi;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

#[test]
fn users_are_found_by_id() {
    let passwd = "# comment\n+nis\nshort:x:7\nroot:x:0:0:root:/root:/bin/bash\ncnb:x:1234:1000:CNB User,,,:/home/cnb:/bin/sh\n\
                  :x:5:5:::\n-x:x:6:6::/h:/bin/sh\nbare:x:8:8::/srv";
    let check = |uid, expected| assert_eq!(passwd_entry(passwd, uid), expected, "{uid}");
    check(0, Some(("/root", "root")));
    check(1234, Some(("/home/cnb", "CNB User")));
    check(8, Some(("/srv", "")));
    for unknown in [5, 6, 7, 99] {
        check(unknown, None);
    }
}

#[test]
fn writable_directories_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let check = |mode, uid_differs, gid_differs, expected| {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let stat = rustix::fs::stat(dir.path()).unwrap();
        let uid = Uid::from_raw(stat.st_uid + u32::from(uid_differs));
        let gid = Gid::from_raw(stat.st_gid + u32::from(gid_differs));
        assert_eq!(
            writable(&stat, uid, gid),
            expected,
            "{mode:o} {uid_differs} {gid_differs}"
        );
    };
    check(0o500, false, true, true);
    check(0o770, true, false, true);
    check(0o750, true, false, false);
    check(0o770, true, true, false);
    check(0o702, true, true, true);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
}

fn owned_by(uid: u32, gid: u32) -> Inputs {
    let mut inputs = Inputs::blank(PlatformApi::V0_15);
    (inputs.uid, inputs.gid) = (uid, gid);
    inputs
}

/// The rest needs root; elsewhere there is nothing to see.
#[test]
fn trees_change_hands_without_following_links() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    for file in [
        tree.join("a/b/file"),
        tree.join("file"),
        outside.join("file"),
    ] {
        fs::write(file, "").unwrap();
    }
    symlink(&outside, tree.join("dir-link")).unwrap();
    symlink(outside.join("file"), tree.join("a/file-link")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    let link = dir.path().join("link");
    symlink(&tree, &link).unwrap();

    let missing = dir.path().join("missing");
    ensure_owner(&owned_by(1234, 1000), [Some(&link), None, Some(&missing)]).unwrap();
    let owner = |path: &Path| {
        path.symlink_metadata()
            .map(|stat| (stat.uid(), stat.gid()))
            .unwrap()
    };
    for name in [
        "",
        "a",
        "a/b",
        "a/b/file",
        "file",
        "dir-link",
        "a/file-link",
        "dangling",
    ] {
        assert_eq!(owner(&tree.join(name)), (1234, 1000), "{name}");
    }
    assert_eq!(owner(&outside), (0, 0));
    assert_eq!(owner(&outside.join("file")), (0, 0));
    assert_eq!(owner(&link), (0, 0));

    // What is in a directory of the user is taken to be the user's.
    chown(tree.join("file"), Some(7), Some(7)).unwrap();
    ensure_owner(&owned_by(1234, 1000), [Some(&tree)]).unwrap();
    assert_eq!(owner(&tree.join("file")), (7, 7));
}

#[test]
fn files_in_place_of_directories_are_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = ensure_owner(&owned_by(1234, 1000), [Some(&file)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "failed to chown volumes: chown {}: not a directory",
            file.display()
        )
    );
}

/// Test threads stand for those that a program must not have started: changing the user of one alone would leave the
/// others as root.
#[test]
fn users_change_only_without_threads() {
    let current = owned_by(
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    run_as_user(&current).unwrap();
    std::thread::scope(|scope| {
        let (finish, wait) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || wait.recv());
        let error = run_as_user(&owned_by(current.uid + 1, current.gid))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!(
                "failed to exec as user {}:{}: ",
                current.uid + 1,
                current.gid
            )),
            "{error}"
        );
        assert!(error.ends_with(" threads are running"), "{error}");
        drop(finish);
    });
}

#[test]
fn memory_is_hidden() {
    hide_memory();
    assert_eq!(
        rustix::process::dumpable_behavior().unwrap(),
        DumpableBehavior::NotDumpable
    );
}
