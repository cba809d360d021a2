//! exec.d programs: executables in layers that print variables as TOML to file descriptor 3 (buildpack.md, exec.d;
//! FACTS 12.4).

use crate::sys;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::toml;
use lifecycle_core::value::Value;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The most that a program may print, in bytes. Linux passes at most 128 KiB per variable.
const OUTPUT_LIMIT: usize = 1024 * 1024;

/// How long a program that has ended may hold up the launch through descendants that keep its output open.
const GRACE: Duration = Duration::from_millis(50);

/// Runs each program with the environment so far; what it returns is set before the next one starts.
///
/// # Errors
/// A program cannot be run or fails, or its output is too long or isn't TOML of variables and texts.
pub(crate) fn run_all(programs: &[PathBuf], env: &mut Env) -> Result<()> {
    for program in programs {
        let output = run(program, env)?;
        for (name, value) in
            decode(output).context(|| format!("failed to decode output from exec.d file at path '{}'", program.display()))?
        {
            env.set(name, value);
        }
    }
    Ok(())
}

/// The output of one program; longer than [`OUTPUT_LIMIT`] only by what shows that it is too long.
fn run(program: &Path, env: &Env) -> Result<Vec<u8>> {
    let failed = || format!("failed to execute exec.d file at path '{}'", program.display());
    let (mut reader, writer) = io::pipe().context(|| "failed to create pipe")?;
    let mut command = Command::new(program);
    command.env_clear().envs(env.iter()).stdin(Stdio::null());
    sys::give_as_output(&mut command, writer);
    let child = command.spawn();
    // The command holds this process's copy of the writing end.
    drop(command);
    let mut child = child.context(|| format!("fork/exec {}", program.display())).context(failed)?;
    let output = read(&mut reader, &mut child);
    if output.as_ref().is_ok_and(|output| output.len() > OUTPUT_LIMIT) {
        // It may be printing for ever. That it cannot be killed means that it has ended.
        let _ = child.kill();
    }
    // The program may wait for its output to be taken or refused.
    drop(reader);
    let status = child.wait().context(failed)?;
    match output {
        Ok(output) if output.len() > OUTPUT_LIMIT => Ok(output),
        _ if !status.success() => Err(Error::other(describe(status)).in_context(failed())),
        output => output.context(|| format!("failed to read output from exec.d file at path '{}'", program.display())),
    }
}

/// Reads until the output is closed or too long, or the program has ended and nothing more is coming.
fn read(reader: &mut PipeReader, child: &mut Child) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut buffer = [0; 4096];
    while output.len() <= OUTPUT_LIMIT {
        if !sys::wait_readable(reader, GRACE)? {
            if child.try_wait()?.is_some() && !sys::wait_readable(reader, Duration::ZERO)? {
                break;
            }
            continue;
        }
        match reader.read(&mut buffer)? {
            0 => break,
            count => output.extend(buffer.iter().take(count)),
        }
    }
    Ok(output)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {}", sys::signal_name(signal)),
        (None, None) => status.to_string(),
    }
}

/// The variables that an output sets.
fn decode(output: Vec<u8>) -> Result<Vec<(String, String)>> {
    if output.len() > OUTPUT_LIMIT {
        return Err(Error::other(format_args!("larger than the limit of {OUTPUT_LIMIT} bytes")));
    }
    let text = String::from_utf8(output).map_err(|_| Error::other("toml: not UTF-8"))?;
    toml::parse(&text)?
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(value) if !name.contains('\0') && !value.contains('\0') => Ok((name, value)),
            Value::String(_) => Err(Error::other(format_args!("variable '{name}' contains a NUL byte"))),
            _ => Err(Error::other(format_args!("toml: value of '{name}' is not a string"))),
        })
        .collect()
}
