//! The system calls that the standard library does not offer safely, each behind a safe function.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Replaces this process. Unlike the standard library's `exec` it leaves signals as they are: the process starts with
/// the dispositions and the mask that the launcher was started with. Returns only on failure.
pub(crate) fn execve(program: &CStr, arguments: &[CString], variables: &[CString]) -> io::Error {
    let arguments = pointers(arguments);
    let variables = pointers(variables);
    // SAFETY: all three are NUL-terminated, or lists of NUL-terminated texts that end in a null pointer, and outlive
    // the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Whether this user may execute the file at `path`.
pub(crate) fn is_executable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: the path is NUL-terminated and outlives the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

/// Gives the child of `command` the writing end as file descriptor 3.
pub(crate) fn give_as_output(command: &mut Command, writer: PipeWriter) {
    const OUTPUT: i32 = 3;
    let attach = move || {
        let descriptor = writer.as_raw_fd();
        // A descriptor duplicated onto itself would still be closed by exec.
        let result = if descriptor == OUTPUT {
            // SAFETY: the descriptor is open, `writer` owns it.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) }
        } else {
            // SAFETY: as above; what the child had as 3 is closed in the child only.
            unsafe { libc::dup2(descriptor, OUTPUT) }
        };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec `attach` makes one async-signal-safe call and allocates nothing.
    unsafe { command.pre_exec(attach) };
}

/// Waits until there is something to read, which the end of the output is too; false if `timeout` passes first.
pub(crate) fn wait_readable(reader: &PipeReader, timeout: Duration) -> io::Result<bool> {
    let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    let mut poll = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: `poll` is one entry and outlives the call; the reader keeps the descriptor open.
        match unsafe { libc::poll(&raw mut poll, 1, milliseconds) } {
            0 => return Ok(false),
            1.. => return Ok(true),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Writes to standard output, as far as that is possible.
pub(crate) fn write_stdout(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the buffer is valid for its length.
        let written = unsafe { libc::write(libc::STDOUT_FILENO, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(0) => return,
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The name of a signal, e.g. `killed`.
pub(crate) fn signal_name(signal: i32) -> String {
    // SAFETY: strsignal returns a NUL-terminated text that is valid until the next call; there is one thread.
    let name = unsafe {
        let name = libc::strsignal(signal);
        if name.is_null() { None } else { Some(CStr::from_ptr(name)) }
    };
    name.map_or_else(|| signal.to_string(), |name| name.to_string_lossy().to_lowercase())
}

#[cfg(not(test))]
mod entry {
    use std::ffi::{CStr, OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    /// The C library's entry point. Rust's own would spend a dozen system calls on stack guards and signal handlers,
    /// and would ignore SIGPIPE for the process that is launched.
    #[unsafe(no_mangle)]
    extern "C" fn main(count: libc::c_int, arguments: *const *const libc::c_char) -> libc::c_int {
        let count = usize::try_from(count).unwrap_or_default();
        let arguments = (0..count).map(|index| {
            // SAFETY: the C library passes `count` NUL-terminated texts, which live as long as the process.
            let argument = unsafe { CStr::from_ptr(*arguments.add(index)) };
            OsString::from(OsStr::from_bytes(argument.to_bytes()))
        });
        crate::run(arguments.collect()).into()
    }
}
