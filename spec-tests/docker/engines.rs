//! Other engines behind Docker's API: Docker with the containerd image store, and Podman.

use super::{Daemon, Engine};
use crate::builder::repository;
use crate::subject::Outcome;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// How long the root directory may take to be made: about a hundred packages are fetched.
const ROOT_LIMIT: Duration = Duration::from_secs(600);

impl Daemon {
    /// Starts Debian 13's dockerd with the containerd image store, its files below `dir`. It has a root directory and
    /// a network of its own, where nothing but the loopback interface is.
    ///
    /// # Errors
    /// The root directory cannot be made, or as for [`Self::start`].
    pub fn start_with_containerd(dir: &Path) -> io::Result<Self> {
        let root = trixie_root()?;
        let config = dir.join("daemon.json");
        fs::write(&config, r#"{"features": {"containerd-snapshotter": true}}"#)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--fork", "--kill-child"]);
        command.args(["--propagation=private", "sh", "-c"]);
        command.args([include_str!("enclosed.sh"), "sh"]);
        command.arg(root).arg(dir).arg("--config-file").arg(config);
        command.args(["--iptables=false", "--bridge=none"]);
        // There need not be such a directory in there.
        command.env_remove("TMPDIR");
        Self::launch(dir, command, Engine::EnclosedDocker)
    }

    /// Starts Podman's service with its files below `dir`.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_podman(dir: &Path) -> io::Result<Self> {
        let path = |name: &str| dir.join(name).display().to_string();
        let mut podman = vec!["podman".to_owned()];
        for (flag, name) in [("root", "data"), ("runroot", "run"), ("tmpdir", "libpod")] {
            podman.push(format!("--{flag}={}", path(name)));
        }
        // What the machine's configuration says may not work here: there need not be a systemd.
        for flag in ["cgroup-manager=cgroupfs", "events-backend=none"] {
            podman.push(format!("--{flag}"));
        }
        let mut command = Command::new("podman");
        command.args(podman.iter().skip(1));
        command.args(["system", "service", "--time=0"]);
        command.arg(format!("unix://{}", path("docker.sock")));
        // It leaves archives that it loaded there.
        command.env("TMPDIR", dir);
        Self::launch(dir, command, Engine::Podman(podman))
    }
}

/// The root directory with Debian 13's Docker; made once.
fn trixie_root() -> io::Result<std::path::PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let root = repository().join("target/trixie-root");
    let _guard = ONE_AT_A_TIME.lock();
    let mut make = Command::new("sh");
    make.arg(repository().join(".ci/trixie-root")).arg(&root);
    let outcome = Outcome::within(ROOT_LIMIT, &mut make)?;
    match outcome.code {
        Some(0) => Ok(root),
        _ => Err(io::Error::other(format!("{make:?}: {}", outcome.text))),
    }
}
