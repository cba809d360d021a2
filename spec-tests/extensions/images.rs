//! Debian as run image, and a builder with extensions on top of it, in a registry.

use spec_tests::builder::repository;
use spec_tests::docker::Daemon;
use spec_tests::net::registry::Registry;
use spec_tests::subject::{Outcome, Subject};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who builds and runs the app.
pub(crate) const USER: u32 = 1000;

const PHASES: [&str; 7] = [
    "analyzer", "builder", "detector", "exporter", "extender", "restorer", "launcher",
];

/// The names of the images, and the registry with them.
pub(crate) struct Images {
    pub(crate) run: String,
    pub(crate) builder: String,
    pub(crate) app: String,
    /// `/cnb/lifecycle`.
    pub(crate) lifecycle: PathBuf,
    _registry: Registry,
}

impl Images {
    pub(crate) fn make(daemon: &Daemon, dir: &Path) -> Self {
        let registry = Registry::open().unwrap();
        let name = |name: &str| format!("{}/{name}", registry.address());
        let (run, other, builder) = (name("run"), name("other"), name("builder"));
        let tar = debian(dir);
        let tar = tar.display().to_string();
        let user = format!("USER {USER}:{USER}");
        let path = "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        let import = ["import", "-c", &user, "-c", path, &tar, &run];
        daemon.output(&import).unwrap();

        write(&dir.join("other/mark"), "switched\n", 0o644);
        build(daemon, &dir.join("other"), &other, &run, "COPY mark /mark");
        let context = dir.join("builder");
        let lifecycle = fill(&context, &run, &other);
        let env = format!("COPY cnb /cnb\nENV CNB_USER_ID={USER} CNB_GROUP_ID={USER}");
        build(daemon, &context, &builder, &run, &env);
        for image in [&run, &other, &builder] {
            daemon.output(&["push", "--quiet", image]).unwrap();
        }
        Self {
            run,
            builder,
            app: name("app"),
            lifecycle,
            _registry: registry,
        }
    }
}

fn build(daemon: &Daemon, context: &Path, name: &str, base: &str, instructions: &str) {
    write(
        &context.join("Dockerfile"),
        &format!("FROM {base}\n{instructions}\n"),
        0o644,
    );
    let mut build = daemon.docker(&["build", "--tag", name]);
    build.arg(context).env("DOCKER_BUILDKIT", "0");
    done(&mut build);
}

fn done(command: &mut Command) {
    let outcome = Outcome::of(command).unwrap();
    assert_eq!(outcome.code, Some(0), "{command:?}: {}", outcome.text);
}

pub(crate) fn write(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A tar of the root directory that other tests run Docker in, without what it takes most room for.
fn debian(dir: &Path) -> PathBuf {
    let root = repository().join("target/trixie-root");
    let mut make = Command::new("sh");
    make.arg(repository().join(".ci/trixie-root")).arg(&root);
    done(&mut make);
    fs::create_dir_all(dir).unwrap();
    let tar = dir.join("debian.tar");
    let mut pack = Command::new("tar");
    pack.args(["--numeric-owner", "--one-file-system", "--anchored"]);
    for path in [
        "*bin/containerd*",
        "*bin/ctr",
        "*bin/docker*",
        "*bin/runc",
        "share/doc",
        "share/locale",
    ] {
        pack.arg(format!("--exclude=./usr/{path}"));
    }
    for path in ["var/cache/*", "var/lib/apt/*", "etc/passwd"] {
        pack.arg(format!("--exclude=./{path}"));
    }
    done(pack.arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."));
    // The build image has to know its user.
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    let passwd = format!("{passwd}cnb:x:{USER}:{USER}::/home/cnb:/bin/sh\n");
    write(&dir.join("more/etc/passwd"), &passwd, 0o644);
    let mut add = Command::new("tar");
    add.args(["--owner=0", "--group=0", "-C"])
        .arg(dir.join("more"));
    done(add.arg("-rf").arg(&tar).arg("./etc/passwd"));
    tar
}

const EXTENSION: &str = "api = \"0.10\"\n[extension]\nid = \"ID\"\nversion = \"1\"\n";
const BUILDPACK: &str =
    "api = \"0.10\"\n[buildpack]\nid = \"says\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\n";
const ORDER: &str = r#"
[[order]]
[[order.group]]
id = "says"
version = "1"

[[order-extensions]]
[[order-extensions.group]]
id = "package"
version = "1"
[[order-extensions.group]]
id = "copies"
version = "1"
[[order-extensions.group]]
id = "switch"
version = "1"
"#;
const BUILD: &str = r#"#!/bin/sh
set -e
mkdir -p "$1/said"
echo "build: $(hello 2>/dev/null || echo none) $(id -u)" > "$1/said/text"
printf '[types]\nlaunch = true\n' > "$1/said.toml"
cat > "$1/launch.toml" <<END
[[processes]]
type = "web"
command = ["/bin/sh"]
args = ["-c", """
which hello > /dev/null && hello
cat $1/said/text
[ ! -e /opt/copied ] || echo \$(cat /opt/copied) \$(stat -c %u /opt/copied)
[ ! -e /mark ] || cat /mark
id -u
[ ! -e /var/lib/hello/state ] || echo \$(cat /var/lib/hello/state) \$(stat -c %u /var/lib/hello/state)
cat $PWD/page
"""]
default = true
END
"#;
const PACKAGE: &str = r#"#!/bin/sh
set -e
mkdir "$CNB_OUTPUT_DIR/context"
cp /cnb/hello.deb "$CNB_OUTPUT_DIR/context/"
cat > "$CNB_OUTPUT_DIR/build.Dockerfile" <<'END'
ARG base_image
FROM ${base_image}
USER root
COPY hello.deb /tmp/
RUN dpkg -i /tmp/hello.deb && rm /tmp/hello.deb
ARG user_id
ARG group_id
USER ${user_id}:${group_id}
END
cp "$CNB_OUTPUT_DIR/build.Dockerfile" "$CNB_OUTPUT_DIR/run.Dockerfile"
"#;
const COPIES: &str = r#"#!/bin/sh
set -e
mkdir "$CNB_OUTPUT_DIR/context.run"
echo copied > "$CNB_OUTPUT_DIR/context.run/copied"
cat > "$CNB_OUTPUT_DIR/run.Dockerfile" <<'END'
ARG base_image
FROM ${base_image}
ARG user_id
COPY --chown=${user_id} copied /opt/
END
"#;

/// What makes a builder of the run image; returns the lifecycle in it.
fn fill(context: &Path, run: &str, other: &str) -> PathBuf {
    let cnb = context.join("cnb");
    let subject = Subject::under_test().unwrap();
    let lifecycle = cnb.join("lifecycle");
    fs::create_dir_all(&lifecycle).unwrap();
    for name in ["lifecycle", "launcher"] {
        fs::copy(subject.directory().join(name), lifecycle.join(name)).unwrap();
    }
    for phase in PHASES.iter().filter(|phase| **phase != "launcher") {
        symlink("lifecycle", lifecycle.join(phase)).unwrap();
    }
    write(&cnb.join("order.toml"), ORDER, 0o644);
    let images = format!("[[images]]\nimage = \"{run}\"\n[[images]]\nimage = \"{other}\"\n");
    write(&cnb.join("run.toml"), &images, 0o644);
    write(&cnb.join("platform/env/NONE"), "", 0o644);
    let says = cnb.join("buildpacks/says/1");
    write(&says.join("buildpack.toml"), BUILDPACK, 0o644);
    write(&says.join("bin/detect"), "#!/bin/sh\n", 0o755);
    write(&says.join("bin/build"), BUILD, 0o755);
    let switch = format!("#!/bin/sh\necho 'FROM {other}' > \"$CNB_OUTPUT_DIR/run.Dockerfile\"\n");
    for (id, detect, generate) in [
        ("package", "[ ! -e switch ] || exit 100", PACKAGE),
        ("copies", "[ ! -e switch ] || exit 100", COPIES),
        ("switch", "[ -e switch ] || exit 100", &switch),
    ] {
        let dir = cnb.join("extensions").join(id).join("1");
        write(
            &dir.join("extension.toml"),
            &EXTENSION.replace("ID", id),
            0o644,
        );
        write(
            &dir.join("bin/detect"),
            &format!("#!/bin/sh\n{detect}\n"),
            0o755,
        );
        write(&dir.join("bin/generate"), generate, 0o755);
    }
    package(&context.join("hello"), &cnb.join("hello.deb"));
    lifecycle
}

/// A package of one program, whose script leaves a file of another user's.
fn package(dir: &Path, deb: &Path) {
    let control = "Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: says hello\n";
    let script = "#!/bin/sh\nset -e\nmkdir -p /var/lib/hello\necho installed > /var/lib/hello/state\nchown 42 /var/lib/hello/state\n";
    write(&dir.join("DEBIAN/control"), control, 0o644);
    write(&dir.join("DEBIAN/postinst"), script, 0o755);
    write(&dir.join("usr/bin/hello"), "#!/bin/sh\necho hello\n", 0o755);
    let mut pack = Command::new("dpkg-deb");
    done(
        pack.args(["--root-owner-group", "--build"])
            .arg(dir)
            .arg(deb),
    );
}
