//! A process for the launcher to start where nothing else is: needs no library, no shell and no files. It prints what it was
//! started with; under the name `set-variable` it is an exec.d program.

use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments[0].as_bytes().ends_with(b"/set-variable") {
        // SAFETY: the launcher opens descriptor 3 for exec.d programs, and nothing else here uses it.
        let mut output = unsafe { File::from_raw_fd(3) };
        output.write_all(b"FROM_EXEC_D = 'yes'\n").unwrap();
        return;
    }
    let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
    let variable = |name| std::env::var(name).unwrap_or_default();
    println!(
        "pid {}, {} arguments of {bytes} bytes, {} variables, FROM_ENV {:?}, FROM_EXEC_D {:?}, in {}",
        std::process::id(),
        arguments.len(),
        std::env::vars_os().count(),
        variable("FROM_ENV"),
        variable("FROM_EXEC_D"),
        std::env::current_dir().unwrap().display()
    );
}
