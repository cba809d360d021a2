//! The system calls that the standard library does not offer safely, each behind a safe function.
#![allow(unsafe_code)]

use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Opens a file for reading, without waiting for the writer of a fifo. One system call; the C library would make two.
///
/// # Errors
/// It cannot be opened; the context is `open <path>`.
pub(crate) fn open(path: &Path) -> Result<File> {
    open_with(path, libc::O_NONBLOCK)
        .map(File::from)
        .context(|| format!("open {}", path.display()))
}

/// Reads a file that its directory lists as a regular one: an open and, up to 4095 bytes, one read. A link that took
/// its place is refused; anything else there makes at worst an incomplete value, and never a wait.
///
/// # Errors
/// It cannot be read, or is longer than `limit`.
pub(crate) fn read_listed(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let mut file = open_with(path, flags)
        .map(File::from)
        .context(|| format!("open {}", path.display()))?;
    let context = || format!("read {}", path.display());
    let mut content = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        let count = file.read(&mut buffer).context(context)?;
        content.extend(buffer.iter().take(count));
        if content.len() as u64 > limit {
            let cause = format_args!("larger than the limit of {limit} bytes");
            return Err(Error::new(ErrorKind::Corrupt, cause).in_context(context()));
        }
        // Of a regular file a read returns less only at its end (POSIX, read).
        if count < buffer.len() {
            break;
        }
    }
    leave_open(file.into());
    Ok(content)
}

fn open_with(path: &Path, flags: libc::c_int) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | flags;
    let open = || {
        // SAFETY: the path is NUL-terminated and outlives the call; the others are numbers.
        let descriptor =
            unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) };
        match i32::try_from(descriptor) {
            // SAFETY: the kernel has just opened it, nothing else owns it.
            Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
            _ => Err(io::Error::last_os_error()),
        }
    };
    match open() {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            close_left_open();
            open()
        }
        result => result,
    }
}

/// The descriptors below 64 that [`leave_open`] owns, a bit each.
static LEFT_OPEN: AtomicU64 = AtomicU64::new(0);

/// Takes a descriptor that is no longer needed. The exec closes it with all others; to close each would be a fifth of all
/// system calls.
fn leave_open(descriptor: OwnedFd) {
    if (0..64).contains(&descriptor.as_raw_fd()) {
        LEFT_OPEN.fetch_or(1 << descriptor.into_raw_fd(), Relaxed);
    }
}

/// Closes what [`leave_open`] took: something needs the room.
pub(crate) fn close_left_open() {
    let left_open = LEFT_OPEN.swap(0, Relaxed);
    for descriptor in (0..64).filter(|descriptor| left_open & (1 << descriptor) != 0) {
        // SAFETY: a bit stands for an open descriptor that nothing else owns, and the swap took it.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
}

/// An entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: OsString,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A regular file.
    File,
    /// Anything else.
    Other,
}

/// The entries of a directory in byte order of their names. Three system calls for a small directory; the C library
/// would make six and up to two for its buffer.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<Entry>> {
    let descriptor = open_with(directory, libc::O_DIRECTORY)?;
    let mut buffer = [0_u8; 4096];
    let mut entries = Vec::new();
    loop {
        // SAFETY: the kernel writes at most the buffer's length; the descriptor is open.
        let count = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                descriptor.as_raw_fd(),
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if count == 0 {
            break;
        }
        let mut records = buffer.get(..count).unwrap_or_default();
        while let Some((kind, name, rest)) = split_record(records) {
            if name != b"." && name != b".." {
                let name = OsStr::from_bytes(name);
                entries.push(Entry {
                    name: name.to_owned(),
                    kind: kind_of(kind, directory, name)?,
                });
            }
            records = rest;
        }
    }
    leave_open(descriptor);
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Type, name and what follows of a `struct linux_dirent64`: inode and offset of 8 bytes each, the record's length of
/// 2, the type of 1, the name up to a NUL.
fn split_record(records: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let length = u16::from_ne_bytes(*records.get(16..)?.first_chunk()?);
    let (record, rest) = records.split_at_checked(length.into())?;
    let name = record.get(19..)?.split(|byte| *byte == 0).next()?;
    Some((*record.get(18)?, name, rest))
}

fn kind_of(kind: u8, directory: &Path, name: &OsStr) -> io::Result<Kind> {
    Ok(match kind {
        libc::DT_DIR => Kind::Directory,
        libc::DT_LNK => Kind::Link,
        libc::DT_REG => Kind::File,
        // Some file systems do not say.
        libc::DT_UNKNOWN => match directory.join(name).symlink_metadata()?.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        },
        _ => Kind::Other,
    })
}

/// Whether this user may execute the file at `path`.
pub(crate) fn is_executable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the path is NUL-terminated and outlives the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

/// Gives the child of `command` the writing end as file descriptor 3.
///
/// # Errors
/// There are too many open files.
pub(crate) fn give_as_output(command: &mut Command, writer: PipeWriter) -> io::Result<()> {
    const OUTPUT: libc::c_int = 3;
    // Above 3, so that nothing that the child gets takes its place before it is attached.
    // SAFETY: `writer` owns an open descriptor.
    let above = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_DUPFD_CLOEXEC, OUTPUT + 1) };
    if above < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it, nothing else owns it.
    let above = unsafe { OwnedFd::from_raw_fd(above) };
    let attach = move || {
        // SAFETY: `above` is open; what the child had as 3 is closed in the child only.
        match unsafe { libc::dup2(above.as_raw_fd(), OUTPUT) } {
            OUTPUT => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec `attach` makes one async-signal-safe call and allocates nothing.
    unsafe { command.pre_exec(attach) };
    Ok(())
}

/// Waits until there is something to read, which the end of the output is too; false if `timeout` passes first.
pub(crate) fn wait_readable(reader: &PipeReader, timeout: Duration) -> io::Result<bool> {
    let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    let mut poll = libc::pollfd {
        fd: reader.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
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
        let written =
            unsafe { libc::write(libc::STDOUT_FILENO, bytes.as_ptr().cast(), bytes.len()) };
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
        if name.is_null() {
            None
        } else {
            Some(CStr::from_ptr(name))
        }
    };
    name.map_or_else(
        || signal.to_string(),
        |name| name.to_string_lossy().to_ascii_lowercase(),
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn directories_are_listed_whole() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("directory")).unwrap();
        std::os::unix::fs::symlink("directory", directory.path().join("link")).unwrap();
        let many =
            (0..300).map(|number| OsString::from(format!("{number}-{}", "n".repeat(number % 200))));
        let mut names: Vec<_> = many
            .chain([OsStr::from_bytes(b"\xff\n").to_owned()])
            .collect();
        for name in &names {
            fs::write(directory.path().join(name), "").unwrap();
        }
        names.extend(["directory".into(), "link".into()]);
        names.sort_unstable();
        let entries = list(directory.path()).unwrap();
        assert!(entries.iter().map(|entry| &entry.name).eq(&names));
        let kind = |name: &str| {
            entries
                .iter()
                .find(|entry| entry.name == name)
                .unwrap()
                .kind
        };
        assert_eq!(
            (kind("directory"), kind("link"), kind("0-")),
            (Kind::Directory, Kind::Link, Kind::File)
        );
        assert_eq!(
            kind_of(libc::DT_UNKNOWN, directory.path(), OsStr::new("link")).unwrap(),
            Kind::Link
        );
        assert_eq!(
            list(&directory.path().join("0-")).unwrap_err().kind(),
            io::ErrorKind::NotADirectory
        );
        assert_eq!(
            list(&directory.path().join("none")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_name(9), "killed");
        assert_eq!(signal_name(15), "terminated");
    }
}
