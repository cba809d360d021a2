//! The files of the base images and of the build context.

use crate::output;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tar::EntryType;

/// When everything was last modified: 2001-01-01.
const MODIFIED: u64 = 978_307_200;
/// `CAP_NET_BIND_SERVICE`, as the kernel keeps it.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A tar that is being written.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn header(kind: EntryType, mode: u32, owner: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(MODIFIED);
        header.set_size(0);
        header
    }

    fn directories(mut self, rows: &[(&str, u32, u64)]) -> Self {
        for (path, mode, owner) in rows {
            let mut header = Self::header(EntryType::Directory, *mode, *owner);
            self.0.append_data(&mut header, path, io::empty()).unwrap();
        }
        self
    }

    fn files(mut self, rows: &[(&str, u32, u64, &[u8])]) -> Self {
        for (path, mode, owner, content) in rows {
            let mut header = Self::header(EntryType::Regular, *mode, *owner);
            header.set_size(content.len() as u64);
            self.0.append_data(&mut header, path, *content).unwrap();
        }
        self
    }

    fn links(mut self, rows: &[(&str, &str)]) -> Self {
        for (path, target) in rows {
            let mut header = Self::header(EntryType::Symlink, 0o777, 0);
            self.0.append_link(&mut header, path, target).unwrap();
        }
        self
    }

    /// Another name for a file of that mode and owner.
    fn hard_link(mut self, path: &str, target: &str, mode: u32, owner: u64) -> Self {
        let mut header = Self::header(EntryType::Link, mode, owner);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    fn capable(mut self, path: &str) -> Self {
        let record = ("SCHILY.xattr.security.capability", CAPABILITY);
        self.0.append_pax_extensions([record]).unwrap();
        self.files(&[(path, 0o755, 0, b"capable")])
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// The base image's files: busybox, accounts, and what rows change.
pub(crate) fn base() -> Vec<u8> {
    let found = output(Command::new("sh").args(["-c", "command -v busybox"]));
    let busybox = String::from_utf8(found).unwrap();
    let applets = output(Command::new(busybox.trim()).arg("--list"));
    let applets = String::from_utf8(applets).unwrap();
    let busybox = fs::read(busybox.trim()).unwrap();
    let links: Vec<_> = applets
        .lines()
        .filter(|name| *name != "busybox")
        .map(|name| format!("bin/{name}"))
        .collect();
    let links: Vec<_> = links
        .iter()
        .map(|path| (path.as_str(), "busybox"))
        .collect();
    let passwd = b"root:x:0:0:root:/root:/bin/sh\ncnb:x:1000:1000::/home/cnb:/bin/sh\n";
    Archive::new()
        .directories(&[
            ("bin", 0o755, 0),
            ("data", 0o755, 0),
            ("data/sub", 0o750, 0),
            ("deep", 0o755, 0),
            ("deep/a", 0o755, 0),
            ("deep/a/b", 0o755, 0),
            ("dev", 0o755, 0),
            ("etc", 0o755, 0),
            ("hard", 0o755, 0),
            ("home", 0o755, 0),
            ("home/cnb", 0o750, 1000),
            ("other", 0o755, 0),
            ("proc", 0o755, 0),
            ("root", 0o700, 0),
            ("sys", 0o755, 0),
            ("tmp", 0o1777, 0),
            ("var", 0o755, 0),
        ])
        .files(&[
            ("bin/busybox", 0o755, 0, &busybox),
            ("data/one", 0o644, 0, b"1"),
            ("data/sub/two", 0o644, 1000, b"2"),
            ("deep/a/b/c", 0o644, 0, b"c"),
            ("etc/base.conf", 0o644, 0, b"base\n"),
            (
                "etc/group",
                0o644,
                0,
                b"root:x:0:\ncnb:x:1000:\nvideo:x:44:cnb\n",
            ),
            ("etc/hostname", 0o644, 0, b""),
            ("etc/hosts", 0o644, 0, b""),
            ("etc/passwd", 0o644, 0, passwd),
            ("etc/resolv.conf", 0o644, 0, b""),
            ("hard/x", 0o644, 0, b"hard\n"),
            ("suid", 0o4755, 0, b"suid"),
        ])
        .capable("capable")
        .links(&links)
        .links(&[("data/link", "one"), ("dlink", "data/sub")])
        .hard_link("other/y", "hard/x", 0o644, 0)
        .bytes()
}

/// The build context.
pub(crate) fn context() -> Vec<u8> {
    let app = app();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&app).unwrap();
    let gzip = gzip.finish().unwrap();
    let long = format!("odd/{}", "l".repeat(180));
    Archive::new()
        .directories(&[
            ("caps", 0o755, 0),
            ("clash", 0o755, 0),
            ("clash/sub", 0o755, 0),
            ("dir", 0o755, 77),
            ("dir/empty", 0o700, 0),
            ("dir/sub", 0o775, 0),
            ("hards", 0o755, 0),
            ("links", 0o755, 0),
            ("node", 0o755, 0),
            ("node/logs", 0o755, 0),
            ("odd", 0o755, 0),
            ("over", 0o700, 0),
            ("over/sub", 0o700, 0),
            ("sticky", 0o1777, 0),
            ("tars", 0o755, 0),
        ])
        .files(&[
            ("[x].txt", 0o644, 0, b"x\n"),
            ("a.txt", 0o644, 77, b"A\n"),
            ("app.tar", 0o644, 0, &app),
            ("app.tgz", 0o644, 0, &gzip),
            ("b.txt", 0o600, 0, b"B\n"),
            ("dir/in", 0o640, 0, b"in\n"),
            ("dir/sub/deep", 0o644, 0, b"deep\n"),
            ("empty", 0o644, 0, b""),
            ("fake.tar", 0o644, 0, b"no tar"),
            ("hard1", 0o644, 0, b"hard\n"),
            ("hards/1", 0o644, 0, b"hard\n"),
            ("node/drop.log", 0o644, 0, b"drop\n"),
            ("node/keep", 0o644, 0, b"keep\n"),
            ("node/logs/keep", 0o644, 0, b"keep\n"),
            ("node/logs/x.log", 0o644, 0, b"x\n"),
            (&long, 0o644, 0, b"long\n"),
            ("odd/\u{e9} \u{f1}", 0o644, 0, b"unicode\n"),
            ("odd/\\back", 0o644, 0, b"backslash\n"),
            ("over/one", 0o600, 0, b"over\n"),
            ("over/sub/new", 0o600, 0, b"new\n"),
            ("run.sh", 0o755, 0, b"#!/bin/sh\n"),
            ("setuid", 0o4755, 0, b"setuid"),
            ("sp ace.txt", 0o644, 0, b"space\n"),
            ("sticky/file", 0o2755, 0, b"sticky"),
            ("tars/app.tar", 0o644, 0, &app),
        ])
        .capable("caps/file")
        .links(&[
            ("dirlink", "dir"),
            ("link", "a.txt"),
            ("links/abs", "/etc/passwd"),
            ("over/link", "two"),
            ("links/dangling", "nowhere"),
            ("links/up", "../a.txt"),
            ("tarlink", "app.tar"),
        ])
        .hard_link("hard2", "hard1", 0o644, 0)
        .hard_link("hards/2", "hards/1", 0o644, 0)
        .bytes()
}

/// An archive that `ADD` unpacks.
fn app() -> Vec<u8> {
    Archive::new()
        .directories(&[("app", 0o750, 5), ("app/sub", 0o2755, 6)])
        .files(&[
            ("app/file", 0o640, 5, b"file\n"),
            ("app/tool", 0o4755, 0, b"tool"),
            ("without/parent", 0o644, 7, b"parent\n"),
            ("one", 0o600, 0, b"of the archive\n"),
        ])
        .capable("app/capable")
        .links(&[("app/link", "file"), ("app/abs", "/etc/passwd")])
        .hard_link("app/hard", "app/file", 0o640, 5)
        .bytes()
}

/// Unpacks a tar with everything that it says.
pub(crate) fn unpack(tar: &[u8], into: &Path) {
    fs::create_dir_all(into).unwrap();
    let mut command = Command::new("tar");
    command.args([
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-xpf",
        "-",
    ]);
    command.arg("-C").arg(into).stdin(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(tar).unwrap();
    assert!(process.wait().unwrap().success());
}
