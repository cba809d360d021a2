//! A Docker daemon on a socket and data root of its own, and Docker's client to look into it.

use crate::subject::Outcome;
use serde_json::Value;
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Who builds and runs apps here: nobody, who may not open the daemon's socket.
pub const USER: u32 = 65_534;
/// How long the daemon may take to answer for the first time.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running dockerd; it is stopped, with all that it started and mounted, when the value drops.
pub struct Daemon {
    dir: PathBuf,
    process: Child,
}

impl Daemon {
    /// Starts dockerd with its files below `dir`, and waits until it answers at its socket. Containers have no network
    /// of their own.
    ///
    /// # Errors
    /// It cannot be started (that takes root), ends, or does not answer; the error holds what it said.
    pub fn start(dir: &Path) -> io::Result<Self> {
        Self::start_with(dir, &[])
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_with(dir: &Path, args: &[&str]) -> io::Result<Self> {
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
        command
            .args(["--iptables=false", "--bridge=none"])
            .args(args);
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let mut daemon = Self {
            dir: dir.to_owned(),
            process: command.stderr(log).spawn()?,
        };
        let deadline = Instant::now() + START_LIMIT;
        while !daemon.docker(&["version"]).status()?.success() {
            if daemon.process.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(dir.join("dockerd.log"))?;
                return Err(io::Error::other(format!("dockerd does not answer:\n{log}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    /// The directory with its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A command of Docker's client.
    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["--host", &self.host()]).args(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What a command of Docker's client prints.
    ///
    /// # Errors
    /// It fails.
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

    /// The image's id, 64 digits; empty if there is no such image.
    ///
    /// # Errors
    /// The client cannot be started.
    pub fn id(&self, name: &str) -> io::Result<String> {
        let image = self.inspect(name)?;
        let id = image.get("Id").and_then(Value::as_str).unwrap_or_default();
        Ok(id.trim_start_matches("sha256:").to_owned())
    }

    /// Makes a run image of one layer with busybox and a file `/mark` that makes it another one than those with other marks.
    ///
    /// # Errors
    /// busybox is missing, or the daemon refuses.
    pub fn make_run_image(&self, name: &str, mark: &str) -> io::Result<()> {
        let root = self.dir.join("root");
        fs::create_dir_all(root.join("bin"))?;
        let path = env::var_os("PATH").unwrap_or_default();
        let busybox = env::split_paths(&path).map(|dir| dir.join("busybox"));
        let busybox = busybox.into_iter().find(|path| path.is_file());
        let busybox = busybox.ok_or_else(|| io::Error::other("busybox is missing"))?;
        fs::copy(busybox, root.join("bin/busybox"))?;
        fs::write(root.join("mark"), mark)?;
        let tar = self.dir.join("root.tar");
        let mut pack = Command::new("tar");
        pack.arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".");
        if !pack.status()?.success() {
            return Err(io::Error::other("tar fails"));
        }
        let user = format!("USER {USER}");
        let tar = tar.display().to_string();
        self.output(&["import", "-c", &user, "-c", "ENV PATH=/bin", &tar, name])
            .map(drop)
    }

    /// What a container of the image prints, started with `args`.
    ///
    /// # Errors
    /// It fails.
    pub fn run(&self, image: &str, args: &[&str]) -> io::Result<String> {
        let run = ["run", "--rm", "--network=host", image];
        self.output(&[&run, args].concat())
    }

    /// Kills it in the middle of what it does.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked nicely, it takes its containerd with it; killed, it leaves that behind.
        let _ = signal("-TERM", self.process.id());
        let _ = self.process.wait();
        let pid = fs::read_to_string(self.dir.join("exec/containerd/containerd.pid"));
        if let Some(pid) = pid.ok().and_then(|pid| pid.trim().parse().ok()) {
            let _ = signal("-KILL", pid);
            let _ = fs::remove_file(self.dir.join("exec/containerd/containerd.pid"));
        }
        let _ = fs::remove_file(self.dir.join("pid"));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let ours = places.filter(|place| Path::new(place).starts_with(&self.dir));
        for place in ours.collect::<Vec<_>>().into_iter().rev() {
            let _ = Command::new("umount").args(["--lazy", place]).status();
        }
    }
}

fn signal(signal: &str, pid: u32) -> io::Result<()> {
    let mut kill = Command::new("kill");
    kill.args([signal, &pid.to_string()]).stderr(Stdio::null());
    kill.status().map(drop)
}
