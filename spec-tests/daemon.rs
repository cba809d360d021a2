//! Builds into a real Docker daemon, which the test starts on a socket and data root of its own (`make test-docker`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;
use spec_tests::docker::Daemon;
use spec_tests::site::work_directory;
use spec_tests::subject::{Outcome, Subject};
use std::fs::{self, File, Permissions};
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Who builds: nobody, who may not open the daemon's socket.
const USER: u32 = 65_534;

/// A daemon with run images.
struct Images(Daemon);

impl Deref for Images {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.0
    }
}

impl Images {
    fn start(dir: &Path) -> Self {
        Self(Daemon::start(dir).unwrap())
    }

    fn output(&self, args: &[&str]) -> String {
        self.0.output(args).unwrap()
    }

    fn inspect(&self, name: &str) -> Value {
        self.0.inspect(name).unwrap()
    }

    fn id(&self, name: &str) -> String {
        self.inspect(name)["Id"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Makes a run image of busybox; `mark` makes it another one.
    fn make_run_image(&self, name: &str, mark: &str) {
        let root = self.dir().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        let busybox = Command::new("sh")
            .args(["-c", "command -v busybox"])
            .output();
        let busybox = String::from_utf8(busybox.unwrap().stdout).unwrap();
        fs::copy(busybox.trim(), root.join("bin/busybox")).unwrap();
        fs::write(root.join("mark"), mark).unwrap();
        let tar = self.dir().join("root.tar");
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".");
        assert!(status_of(&mut pack).success());
        let user = format!("USER {USER}");
        let tar = tar.display().to_string();
        let import = ["import", "-c", &user, "-c", "ENV PATH=/bin", &tar, name];
        assert!(status_of(&mut self.docker(&import)).success());
    }

    /// What a container of the image prints; its description has to do where containers cannot run.
    fn run(&self, image: &str) -> Option<String> {
        let probe = [
            "run",
            "--rm",
            "--network=host",
            "samples/run",
            "/bin/busybox",
            "true",
        ];
        if !self.docker(&probe).status().unwrap().success() {
            let entrypoint = &self.inspect(image)["Config"]["Entrypoint"];
            assert_eq!(*entrypoint, serde_json::json!(["/cnb/process/web"]));
            return None;
        }
        Some(self.output(&["run", "--rm", "--network=host", image]))
    }
}

fn status_of(command: &mut Command) -> std::process::ExitStatus {
    command.status().unwrap()
}

/// A build of a buildpack that makes a layer it need not make again, and an app of one file.
struct Build {
    dir: PathBuf,
    subject: Subject,
}

const BUILD: &str = r#"#!/bin/sh
set -e
if [ ! -e "$1/kept.toml" ]; then mkdir -p "$1/kept"; echo kept > "$1/kept/file"; fi
printf '[types]\nlaunch = true\n[metadata]\nmade = true\n' > "$1/kept.toml"
cat > "$1/launch.toml" <<END
[[processes]]
type = "web"
command = ["/bin/busybox"]
args = ["cat", "$PWD/page", "$1/kept/file"]
default = true
END
"#;

impl Build {
    fn new(dir: &Path) -> Self {
        let write = |name: &str, content: &str, mode: u32| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        let buildpack = "api = \"0.10\"\n[buildpack]\nid = \"kept\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\n";
        write("buildpacks/kept/1/buildpack.toml", buildpack, 0o644);
        write("buildpacks/kept/1/bin/detect", "#!/bin/sh\n", 0o755);
        write("buildpacks/kept/1/bin/build", BUILD, 0o755);
        let order = "[[order]]\n[[order.group]]\nid = \"kept\"\nversion = \"1\"\n";
        write("order.toml", order, 0o644);
        write("run.toml", "[[images]]\nimage = \"samples/run\"\n", 0o644);
        write("app/page", "page", 0o644);
        for name in ["platform", "cache", "launch-cache"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        Self {
            dir: dir.to_owned(),
            subject: Subject::under_test().unwrap(),
        }
    }

    fn command(&self, host: &str, args: &[&str]) -> Command {
        let path = |name: &str| self.dir.join(name).display().to_string();
        let _ = fs::remove_dir_all(path("layers"));
        fs::create_dir(path("layers")).unwrap();
        chown(path("layers"), Some(USER), Some(USER)).unwrap();
        let mut command = self.subject.command("creator");
        command
            .env("DOCKER_HOST", host)
            .env("CNB_PLATFORM_API", "0.12");
        for (flag, name) in [
            ("-app", "app"),
            ("-buildpacks", "buildpacks"),
            ("-cache-dir", "cache"),
            ("-launch-cache", "launch-cache"),
            ("-layers", "layers"),
            ("-order", "order.toml"),
            ("-platform", "platform"),
            ("-run", "run.toml"),
        ] {
            command.args([flag, &path(name)]);
        }
        let user = USER.to_string();
        let launcher = self
            .subject
            .directory()
            .join("launcher")
            .display()
            .to_string();
        command.args(["-uid", &user, "-gid", &user, "-launcher", &launcher]);
        command.args(["-daemon", "-no-color"]).args(args);
        command
    }

    fn create(&self, host: &str, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(host, args)).unwrap()
    }

    fn created(&self, host: &str, args: &[&str]) -> String {
        let outcome = self.create(host, args);
        assert_eq!(outcome.code, Some(0), "{}", outcome.text);
        outcome.text
    }

    fn report(&self) -> toml::Table {
        let report = fs::read_to_string(self.dir.join("layers/report.toml")).unwrap();
        report.parse().unwrap()
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn apps_are_built_into_a_daemon() {
    let work = work_directory().unwrap();
    let daemon = Images::start(work.path());
    let host = daemon.host();
    daemon.make_run_image("samples/run", "1");
    let build = Build::new(&work.path().join("build"));

    let text = build.created(
        &host,
        &[
            "-run-image",
            "samples/run",
            "-tag",
            "samples/app:two",
            "samples/app",
        ],
    );
    let first = daemon.id("samples/app");
    assert_eq!(daemon.id("samples/app:two"), first);
    let short = first.get("sha256:".len()..).unwrap().get(..12).unwrap();
    has(
        &text,
        &[
            "Adding layer 'kept:kept'",
            &format!("*** Images ({short}):"),
        ],
    );
    assert_eq!(
        build.report()["image"]["image-id"].as_str(),
        first.strip_prefix("sha256:")
    );
    let image = daemon.inspect("samples/app");
    assert_eq!(image["Created"], "1980-01-01T00:00:01Z");
    assert_eq!(
        image["Config"]["Entrypoint"],
        serde_json::json!(["/cnb/process/web"])
    );
    let history = daemon.output(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "samples/app",
    ]);
    has(
        &history,
        &[
            "Layer: 'kept', Created by buildpack: kept@1",
            "Application Layer",
        ],
    );
    if let Some(page) = daemon.run("samples/app") {
        assert_eq!(page, "pagekept");
    }

    let text = build.created(&host, &["-run-image", "samples/run", "samples/app"]);
    has(
        &text,
        &["Reusing layer 'kept:kept'", "Reused 1/1 app layer(s)"],
    );
    assert_eq!(daemon.id("samples/app"), first, "an unchanged app");

    // The kept layer lies on other layers now, and only the cache or the daemon has it.
    daemon.make_run_image("samples/other", "2");
    for cached in [true, false] {
        if !cached {
            fs::remove_dir_all(build.dir.join("launch-cache/committed")).unwrap();
        }
        let args = [
            "-run-image",
            "samples/other",
            "-previous-image",
            "samples/app:two",
            "samples/moved",
        ];
        let text = build.created(&host, &args);
        has(&text, &["Reusing layer 'kept:kept'"]);
        if let Some(page) = daemon.run("samples/moved") {
            assert_eq!(page, "pagekept");
        }
        status_of(&mut daemon.docker(&["rmi", "samples/moved"]));
    }
}

#[test]
fn failures_name_the_daemon_and_leave_the_old_image() {
    let work = work_directory().unwrap();
    let build = Build::new(&work.path().join("build"));
    let absent = format!("unix://{}", work.path().join("docker.sock").display());
    let outcome = build.create(&absent, &["-run-image", "samples/run", "samples/app"]);
    assert_eq!(outcome.code, Some(32), "{}", outcome.text);
    let cause = format!("cannot reach the docker daemon at {absent}: no such file or directory");
    has(&outcome.text, &[&cause]);
    let outcome = build.create("bogus", &["-run-image", "samples/run", "samples/app"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.text);
    has(&outcome.text, &["unable to parse docker host `bogus`"]);

    let daemon = Images::start(work.path());
    daemon.make_run_image("samples/run", "1");
    let args = ["-run-image", "samples/run", "samples/app"];
    build.created(&daemon.host(), &args);
    let old = daemon.id("samples/app");

    // Large enough that the daemon is still unpacking when it is killed.
    let large = File::create(build.dir.join("app/large")).unwrap();
    large.set_len(3 << 30).unwrap();
    let killer = {
        let (pid, temporary) = (daemon.pid(), work.path().join("data/tmp"));
        thread::spawn(move || {
            let loading = || fs::read_dir(&temporary).is_ok_and(|mut dir| dir.next().is_some());
            let deadline = Instant::now() + Duration::from_secs(60);
            while !loading() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            status_of(Command::new("kill").args(["-KILL", &pid.to_string()]));
        })
    };
    let outcome = build.create(&daemon.host(), &args);
    killer.join().unwrap();
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    has(
        &outcome.text,
        &[&format!(
            "cannot reach the docker daemon at {}",
            daemon.host()
        )],
    );

    // Its containerd does not go by itself, and another one is not started beside it.
    let pid_file = work.path().join("exec/containerd/containerd.pid");
    if let Ok(pid) = fs::read_to_string(&pid_file) {
        let _ = status_of(Command::new("kill").args(["-KILL", pid.trim()]));
        let _ = fs::remove_file(pid_file);
    }
    drop(daemon);
    let _ = fs::remove_file(work.path().join("pid"));
    let daemon = Images::start(work.path());
    assert_eq!(daemon.id("samples/app"), old);
}
