//! The docker-credential protocol: `docker-credential-NAME get` reads a registry and writes JSON.

use super::Credentials;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::json::{self, Numbers};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a helper may take; its own test is not to wait that long.
const TIME_LIMIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
const MAX_ANSWER: usize = 1 << 20;
const NOT_FOUND: &str = "credentials not found";

/// The program `docker-credential-NAME` in `path`.
pub(super) fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return None;
    }
    let file = format!("docker-credential-{name}");
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(&file))
        .find(|candidate| candidate.is_file())
}

/// Asks the helper `name` about `server`; `None` if it knows nothing.
///
/// # Errors
/// There is no such program, it fails, takes too long, or answers something else than credentials.
pub(super) fn get(name: &str, server: &str, path: &OsStr) -> Result<Option<Credentials>> {
    let context = || format!("ask docker-credential-{name} about {server}");
    let missing = || Error::new(ErrorKind::NotFound, "no such program in PATH");
    let program = find(name, path).ok_or_else(missing).context(context)?;
    run(&program, server).context(context)
}

fn run(program: &Path, server: &str) -> Result<Option<Credentials>> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that needs no input may have closed it.
        let _ = stdin.write_all(server.as_bytes());
    }
    let answer = child.stdout.take().map_or(Ok(String::new()), read_answer);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let answer = answer?;
    match status.success() {
        true => parse(&answer).map(Some),
        false if answer.contains(NOT_FOUND) => Ok(None),
        // The answer may hold a secret: it stays out of the message.
        false => Err(Error::other(format!("it failed: {status}"))),
    }
}

/// Reads to the end, within the limits of time and size. No thread: privileges are dropped after this.
fn read_answer(mut stdout: ChildStdout) -> Result<String> {
    let start = Instant::now();
    let mut answer = Vec::new();
    loop {
        let left = TIME_LIMIT.saturating_sub(start.elapsed());
        let wait = Timespec::try_from(left).map_err(Error::other)?;
        let mut ready = [PollFd::new(&stdout, PollFlags::IN)];
        match poll(&mut ready, Some(&wait)) {
            Ok(0) => return Err(Error::other(format!("no answer after {TIME_LIMIT:?}"))),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(std::io::Error::from(error).into()),
        }
        let mut piece = [0; 4096];
        let read = stdout.read(&mut piece)?;
        answer.extend_from_slice(piece.get(..read).unwrap_or_default());
        match read {
            0 => {
                return String::from_utf8(answer)
                    .map_err(|_| Error::other("its answer is not text"));
            }
            _ if answer.len() > MAX_ANSWER => return Err(Error::other("its answer is too long")),
            _ => {}
        }
    }
}

fn parse(answer: &str) -> Result<Credentials> {
    let malformed = || Error::other("its answer is not JSON with Username and Secret");
    let value = json::parse(answer, Numbers::Exact).map_err(|_| malformed())?;
    let text = |key| value.as_table()?.get(key)?.as_str();
    match (text("Username"), text("Secret")) {
        (Some("<token>"), Some(secret)) => Ok(Credentials::Identity(secret.to_owned())),
        (Some(username), Some(secret)) => Ok(Credentials::Basic {
            username: username.to_owned(),
            password: secret.to_owned(),
        }),
        _ => Err(malformed()),
    }
}
