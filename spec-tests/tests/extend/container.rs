//! A container made of namespaces: a root of its own with the machine's programs, and the base image that its files stand for.

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use spec_tests::layout::{Image, write_documents};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

/// Mounts what a container has, then runs the rest of the command line in the root.
const ENTER: &str = r#"
set -e
root=$1; shift
for dir in usr dev proc; do mount --rbind /$dir "$root/$dir"; done
mount -o remount,bind,ro "$root/usr"
exec chroot "$root" "$@"
"#;

/// A container whose root file system is a directory; the volume is below `kaniko`.
pub(crate) struct Container {
    root: PathBuf,
    work: Rc<tempfile::TempDir>,
}

impl Container {
    /// A container of the base image, with a new volume.
    pub(crate) fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        // Others than root have to get into it.
        fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = work.path().join("1");
        let container = Self {
            root,
            work: Rc::new(work),
        };
        container.fill();
        container.write_base();
        container
    }

    /// Another container of the same base image, with this one's volume.
    pub(crate) fn next(&self) -> Self {
        let number = fs::read_dir(self.work.path()).unwrap().count() + 1;
        let container = Self {
            root: self.work.path().join(number.to_string()),
            work: Rc::clone(&self.work),
        };
        container.fill();
        fs::remove_dir(container.path("kaniko")).unwrap();
        fs::rename(self.path("kaniko"), container.path("kaniko")).unwrap();
        container
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn fill(&self) {
        for dir in [
            "usr",
            "dev",
            "proc",
            "tmp",
            "run",
            "etc",
            "kaniko",
            "layers",
            "workspace",
            "platform",
            "data/sub",
            "opt/lifecycle",
        ] {
            fs::create_dir_all(self.path(dir)).unwrap();
        }
        for dir in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{dir}"), self.path(dir)).unwrap();
        }
        symlink("data/sub", self.path("link")).unwrap();
        fs::set_permissions(self.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        self.write(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\ncnb:x:1000:1000::/home/cnb:/bin/sh\n",
        );
        self.write("etc/group", "root:x:0:\ncnb:x:1000:\nvideo:x:44:cnb\n");
        self.write("etc/base.conf", "base\n");
        self.write("data/one", "1\n");
        let extender = Subject::under_test().unwrap().directory().join("lifecycle");
        let place = self.path("opt/lifecycle/extender");
        if fs::hard_link(&extender, &place).is_err() {
            fs::copy(extender, place).unwrap();
        }
        for (path, content) in [
            ("a.txt", "A\n"),
            ("b.txt", "B\n"),
            ("dir/in", "I\n"),
            ("ignored", "no\n"),
            (".dockerignore", "ignored\n.dockerignore\n"),
        ] {
            self.write(&format!("workspace/{path}"), content);
        }
        fs::set_permissions(
            self.path("workspace/b.txt"),
            fs::Permissions::from_mode(0o600),
        )
        .unwrap();
    }

    /// The base image as a restorer leaves it: documents without layers.
    fn write_base(&self) {
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "1".repeat(64))]},
            "config": {"User": "1234:1000", "Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/bash"]},
        });
        let digest = write_documents(&self.path("kaniko/cache/base"), &config).unwrap();
        fs::write(
            self.work.path().join("reference"),
            format!("test/run@{digest}"),
        )
        .unwrap();
    }

    /// Extends the run image by a Dockerfile for each extension; each gets its `FROM`.
    pub(crate) fn extend(&self, dockerfiles: &[&str]) -> Outcome {
        self.run(dockerfiles, "container=test")
    }

    /// The same, where nothing in the environment says that it is a container.
    pub(crate) fn extend_outside(&self, dockerfiles: &[&str]) -> Outcome {
        self.run(dockerfiles, "container=")
    }

    fn run(&self, dockerfiles: &[&str], marker: &str) -> Outcome {
        let reference = fs::read_to_string(self.work.path().join("reference")).unwrap();
        self.write(
            "layers/analyzed.toml",
            &format!(
                "[run-image]\nreference = \"{reference}\"\nimage = \"test/run\"\nextend = true\n"
            ),
        );
        let mut group = "[[group]]\nid = \"bp\"\nversion = \"1\"\napi = \"0.10\"\n".to_owned();
        for (index, dockerfile) in dockerfiles.iter().enumerate() {
            group += &format!(
                "[[group-extensions]]\nid = \"e/{index}\"\nversion = \"1\"\napi = \"0.10\"\n"
            );
            let directory = format!("layers/generated/e_{index}");
            self.write(
                &format!("{directory}/run.Dockerfile"),
                &format!("ARG base_image\nFROM ${{base_image}}\n{dockerfile}\n"),
            );
            self.write(
                &format!("{directory}/extend-config.toml"),
                "[[run.args]]\nname = \"given\"\nvalue = \"from config\"\n",
            );
        }
        self.write("layers/group.toml", &group);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", ENTER, "enter"])
            .arg(&self.root);
        command.args([
            "/usr/bin/env",
            "-i",
            marker,
            "CNB_PLATFORM_API=0.13",
            "https_proxy=http://proxy",
            "PATH=/usr/bin:/bin",
        ]);
        command.args(["/opt/lifecycle/extender", "-kind", "run", "-no-color"]);
        Outcome::of(command.stdin(Stdio::null())).expect("unshare --mount; needs root")
    }

    fn layout(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.path("layers/extended/run")).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    pub(crate) fn is_extended(&self) -> bool {
        self.path("layers/extended/run").exists()
    }

    /// The `config` of the extended image.
    pub(crate) fn config(&self) -> Value {
        Image::open(&self.layout()).unwrap().config["config"].clone()
    }

    /// The entries of the layers that were added, `name mode owner content`; lines of contents are joined by commas.
    pub(crate) fn added(&self) -> Vec<String> {
        let layout = self.layout();
        let image = Image::open(&layout).unwrap();
        let layers = image.layers.iter().skip(1);
        layers
            .flat_map(|layer| entries(&layout, &layer.digest))
            .collect()
    }

    /// Does to the cache what its volume's owner could do.
    pub(crate) fn give_cache_away(&self) {
        let status = Command::new("chown")
            .args(["-R", "1000:1000"])
            .arg(self.path("kaniko/cache/layers"))
            .status();
        assert!(status.unwrap().success());
    }
}

fn entries(layout: &Path, digest: &str) -> Vec<String> {
    let blob = layout.join("blobs").join(digest.replace(':', "/"));
    let mut archive = tar::Archive::new(MultiGzDecoder::new(fs::File::open(blob).unwrap()));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let name = entry.path().unwrap().display().to_string();
        let header = entry.header();
        let link = || entry.link_name().unwrap().unwrap().display().to_string();
        let what = match header.entry_type() {
            tar::EntryType::Directory => "/".to_owned(),
            tar::EntryType::Symlink => format!("-> {}", link()),
            tar::EntryType::Link => format!("= {}", link()),
            tar::EntryType::Fifo => "fifo".to_owned(),
            _ => content.trim_end().replace('\n', ","),
        };
        let (mode, uid, gid) = (
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
        );
        format!("{} {mode:o} {uid}:{gid} {what}", name.trim_end_matches('/'))
            .trim_end()
            .to_owned()
    });
    entries.collect()
}
