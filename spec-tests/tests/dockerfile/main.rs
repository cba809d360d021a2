//! `lifecycle dockerfile`: one Dockerfile, made into an image in a root of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod workshop;

use spec_tests::layout::Image;
use spec_tests::net::registry::Registry;
use std::fs;
use std::os::unix::fs::symlink;
use workshop::Workshop;

/// Files of the finished image, one a line, as `path: content`, after a Dockerfile whose base has a shell.
#[test]
fn images_have_the_files_that_instructions_say() {
    let rows: &[(&str, &str, &str)] = &[
        ("FROM scratch\nCOPY app/a /x/", "x/a", "A\n"),
        ("FROM base\nRUN echo hi > /f", "f", "hi\n"),
        ("ARG b=base\nFROM $b\nRUN echo $0 > /f", "f", "/bin/sh\n"),
        (
            "FROM base AS one\nRUN echo 1 > /f\nFROM base\nCOPY --from=one /f /g",
            "g",
            "1\n",
        ),
        (
            "FROM base\nRUN echo 1 > /f\nFROM base\nCOPY --from=0 /f /g",
            "g",
            "1\n",
        ),
        (
            "FROM scratch\nCOPY --from=base /etc/passwd /g",
            "g",
            "root:x:0:0:root:/root:/bin/sh\n",
        ),
        (
            "FROM base AS one\nRUN echo 1 > /f\nFROM one\nRUN cat /f > /g",
            "g",
            "1\n",
        ),
        // Links lead where they would lead in the image.
        (
            "FROM base AS one\nRUN mkdir /d && echo 1 > /d/f && ln -s /d /l\nFROM base\nCOPY --from=one /l/f /g",
            "g",
            "1\n",
        ),
        (
            "FROM base\nRUN mkdir /d && ln -s /d /l\nCOPY app/a /l/\nRUN cat /d/a > /g",
            "g",
            "A\n",
        ),
        (
            "FROM base AS one\nRUN touch /f && chown 5:6 /f\nFROM base\nCOPY --from=one /f /f\nRUN stat -c %u:%g /f > /g",
            "g",
            "5:6\n",
        ),
        (
            "FROM base\nUSER 7:8\nRUN id -u > /tmp/g; id -g >> /tmp/g",
            "tmp/g",
            "7\n8\n",
        ),
        ("FROM base\nRUN echo $$ > /g", "g", "1\n"),
        (
            "FROM base\nRUN test $(ls /proc | grep -c '^[0-9]') -lt 6 && echo few > /g",
            "g",
            "few\n",
        ),
        (
            "FROM base\nRUN <<END\n#!/bin/busybox sh\necho script > /g\nEND",
            "g",
            "script\n",
        ),
        (
            "FROM base\nRUN echo x > /dev/null; echo y > /dev/shm/y; ls /dev/shm > /g",
            "g",
            "y\n",
        ),
        (
            "FROM base\nARG TARGETOS\nRUN echo $TARGETOS > /g",
            "g",
            "linux\n",
        ),
        ("FROM base\nRUN sleep 100 & echo > /g", "g", "\n"),
        (
            "FROM base\nRUN --mount=target=/c cat /c/app/a > /g; echo x > /c/x || echo no >> /g",
            "g",
            "A\nno\n",
        ),
        (
            "FROM base AS one\nRUN echo 1 > /f\nFROM base\nRUN --mount=from=one,source=/f,target=/deep/f cat /deep/f > /g\nRUN ls -d /deep >> /g; true",
            "g",
            "1\n",
        ),
        (
            "FROM base\nRUN --mount=type=cache,target=/c echo 1 > /c/f\nRUN ls /c; true\nRUN --mount=type=cache,target=/c,sharing=locked cat /c/f > /g",
            "g",
            "1\n",
        ),
        (
            "FROM base\nRUN --mount=type=tmpfs,target=/t echo 1 > /t/f && stat -f -c %T /t > /g",
            "g",
            "tmpfs\n",
        ),
        (
            "FROM base\nRUN --network=none ls /sys/class/net /proc/net > /dev/null; grep -c : /proc/net/dev > /g",
            "g",
            "1\n",
        ),
        (
            "FROM base\nCOPY --chmod=u=rwx,go= app/a /a\nRUN stat -c %a /a > /g",
            "g",
            "700\n",
        ),
    ];
    let workshop = Workshop::new();
    for (number, (dockerfile, path, expected)) in rows.iter().enumerate() {
        let name = format!("image{number}");
        let outcome = workshop.make(dockerfile, &["--output", &format!("oci:{name}")]);
        assert_eq!(outcome.code, Some(0), "{dockerfile}\n{}", outcome.text);
        let root = workshop.path(&format!("root{number}"));
        Image::open(&workshop.path(&name))
            .unwrap()
            .unpack(&root)
            .unwrap();
        let found = fs::read_to_string(root.join(path)).unwrap();
        assert_eq!(found, *expected, "{dockerfile}");
    }
    assert_eq!(workshop.leftovers(), Vec::<String>::new());
}

/// What a root is after a build: the image, and nothing that only mounts needed.
#[test]
fn a_root_holds_the_image_alone() {
    let workshop = Workshop::new();
    let dockerfile = "FROM scratch\nCOPY --from=base /bin/busybox /busybox\nRUN [\"/busybox\", \"mkdir\", \"/d\"]\nRUN [\"/busybox\", \"rmdir\", \"/d\"]";
    let flags = ["--output", "oci:image", "--root", "root"];
    let outcome = workshop.make(dockerfile, &flags);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let names = fs::read_dir(workshop.path("root")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["busybox"]);
    let again = workshop.make(dockerfile, &flags);
    assert_eq!(again.code, Some(102), "{}", again.text);
    assert!(again.text.contains("not empty"), "{}", again.text);
}

#[test]
fn configuration_is_what_instructions_say() {
    let workshop = Workshop::new();
    let dockerfile = "FROM scratch\nENV a=b\nWORKDIR /w\nUSER 5\nEXPOSE 80\nLABEL k=v\nCMD [\"x\"]";
    let outcome = workshop.make(dockerfile, &["--output", "oci:image"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let image = Image::open(&workshop.path("image")).unwrap();
    let expected = serde_json::json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "a=b"],
        "WorkingDir": "/w", "User": "5", "ExposedPorts": {"80/tcp": {}}, "Labels": {"k": "v"},
        "Cmd": ["x"],
    });
    assert_eq!(image.config["config"], expected);
    // The directory; the rest changes no file.
    assert_eq!(image.layers.len(), 1);
}

#[test]
fn what_cannot_be_done_is_said() {
    let rows: &[(&str, &[&str], i32, &str)] = &[
        (
            "FROM base\nRUN false",
            &[],
            102,
            "line 2 (RUN false) failed",
        ),
        (
            "FROM base\nRUN [\"/none\"]",
            &[],
            102,
            "no such file or directory",
        ),
        (
            "FROM base\n\nCOPY none /",
            &[],
            102,
            "line 3 (COPY none /): \"none\": not found",
        ),
        (
            "FROM base\nCOPY --from=1 a /",
            &[],
            1,
            "line 2 (COPY --from=1 a /): --from=1: there is no such stage",
        ),
        (
            "FROM base\nCOPY ../../../etc/passwd /",
            &[],
            102,
            "not found",
        ),
        ("FROM base\nCOPY app/out /", &[], 102, "not found"),
        (
            "FROM base\nRUN --mount=type=secret,target=/s x",
            &[],
            102,
            "line 2 (RUN --mount=type=secret,target=/s x): --mount=type=secret,target=/s: type=secret is not supported",
        ),
        (
            "FROM base\nRUN --mount=source=none,target=/s x",
            &[],
            102,
            "\"none\": not found",
        ),
        (
            "FROM base\nRUN --security=insecure x",
            &[],
            102,
            "line 2 (RUN --security=insecure x): --security=insecure is not supported",
        ),
        (
            "FROM base\nADD https://example.com/x /x",
            &[],
            102,
            "line 2 (ADD https://example.com/x /x): ADD from a URL is not supported",
        ),
        ("RUN x", &[], 1, "expected FROM at line 1"),
        ("FROM base", &["--target", "x"], 1, "there is no stage x"),
        (
            "FROM base",
            &["--snapshot-mode", "x"],
            3,
            "neither full, redo nor time",
        ),
        (
            "FROM base",
            &["--base", "x"],
            3,
            "not of the form NAME=oci:DIR",
        ),
        (
            "FROM base",
            &["operand"],
            3,
            "received unexpected arguments",
        ),
        (
            "FROM base",
            &["--bogus"],
            2,
            "flag provided but not defined: -bogus",
        ),
        (
            "FROM base\nFROM base\nCOPY --from=0 / /",
            &["--root", "/"],
            3,
            "room for one stage",
        ),
        ("FROM evil", &["--base", "evil=oci:evil"], 102, "unpack"),
    ];
    let workshop = Workshop::new();
    symlink("/etc/passwd", workshop.path("app/out")).unwrap();
    workshop.make_evil_base("evil");
    for (dockerfile, flags, code, expected) in rows {
        let flags = [&["--output", "oci:image"], *flags].concat();
        let outcome = workshop.make(dockerfile, &flags);
        assert_eq!(outcome.code, Some(*code), "{dockerfile}\n{}", outcome.text);
        assert!(
            outcome.text.contains(expected),
            "{dockerfile}\n{}",
            outcome.text
        );
    }
    assert!(!workshop.path("image/index.json").exists());
    assert!(!workshop.path("evil-was-here").exists());
    assert_eq!(workshop.leftovers(), Vec::<String>::new());
}

/// A user who may do nothing else makes an image whose files are all root's.
#[test]
fn nobody_needs_to_be_root() {
    let workshop = Workshop::new();
    let dockerfile = "FROM base\nRUN id -u > /g && cat /proc/self/uid_map >> /g";
    let outcome = workshop.make_as("12345", dockerfile, &["--output", "oci:own/image"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    assert!(
        outcome.text.contains("no user but root"),
        "{}",
        outcome.text
    );
    let root = workshop.path("unpacked");
    let image = Image::open(&workshop.path("own/image")).unwrap();
    image.unpack(&root).unwrap();
    let found = fs::read_to_string(root.join("g")).unwrap();
    let words: Vec<_> = found.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "12345", "1"]);
    let refused = workshop.make_as(
        "12345",
        "FROM base\nUSER 5\nRUN true",
        &["--output", "oci:own/2"],
    );
    assert_eq!(refused.code, Some(102), "{}", refused.text);
}

/// A `RUN` sees no secrets and can do no harm to the machine, even where root starts it.
#[test]
fn commands_are_kept_apart() {
    let workshop = Workshop::new();
    let rows = [
        "env | grep -i -e secret -e auth",
        "cat /proc/[0-9]*/environ | grep -a secret",
        "mount -t tmpfs x /mnt",
        "umount /proc/sys",
        "echo 1 > /proc/sys/kernel/printk",
        "cat /proc/kcore",
        "mknod /dev/sda b 8 0",
        "ls /proc/1/root/home",
        "chroot /proc/1/root ls /home",
        "kill -0 2",
    ];
    for row in rows {
        let dockerfile = format!("FROM base\nRUN mkdir -p /mnt; ! ( {row} )");
        let outcome = workshop.make(&dockerfile, &["--output", "oci:image"]);
        assert_eq!(outcome.code, Some(0), "{row}\n{}", outcome.text);
    }
}

/// Base images and the result in a registry that wants credentials, and the cache.
#[test]
fn registries_and_cache() {
    let registry = Registry::open().unwrap();
    let workshop = Workshop::new();
    let first = format!("{}/first:1", registry.address());
    let dockerfile = "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /id";
    let flags = ["--output", &first, "--cache-dir", "cache"];
    let outcome = workshop.make(dockerfile, &flags);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let outcome = workshop.make(dockerfile, &flags);
    assert!(
        outcome.text.contains("Using the layer from the cache"),
        "{}",
        outcome.text
    );
    let dockerfile = format!("FROM {first}\nCOPY app/a /a");
    let outcome = workshop.make(&dockerfile, &["--output", "oci:image"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let image = Image::open(&workshop.path("image")).unwrap();
    image.verify().unwrap();
    let dockerfile = format!("FROM {}/none", registry.address());
    let outcome = workshop.make(&dockerfile, &["--output", "oci:image"]);
    assert_eq!(outcome.code, Some(102), "{}", outcome.text);
    assert!(outcome.text.contains("line 1 (FROM"), "{}", outcome.text);
}

/// Every command of docs/dockerfile.md, in its order.
#[test]
fn documented_commands_work() {
    let page = spec_tests::builder::repository().join("docs/dockerfile.md");
    let page = fs::read_to_string(page).unwrap();
    let registry = Registry::open().unwrap();
    let workshop = Workshop::new();
    workshop.write("Dockerfile", "FROM scratch\nCOPY a /\n");
    let blocks = page.split("```sh\n").skip(1);
    let commands = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let mut count = 0;
    for command in commands {
        let command = command.replace("localhost:5000", &registry.address().to_string());
        let outcome = workshop.shell(&command);
        assert_eq!(outcome.code, Some(0), "{command}\n{}", outcome.text);
        count += 1;
        let stages = "FROM debian:stable AS tools\nARG VERSION\nRUN echo $VERSION > /v\nFROM tools\nCOPY a /\n";
        workshop.write("Dockerfile", stages);
    }
    assert_eq!(count, 3);
}
