//! What a process takes, from its start to its end.

use crate::Result;
use crate::report::Cost;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::env;
use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// With this flag the program is the one that measures, see [`here`].
pub(crate) const FLAG: &str = "--measure";

/// A command that measures `program`; its arguments are appended. It is a process of its own, whose children are that
/// program and what it starts.
///
/// # Errors
/// This program cannot be found.
pub(crate) fn command(program: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(FLAG).arg(program);
    Ok(command)
}

/// Runs what [`command`] returned.
///
/// # Errors
/// The program failed: with all that it said.
pub(crate) fn run(mut command: Command) -> Result<Cost> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers.as_slice() {
        [seconds, cpu_seconds, peak_kilobytes] if output.status.success() => Ok(Cost {
            seconds: *seconds,
            cpu_seconds: *cpu_seconds,
            peak_kilobytes: *peak_kilobytes,
            ..Cost::default()
        }),
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?}: {text}{errors}").into())
        }
    }
}

/// The mean of `count` runs, which get their number; memory is the most that one of them had, requests those of the last.
///
/// # Errors
/// A run failed.
pub(crate) fn mean(count: u32, mut run: impl FnMut(u32) -> Result<Cost>) -> Result<Cost> {
    let mut sum = Cost::default();
    for number in 0..count {
        let cost = run(number)?;
        sum.seconds += cost.seconds / f64::from(count);
        sum.cpu_seconds += cost.cpu_seconds / f64::from(count);
        sum.peak_kilobytes = sum.peak_kilobytes.max(cost.peak_kilobytes);
        sum.requests = cost.requests;
    }
    Ok(sum)
}

/// Runs a program to its end and prints seconds, CPU seconds and peak kilobytes.
///
/// # Errors
/// The program failed: with all that it said.
pub(crate) fn here(program: &str, args: &[String]) -> Result<()> {
    let mut log: File = tempfile::tempfile()?;
    // What was prepared is on the disk: writing it back is nobody's work that is measured.
    nix::unistd::sync();
    let started = Instant::now();
    let status = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .status()?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        log.rewind()?;
        return Err(format!("{status}\n{}", io::read_to_string(log)?).into());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
    println!("{seconds} {cpu} {}", usage.max_rss());
    Ok(())
}
