//! Runs a module's program (`bin/detect`, `bin/generate`, `bin/build`; FACTS 6.4, 7.2): exactly the given
//! environment, no standard input, standard output and error as one stream.

mod bounded;
mod exit;

pub use bounded::CAPTURE_LIMIT;
pub use exit::Exit;

use bounded::Bounded;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::{PipeReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a silent pipe is left to see whether the program has ended.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// How long output is awaited after the end of a program whose background processes keep the pipe open.
const GRACE: Duration = Duration::from_secs(1);

/// A program to run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The executable, absolute: `PATH` is never searched.
    pub path: &'a Path,
    /// Arguments behind the program's name.
    pub args: &'a [&'a OsStr],
    /// The whole environment; nothing is inherited.
    pub env: &'a Env,
    /// The working directory.
    pub dir: &'a Path,
}

/// What a captured program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Standard output and error in the order in which they were written; past [`CAPTURE_LIMIT`] bytes only a
    /// line that says how much is missing.
    pub output: Vec<u8>,
    /// How it ended.
    pub exit: Exit,
}

/// Runs `program` and collects its output.
///
/// # Errors
/// The program could not be started: `fork/exec PATH: ...`.
pub fn capture(program: &Program<'_>) -> Result<Captured> {
    let mut output = Bounded::new(CAPTURE_LIMIT);
    let exit = run(program, |bytes| output.push(bytes))?;
    Ok(Captured {
        output: output.finish(),
        exit,
    })
}

/// Runs `program` and hands its output to `sink` as it comes.
///
/// Returns once the program itself has ended and its output is read; background processes it left behind are
/// waited for no longer than a second.
///
/// # Errors
/// The program could not be started: `fork/exec PATH: ...`.
pub fn run(program: &Program<'_>, mut sink: impl FnMut(&[u8])) -> Result<Exit> {
    let (mut child, mut output) = spawn(program)?;
    let status = match forward(&mut child, &mut output, &mut sink) {
        Ok(status) => status,
        Err(error) => {
            // Without its output nobody can tell what the program does: it must not go on unobserved.
            let _ = child.kill();
            let _ = child.wait();
            return Err(error.in_context(format!("read the output of {}", program.path.display())));
        }
    };
    Ok(Exit::from(status))
}

fn spawn(program: &Program<'_>) -> Result<(Child, PipeReader)> {
    let (reader, writer) = std::io::pipe().context(|| "create a pipe")?;
    let second = writer.try_clone().context(|| "create a pipe")?;
    // The command holds the pipe's writing ends; they close when it drops here.
    Command::new(program.path)
        .args(program.args)
        .env_clear()
        .envs(program.env.iter())
        .current_dir(program.dir)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second)
        .spawn()
        .map(|child| (child, reader))
        .map_err(|error| start_error(program, error))
}

/// The reference's words for a program that did not start.
fn start_error(program: &Program<'_>, error: std::io::Error) -> Error {
    match std::fs::metadata(program.dir) {
        Err(cause) => Error::from(cause).in_context(format!("chdir {}", program.dir.display())),
        Ok(_) => Error::from(error).in_context(format!("fork/exec {}", program.path.display())),
    }
}

/// Moves output to `sink` until the stream ends, or the program has ended and [`GRACE`] is over.
fn forward(
    child: &mut Child,
    output: &mut PipeReader,
    sink: &mut impl FnMut(&[u8]),
) -> Result<ExitStatus> {
    let mut buffer = vec![0; 64 * 1024];
    let mut next_check = Instant::now() + CHECK_INTERVAL;
    let mut rest: Option<Rest> = None;
    while let Some(bytes) = receive(output, &mut buffer)? {
        sink(bytes);
        let now = Instant::now();
        match &mut rest {
            Some(rest) => {
                rest.owed = rest.owed.saturating_sub(bytes.len() as u64);
                if rest.owed == 0 && now >= rest.deadline {
                    break;
                }
            }
            None if now >= next_check => {
                next_check = now + CHECK_INTERVAL;
                if child.try_wait()?.is_some() {
                    let owed = rustix::io::ioctl_fionread(&*output).unwrap_or(0);
                    rest = Some(Rest {
                        owed,
                        deadline: now + GRACE,
                    });
                }
            }
            None => {}
        }
    }
    Ok(child.wait()?)
}

/// What is still to be read after the program has ended.
struct Rest {
    /// Bytes that were in the pipe then, all that the program itself wrote among them.
    owed: u64,
    /// Until when background processes may add to it.
    deadline: Instant,
}

/// Waits up to [`CHECK_INTERVAL`] for output, which may then be empty; `None` at its end.
fn receive<'b>(output: &mut PipeReader, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>> {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(CHECK_INTERVAL.subsec_nanos()),
    };
    match poll(&mut [PollFd::new(output, PollFlags::IN)], Some(&timeout)) {
        Ok(0) | Err(Errno::INTR) => return Ok(Some(&[])),
        Ok(_) => {}
        Err(error) => return Err(std::io::Error::from(error).into()),
    }
    match output.read(buffer)? {
        0 => Ok(None),
        length => Ok(buffer.get(..length)),
    }
}

#[cfg(test)]
mod tests;
