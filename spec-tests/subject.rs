//! The lifecycle under test.

use std::env;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// A directory with a lifecycle's binaries: `lifecycle` or the phases by name, and `launcher`.
#[derive(Clone, Debug)]
pub struct Subject {
    directory: PathBuf,
}

impl Subject {
    /// The lifecycle in a directory.
    ///
    /// # Errors
    /// There is none.
    pub fn at(directory: &Path) -> io::Result<Self> {
        let directory = directory.canonicalize()?;
        for name in ["creator", "launcher"] {
            if !directory.join(name).is_file() {
                let message = format!("{}: no {name} in it", directory.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, message));
            }
        }
        Ok(Self { directory })
    }

    /// What tests run: the directory that `LIFECYCLE_DIR` names, otherwise this workspace's binaries, built by cargo first.
    ///
    /// # Errors
    /// The directory holds no lifecycle, or cargo fails.
    pub fn under_test() -> io::Result<Self> {
        if let Some(directory) = env::var_os("LIFECYCLE_DIR") {
            return Self::at(Path::new(&directory));
        }
        static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let built = BUILT.get_or_init(|| build().map_err(|error| error.to_string()));
        Self::at(
            built
                .as_ref()
                .map_err(|error| io::Error::other(error.clone()))?,
        )
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A command that runs the binary `name` (`creator`, `launcher`), with `PATH` and `HOME` as its whole environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.directory.join(name));
        command.env_clear().stdin(Stdio::null());
        for variable in ["PATH", "HOME"] {
            command.envs(env::var_os(variable).map(|value| (variable, value)));
        }
        command
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output and standard error.
    pub text: String,
}

impl Outcome {
    /// Runs a command to its end, for at most a minute.
    ///
    /// # Errors
    /// It cannot be started, or it hangs (and is killed).
    pub fn of(command: &mut Command) -> io::Result<Self> {
        Self::within(Duration::from_secs(60), command)
    }

    /// Runs a command to its end, for at most `limit`.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn within(limit: Duration, command: &mut Command) -> io::Result<Self> {
        // A file, not a pipe: what the command leaves behind may hold the other end open.
        let mut log = tempfile::tempfile()?;
        let mut process = command
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            .spawn()?;
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = process.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                process.kill()?;
                process.wait()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the command hangs"));
            }
            thread::sleep(Duration::from_millis(5));
        };
        let mut text = Vec::new();
        log.rewind()?;
        log.read_to_end(&mut text)?;
        Ok(Self {
            code: status.code(),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }
}

/// Builds the workspace's binaries in the profile of the running test, and returns where they are.
fn build() -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    let directory = test
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .unwrap_or_default();
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo told this test about its package would make the other packages look changed.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.args(["build", "--quiet", "--locked", "--workspace", "--bins"]);
    command.args(["--profile", profile]);
    match command.status()? {
        status if status.success() => Ok(directory),
        status => Err(io::Error::other(format!("cargo build: {status}"))),
    }
}
