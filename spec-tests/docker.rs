//! A Docker daemon of a test's own, with socket and files where nobody else's are.

use crate::subject::Outcome;
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A running daemon; it is stopped when this value is dropped.
pub struct Daemon {
    dir: PathBuf,
    process: Child,
}

impl Daemon {
    /// Starts a daemon with its files below `dir`, and waits until it answers. Its containers have no network of their own.
    ///
    /// # Errors
    /// It cannot be started (that takes root), or ends again; the error holds what it said.
    pub fn start(dir: &Path) -> io::Result<Self> {
        let log = File::create(dir.join("dockerd.log"))?;
        let path = |name: &str| dir.join(name).display().to_string();
        let mut command = Command::new("dockerd");
        command.args(["--host", &format!("unix://{}", path("docker.sock"))]);
        for (flag, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.args([flag, &path(name)]);
        }
        command.args(["--iptables=false", "--bridge=none"]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let mut daemon = Self {
            dir: dir.to_owned(),
            process: command.stderr(log).spawn()?,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !daemon.docker(&["version"]).status()?.success() {
            if daemon.process.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(io::Error::other(fs::read_to_string(
                    dir.join("dockerd.log"),
                )?));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }

    /// The directory with its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    /// A call of the client, whose output goes nowhere.
    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What the client prints.
    ///
    /// # Errors
    /// It fails; the error holds what it said.
    pub fn output(&self, args: &[&str]) -> io::Result<String> {
        let outcome = Outcome::of(&mut self.docker(args))?;
        match outcome.code {
            Some(0) => Ok(outcome.text.trim().to_owned()),
            _ => Err(io::Error::other(format!(
                "docker {args:?}: {}",
                outcome.text
            ))),
        }
    }

    /// The image's description; `Null` if there is no such image.
    ///
    /// # Errors
    /// The client cannot be started.
    pub fn inspect(&self, name: &str) -> io::Result<Value> {
        let mut inspect = self.docker(&["image", "inspect", name]);
        let output = inspect.stdout(Stdio::piped()).output()?;
        let mut images: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok(images.get_mut(0).map(Value::take).unwrap_or_default())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked nicely, it takes its containerd with it.
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        let _ = self.process.wait();
    }
}
