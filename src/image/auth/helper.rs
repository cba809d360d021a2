//! The docker-credential protocol: `docker-credential-NAME get` reads a registry and writes JSON.

use super::Credentials;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::json::{self, Numbers};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const TIME_LIMIT: Duration = Duration::from_secs(60);
const MAX_ANSWER: u64 = 1 << 20;
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
    let stdout = child.stdout.take();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = stdout.map(|stdout| stdout.take(MAX_ANSWER).read_to_string(&mut answer));
        let _ = sender.send(read.unwrap_or(Ok(0)).map(|_| answer));
    });
    let Ok(answer) = receiver.recv_timeout(TIME_LIMIT) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::other(format!("no answer after {TIME_LIMIT:?}")));
    };
    let (answer, status) = (answer?, child.wait()?);
    match status.success() {
        true => parse(&answer).map(Some),
        false if answer.contains(NOT_FOUND) => Ok(None),
        // The answer may hold a secret: it stays out of the message.
        false => Err(Error::other(format!("it failed: {status}"))),
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
