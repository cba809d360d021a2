//! A Docker daemon on a socket and data root of its own, and Docker's client to look into it.

mod engines;

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
    /// What was started; waiting for its end is waiting for the daemon's.
    process: Child,
    engine: Engine,
}

/// What answers at the socket.
enum Engine {
    Docker,
    /// Docker in a process namespace of its own, as the child of the process that made that.
    EnclosedDocker,
    /// Podman, with the arguments that lead to its files.
    Podman(Vec<String>),
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
        Self::launch(dir, command, Engine::Docker)
    }

    /// Runs a daemon, which has its files below `dir`, and waits until it answers at `docker.sock` there.
    fn launch(dir: &Path, mut command: Command, engine: Engine) -> io::Result<Self> {
        let log = File::create(dir.join("daemon.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?);
        let mut daemon = Self {
            dir: dir.to_owned(),
            process: command.stderr(log).spawn()?,
            engine,
        };
        let deadline = Instant::now() + START_LIMIT;
        while !daemon.docker(&["version"]).status()?.success() {
            if daemon.process.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(dir.join("daemon.log"))?;
                let program = command.get_program().display();
                return Err(io::Error::other(format!(
                    "{program} does not answer:\n{log}"
                )));
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
        let id = self.process.id();
        match self.engine {
            Engine::EnclosedDocker => {
                let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
                let child = children.ok().and_then(|ids| ids.trim().parse().ok());
                child.unwrap_or(id)
            }
            Engine::Docker | Engine::Podman(_) => id,
        }
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
        done(&mut self.docker(args))
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
        let run = ["run", "--rm", "--network=host"];
        let Engine::Podman(podman) = &self.engine else {
            return self.output(&[&run, &[image][..], args].concat());
        };
        let (program, flags) = podman.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        // Docker's client cannot attach to its containers. Its own limits may be above what the machine allows.
        command.args(flags).args(run);
        command.args(["--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000"]);
        command.arg(format!("docker.io/{image}")).args(args);
        done(&mut command)
    }

    /// Kills it in the middle of what it does.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn kill(&self) -> io::Result<()> {
        signal("-KILL", self.pid())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked nicely, it takes its containerd with it; killed, it leaves that behind.
        let _ = signal("-TERM", self.pid());
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

/// What a command prints that has to succeed.
fn done(command: &mut Command) -> io::Result<String> {
    let outcome = Outcome::of(command)?;
    match outcome.code {
        Some(0) => Ok(outcome.text.trim().to_owned()),
        _ => Err(io::Error::other(format!("{command:?}: {}", outcome.text))),
    }
}

fn signal(signal: &str, pid: u32) -> io::Result<()> {
    let mut kill = Command::new("kill");
    kill.args([signal, &pid.to_string()]).stderr(Stdio::null());
    kill.status().map(drop)
}
