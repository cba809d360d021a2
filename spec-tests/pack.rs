//! Builds into a daemon with the command lines that pack gives to phases.

use crate::docker::USER;
use crate::subject::{Outcome, Subject};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The run image that is built on.
pub const RUN_IMAGE: &str = "samples/run";

/// The directories of a build: a buildpack that makes a layer it need not make again, and an app of one file.
pub struct Build {
    /// Where all of them are.
    pub dir: PathBuf,
    subject: Subject,
    variables: Vec<(String, String)>,
}

const BUILDPACK: &str = r#"api = "0.10"
[buildpack]
id = "kept"
version = "1"
[[targets]]
os = "linux"
"#;
/// Prints the app's file and the layer's; a second process prints what it was started with.
const BUILD: &str = r#"#!/bin/sh
set -e
if [ ! -e "$1/kept.toml" ]; then
    mkdir -p "$1/kept/env.launch"
    echo kept > "$1/kept/file"
    printf value > "$1/kept/env.launch/FROM_BUILDPACK"
fi
printf '[types]\nlaunch = true\n[metadata]\nmade = true\n' > "$1/kept.toml"
cat > "$1/launch.toml" <<END
[[labels]]
key = "samples.label"
value = "labelled"
[[processes]]
type = "web"
command = ["/bin/busybox"]
args = ["cat", "$PWD/page", "$1/kept/file"]
default = true
[[processes]]
type = "env"
command = ["/bin/busybox"]
args = ["env"]
END
"#;

impl Build {
    /// Makes the directories below `dir`; `docker_host` is where the daemon is.
    ///
    /// # Errors
    /// A file cannot be written, or there is no lifecycle to test.
    pub fn new(dir: &Path, docker_host: &str) -> io::Result<Self> {
        Self::of(Subject::under_test()?, dir, docker_host)
    }

    /// The same with another lifecycle.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn of(subject: Subject, dir: &Path, docker_host: &str) -> io::Result<Self> {
        let write = |name: &str, content: &str, mode: u32| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(&path, content)?;
            fs::set_permissions(&path, Permissions::from_mode(mode))
        };
        write("buildpacks/kept/1/buildpack.toml", BUILDPACK, 0o644)?;
        write("buildpacks/kept/1/bin/detect", "#!/bin/sh\n", 0o755)?;
        write("buildpacks/kept/1/bin/build", BUILD, 0o755)?;
        let order = "[[order]]\n[[order.group]]\nid = \"kept\"\nversion = \"1\"\n";
        write("order.toml", order, 0o644)?;
        let run = format!("[[images]]\nimage = \"{RUN_IMAGE}\"\n");
        write("run.toml", &run, 0o644)?;
        write("app/page", "page", 0o644)?;
        for name in ["platform", "cache", "launch-cache"] {
            fs::create_dir_all(dir.join(name))?;
        }
        let build = Self {
            dir: dir.to_owned(),
            subject,
            variables: vec![("DOCKER_HOST".to_owned(), docker_host.to_owned())],
        };
        build.begin()?;
        Ok(build)
    }

    /// Sets a variable of every phase.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.retain(|(key, _)| key != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Empties the layers directory, as a platform does before each build.
    ///
    /// # Errors
    /// It cannot be removed or made.
    pub fn begin(&self) -> io::Result<()> {
        let layers = self.dir.join("layers");
        if layers.exists() {
            fs::remove_dir_all(&layers)?;
        }
        fs::create_dir(&layers)?;
        chown(&layers, Some(USER), Some(USER))
    }

    /// The command line of a phase: the flags that it has for directories, then `args`. Phases that pack runs as root
    /// become the build's user themselves.
    pub fn command(&self, phase: &str, args: &[&str]) -> Command {
        let mut command = self.subject.command(phase);
        command.envs(self.variables.iter().map(|(key, value)| (key, value)));
        command.env("CNB_PLATFORM_API", "0.15").arg("-no-color");
        let user = USER.to_string();
        match phase {
            "detector" | "builder" => drop(std::os::unix::process::CommandExt::uid(
                std::os::unix::process::CommandExt::gid(&mut command, USER),
                USER,
            )),
            _ => drop(command.args(["-daemon", "-uid", &user, "-gid", &user])),
        }
        for (flag, name, phases) in FLAGS {
            if phases.contains(&phase) {
                command.arg(flag).arg(self.dir.join(name));
            }
        }
        if matches!(phase, "creator" | "exporter") {
            let launcher = self.subject.directory().join("launcher");
            command.arg("-launcher").arg(launcher);
        }
        command.args(args);
        command
    }

    /// Runs a phase.
    ///
    /// # Errors
    /// It cannot be started, or it hangs.
    pub fn phase(&self, phase: &str, args: &[&str]) -> io::Result<Outcome> {
        Outcome::of(&mut self.command(phase, args))
    }

    /// Runs a phase that has to succeed, and returns what it prints.
    ///
    /// # Errors
    /// It fails.
    pub fn done(&self, phase: &str, args: &[&str]) -> io::Result<String> {
        let outcome = self.phase(phase, args)?;
        match outcome.code {
            Some(0) => Ok(outcome.text),
            code => Err(io::Error::other(format!(
                "{phase}: {code:?}\n{}",
                outcome.text
            ))),
        }
    }

    /// Builds with creator from an empty layers directory, which has to succeed.
    ///
    /// # Errors
    /// It fails.
    pub fn create(&self, args: &[&str]) -> io::Result<String> {
        self.begin()?;
        self.done("creator", args)
    }

    /// Builds as pack does with builders that it does not trust: phase by phase. Returns what analyzer, restorer and
    /// exporter print.
    ///
    /// # Errors
    /// A phase fails.
    pub fn build(&self, analyzer: &[&str], exporter: &[&str]) -> io::Result<String> {
        self.begin()?;
        let mut text = self.done("analyzer", analyzer)?;
        self.done("detector", &[])?;
        text += &self.done("restorer", &[])?;
        self.done("builder", &[])?;
        text += &self.done("exporter", exporter)?;
        Ok(text)
    }

    /// A document that phases wrote to the layers directory.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    pub fn document(&self, name: &str) -> io::Result<toml::Table> {
        let text = fs::read_to_string(self.dir.join("layers").join(name))?;
        text.parse().map_err(io::Error::other)
    }

    /// Makes the app's file another one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn change_app(&self, page: impl AsRef<OsStr>) -> io::Result<()> {
        fs::write(self.dir.join("app/page"), page.as_ref().as_encoded_bytes())
    }
}

/// Flags for directories and files, and the phases that have them.
const FLAGS: [(&str, &str, &[&str]); 8] = [
    (
        "-app",
        "app",
        &["detector", "builder", "exporter", "creator"],
    ),
    (
        "-buildpacks",
        "buildpacks",
        &["detector", "builder", "creator"],
    ),
    ("-cache-dir", "cache", &["restorer", "exporter", "creator"]),
    (
        "-launch-cache",
        "launch-cache",
        &["analyzer", "exporter", "creator"],
    ),
    (
        "-layers",
        "layers",
        &[
            "analyzer", "detector", "restorer", "builder", "exporter", "creator",
        ],
    ),
    ("-order", "order.toml", &["detector", "creator"]),
    ("-platform", "platform", &["detector", "builder", "creator"]),
    ("-run", "run.toml", &["analyzer", "exporter", "creator"]),
];
