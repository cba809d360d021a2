use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was killed by a signal.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether its memory was dumped.
        core_dumped: bool,
    },
}

impl Exit {
    /// Whether the program exited with 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status.signal() {
            Some(number) => Self::Signal {
                number,
                core_dumped: status.core_dumped(),
            },
            None => Self::Code(status.code().unwrap_or(-1)),
        }
    }
}

impl fmt::Display for Exit {
    /// The reference's words: `exit status 7`, `signal: killed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal {
                number,
                core_dumped,
            } => {
                match signal_name(number) {
                    Some(name) => write!(f, "signal: {name}")?,
                    None => write!(f, "signal: signal {number}")?,
                }
                f.write_str(if core_dumped { " (core dumped)" } else { "" })
            }
        }
    }
}

/// The name of a signal of Linux on amd64 and arm64.
fn signal_name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "hangup",
        "interrupt",
        "quit",
        "illegal instruction",
        "trace/breakpoint trap",
        "aborted",
        "bus error",
        "floating point exception",
        "killed",
        "user defined signal 1",
        "segmentation fault",
        "user defined signal 2",
        "broken pipe",
        "alarm clock",
        "terminated",
        "stack fault",
        "child exited",
        "continued",
        "stopped (signal)",
        "stopped",
        "stopped (tty input)",
        "stopped (tty output)",
        "urgent I/O condition",
        "CPU time limit exceeded",
        "file size limit exceeded",
        "virtual timer expired",
        "profiling timer expired",
        "window changed",
        "I/O possible",
        "power failure",
        "bad system call",
    ];
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wait_status: i32, expected: &str) {
        assert_eq!(
            Exit::from(ExitStatus::from_raw(wait_status)).to_string(),
            expected
        );
    }

    #[test]
    fn reads_as_the_reference_has_it() {
        check(0, "exit status 0");
        check(7 << 8, "exit status 7");
        check(9, "signal: killed");
        check(15, "signal: terminated");
        check(11 | 0x80, "signal: segmentation fault (core dumped)");
        check(31, "signal: bad system call");
        check(40, "signal: signal 40");
    }
}
