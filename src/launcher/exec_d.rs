//! exec.d programs: executables in layers that print variables as TOML to file descriptor 3 (buildpack.md, exec.d;
//! FACTS 12.4).

use crate::sys;
use lifecycle_core::data::exec_d;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a program that has ended may hold up the launch through descendants that keep its output open.
const GRACE: Duration = Duration::from_millis(50);

/// Runs each program with the environment so far; what it returns is set before the next one starts.
///
/// # Errors
/// A program cannot be run or fails, or its output is too long or isn't TOML of variables and texts.
pub(crate) fn run_all(programs: &[PathBuf], env: &mut Env) -> Result<()> {
    for program in programs {
        sys::close_left_open();
        let output = run(program, env)?;
        for (name, value) in exec_d::parse(output).context(|| {
            format!(
                "failed to decode output from exec.d file at path '{}'",
                program.display()
            )
        })? {
            env.set(name, value);
        }
    }
    Ok(())
}

/// The output of one program; longer than [`exec_d::MAX_LENGTH`] only by what shows that it is too long.
fn run(program: &Path, env: &Env) -> Result<Vec<u8>> {
    let failed = || {
        format!(
            "failed to execute exec.d file at path '{}'",
            program.display()
        )
    };
    let (mut reader, writer) = io::pipe().context(|| "failed to create pipe")?;
    let mut command = Command::new(program);
    command.env_clear().envs(env.iter());
    command.stdin(no_input().context(|| "failed to create pipe")?);
    sys::give_as_output(&mut command, writer).context(|| "failed to create pipe")?;
    let child = command.spawn();
    // The command holds this process's copy of the writing end.
    drop(command);
    let mut child = child
        .context(|| format!("fork/exec {}", program.display()))
        .context(failed)?;
    let output = read(&mut reader, &mut child);
    if output
        .as_ref()
        .is_ok_and(|output| output.len() > exec_d::MAX_LENGTH)
    {
        // It may be printing for ever. That it cannot be killed means that it has ended.
        let _ = child.kill();
    }
    // The program may wait for its output to be taken or refused.
    drop(reader);
    let status = child.wait().context(failed)?;
    match output {
        Ok(output) if output.len() > exec_d::MAX_LENGTH => Ok(output),
        _ if !status.success() => Err(Error::other(describe(status)).in_context(failed())),
        output => output.context(|| {
            format!(
                "failed to read output from exec.d file at path '{}'",
                program.display()
            )
        }),
    }
}

/// `/dev/null`, or what reads like it where there is no such device.
fn no_input() -> io::Result<Stdio> {
    match File::open("/dev/null") {
        Ok(device) => Ok(device.into()),
        Err(_) => io::pipe().map(|(reader, _)| reader.into()),
    }
}

/// Reads until the output is closed or too long, or the program has ended and nothing more is coming.
fn read(reader: &mut PipeReader, child: &mut Child) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut buffer = [0; 4096];
    while output.len() <= exec_d::MAX_LENGTH {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    /// Runs a shell script as an exec.d program; `expected` is the variable `A` or the error behind the path.
    #[track_caller]
    fn check(script: &str, expected: Result<&str, &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut env = Env::from_pairs([("PATH", "/usr/bin:/bin"), ("OLD", "old")]);
        let started = Instant::now();
        let found = run_all(std::slice::from_ref(&path), &mut env)
            .map(|()| {
                env.get("A")
                    .unwrap_or_default()
                    .to_str()
                    .unwrap()
                    .to_owned()
            })
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "P"));
        assert_eq!(
            found,
            expected.map(str::to_owned).map_err(str::to_owned),
            "{script}"
        );
        assert!(started.elapsed() < Duration::from_secs(4), "{script}");
    }

    #[test]
    fn programs() {
        check("#!/bin/sh\necho \"A = '$OLD'\" >&3", Ok("old"));
        check("#!/bin/sh\necho ignored >/dev/null", Ok(""));
        check(
            "#!/bin/sh\ncat; echo \"A = 'no input'\" >&3",
            Ok("no input"),
        );
        check(
            "#!/bin/sh\nexit 3",
            Err("failed to execute exec.d file at path 'P': exit status 3"),
        );
        check(
            "#!/bin/sh\nkill -9 $$",
            Err("failed to execute exec.d file at path 'P': signal: killed"),
        );
        check(
            "#!/nowhere\n",
            Err(
                "failed to execute exec.d file at path 'P': fork/exec P: no such file or directory",
            ),
        );
        check(
            "#!/bin/sh\necho x >&3",
            Err(
                "failed to decode output from exec.d file at path 'P': toml: line 1, column 2: key with no value",
            ),
        );
    }

    #[test]
    fn programs_that_hang_up_or_do_not() {
        check(
            "#!/bin/sh\nexec 3>&-\nsleep 0.2\nexit 4",
            Err("failed to execute exec.d file at path 'P': exit status 4"),
        );
        check(
            "#!/bin/sh\necho \"A = 'x'\" >&3\nsleep 10 >/dev/null 2>&1 &",
            Ok("x"),
        );
    }

    #[test]
    fn output_is_bounded() {
        let too_long = "failed to decode output from exec.d file at path 'P': larger than the limit of 1048576 bytes";
        check("#!/bin/sh\nexec cat /dev/zero >&3", Err(too_long));
        check(
            "#!/bin/sh\ntrap '' PIPE TERM\nwhile :; do head -c 100000 /dev/zero >&3; done 2>/dev/null",
            Err(too_long),
        );
    }
}
