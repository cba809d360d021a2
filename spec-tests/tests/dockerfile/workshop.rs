//! A directory with a build context and a base image that has a shell.

use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DEFINITION: &str = r#"
user = ""
env = ["PATH=/bin"]
[[files]]
path = "/etc/passwd"
content = "root:x:0:0:root:/root:/bin/sh\n"
[[directories]]
path = "/tmp"
mode = 0o1777
"#;

pub(crate) struct Workshop {
    directory: tempfile::TempDir,
    subject: Subject,
}

impl Workshop {
    /// With `app/a` in the context, and the base image in the layout `base`.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Others than root have to get into it.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let workshop = Self {
            directory,
            subject: Subject::under_test().unwrap(),
        };
        fs::create_dir_all(workshop.path("app")).unwrap();
        fs::create_dir_all(workshop.path("tmp")).unwrap();
        fs::create_dir_all(workshop.path("own")).unwrap();
        chown(workshop.path("own"), Some(12345), Some(12345)).unwrap();
        workshop.write("app/a", "A\n");
        workshop.make_base("base", &busybox());
        workshop
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        fs::write(self.path(path), content).unwrap();
    }

    /// A layout whose layer would put a file outside of the root.
    pub(crate) fn make_evil_base(&self, layout: &str) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = blank();
        header.set_entry_type(tar::EntryType::Symlink);
        tar.append_link(&mut header, "out", self.directory.path())
            .unwrap();
        let mut header = blank();
        let name = b"../../../../../../evil-was-here";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        tar.append(&header, std::io::empty()).unwrap();
        self.make_base(layout, &tar.into_inner().unwrap());
    }

    fn make_base(&self, layout: &str, rootfs: &[u8]) {
        let tar = self.path("rootfs.tar");
        fs::write(&tar, rootfs).unwrap();
        let platform = stacks::Platform {
            rootfs: Some(&tar),
            ..stacks::Platform::host()
        };
        stacks::make(DEFINITION, vec![platform], &self.path(layout)).unwrap();
    }

    /// Makes an image by a Dockerfile, whose `base` is the base image.
    pub(crate) fn make(&self, dockerfile: &str, flags: &[&str]) -> Outcome {
        self.write("Dockerfile.test", dockerfile);
        let mut command = self.subject.command("lifecycle");
        let temporary = self.path("tmp");
        self.run(&mut command, &temporary, flags)
    }

    /// The same by a user of this number.
    pub(crate) fn make_as(&self, user: &str, dockerfile: &str, flags: &[&str]) -> Outcome {
        self.write("Dockerfile.test", dockerfile);
        let lifecycle = self.path("lifecycle");
        fs::copy(self.subject.directory().join("lifecycle"), &lifecycle).unwrap();
        let mut command = Command::new("setpriv");
        let ids = ["--reuid", user, "--regid", user, "--clear-groups"];
        command.args(ids).arg(lifecycle).stdin(Stdio::null());
        let temporary = self.path("own");
        self.run(&mut command, &temporary, flags)
    }

    fn run(&self, command: &mut Command, temporary: &Path, flags: &[&str]) -> Outcome {
        command
            .args([
                "dockerfile",
                "--no-color",
                "--dockerfile",
                "Dockerfile.test",
            ])
            .args(["--base", "base=oci:base"])
            .args(flags)
            .current_dir(self.directory.path())
            .env("TMPDIR", temporary)
            .env("SECRET", "secret")
            .env(
                "CNB_REGISTRY_AUTH",
                "{\"registry.example\": \"Basic c2VjcmV0\"}",
            );
        Outcome::of(command).unwrap()
    }

    /// Runs a command line in which `lifecycle` is the one under test.
    pub(crate) fn shell(&self, line: &str) -> Outcome {
        let path = std::env::var("PATH").unwrap();
        let lifecycle = self.subject.directory().display();
        let mut command = Command::new("sh");
        command
            .args(["-euc", line])
            .current_dir(self.directory.path())
            .env("PATH", format!("{lifecycle}:{path}"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::null());
        Outcome::of(&mut command).unwrap()
    }

    /// What builds have left in their temporary directory.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("tmp")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().display().to_string());
        names.collect()
    }
}

/// A tar with busybox under all its names, and the libraries it needs.
fn busybox() -> Vec<u8> {
    let output = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let places = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"];
    let place = places.into_iter().find(|place| Path::new(place).exists());
    let place = place.expect("missing: busybox");
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: &str, name: &str| {
        let mut content = Vec::new();
        fs::File::open(path)
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        let mut header = blank();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, &content[..]).unwrap();
    };
    add(place, "bin/busybox");
    let libraries = output("ldd", place);
    for word in libraries
        .split_whitespace()
        .filter(|word| word.starts_with("/lib"))
    {
        add(word, word.trim_start_matches('/'));
    }
    for applet in output(place, "--list")
        .lines()
        .filter(|name| *name != "busybox")
    {
        let mut header = blank();
        header.set_entry_type(tar::EntryType::Symlink);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")
            .unwrap();
    }
    tar.into_inner().unwrap()
}

/// Of root's, with numbers everywhere.
fn blank() -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_mode(0o777);
    header.set_size(0);
    header
}
