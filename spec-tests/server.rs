//! Starts an image's default process from its unpacked files, without a container runtime, and talks to it.

use crate::layout::Image;
use crate::site::Site;
use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How the image's files become the process's root directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By chroot, as the image's user.
    Chroot,
    /// By a user namespace, as its root.
    UserNamespace,
    /// Not at all: the launcher runs on this machine's root directory and is told where layers and app are.
    Beside,
}

impl Place {
    /// The best that this machine lets us do.
    pub fn available() -> Self {
        let may = |program: &str, args: &[&str]| {
            let mut command = Command::new(on_path(program));
            command
                .args(args)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if may("chroot", &["--userspec=1:1", "/", "/bin/true"]) {
            Self::Chroot
        } else if may("unshare", &["--map-root-user", "--root=/", "/bin/true"]) {
            Self::UserNamespace
        } else {
            Self::Beside
        }
    }

    /// The command that starts `entrypoint` of the image unpacked at `root`.
    fn command(self, image: &Image, root: &Path, entrypoint: &str) -> Command {
        match self {
            Self::Chroot => {
                let mut command = Command::new(on_path("chroot"));
                command
                    .arg(format!("--userspec={}", image.user()))
                    .arg(root)
                    .arg(entrypoint);
                command
            }
            Self::UserNamespace => {
                let mut command = Command::new(on_path("unshare"));
                command
                    .arg("--map-root-user")
                    .arg(format!("--root={}", root.display()))
                    .args(["--wd=/", entrypoint]);
                command
            }
            Self::Beside => {
                // The links in /cnb/process lead to an absolute path; the name is all that the launcher takes from them.
                let mut command = Command::new(root.join("cnb/lifecycle/launcher"));
                command.arg0(entrypoint);
                command
            }
        }
    }
}

/// A program of this machine. The command that starts it gets the image's `PATH`, which would be searched otherwise and has
/// no `/usr/sbin` (Debian's place for chroot).
fn on_path(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|directory| directory.join(program));
    places
        .find(|place| place.is_file())
        .unwrap_or_else(|| program.into())
}

/// A running app; it is stopped when the value drops.
pub struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts the image's entrypoint from its files at `root`, with a free port in `PORT`.
    ///
    /// # Errors
    /// The image has no entrypoint, or it cannot be started.
    pub fn start(site: &Site, image: &Image, root: &Path, place: Place) -> io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let entrypoint = image
            .strings("Entrypoint")
            .pop()
            .ok_or_else(|| io::Error::other("the image has no entrypoint"))?;
        let mut command = place.command(image, root, &entrypoint);
        command
            .env_clear()
            .env("PORT", port.to_string())
            .stdin(Stdio::null());
        let variables = image.strings("Env");
        command.envs(
            variables
                .iter()
                .filter_map(|variable| variable.split_once('=')),
        );
        if place == Place::Beside {
            for (name, path) in [("CNB_LAYERS_DIR", &site.layers), ("CNB_APP_DIR", &site.app)] {
                command.env(name, root.join(path.strip_prefix("/").unwrap_or(path)));
            }
        }
        let process = command.spawn().map_err(|error| {
            let program = Path::new(command.get_program()).display();
            io::Error::new(error.kind(), format!("start {program}: {error}"))
        })?;
        Ok(Self { process, port })
    }

    /// Where it listens, on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The page at `/`, as soon as the app listens; waits for at most ten seconds.
    ///
    /// # Errors
    /// The app ends, doesn't listen, or answers with another status than 200.
    pub fn page(&mut self) -> io::Result<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(io::Error::other(format!(
                    "the app ended before it listened: {status}"
                )));
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
            _ => Err(io::Error::other(format!("the app answered {answer:?}"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
