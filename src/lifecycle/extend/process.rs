//! Processes of `RUN`: with the rights of the image's user, and gone before the next instruction.

use super::users::User;
use crate::exec::Exit;
use crate::platform::privileges;
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What is run.
pub(super) struct Process<'a> {
    pub(super) argv: &'a [String],
    /// The whole environment.
    pub(super) env: &'a [(String, String)],
    pub(super) dir: &'a Path,
    pub(super) user: &'a User,
}

/// Runs the process to its end, then kills what it left behind.
///
/// # Errors
/// It cannot be started.
pub(super) fn run(process: &Process<'_>) -> Result<Exit> {
    // Daemons that leave their process group become our children when their parent ends.
    let own = rustix::process::getpid();
    let _ = rustix::process::set_child_subreaper(Some(own));
    let name = process.argv.first().map(String::as_str).unwrap_or_default();
    let mut child = spawn(process).context(|| format!("starting {name}"))?;
    let group = Pid::from_child(&child);
    let status = child.wait();
    let _ = rustix::process::kill_process_group(group, Signal::KILL);
    kill_children(own);
    Ok(Exit::from(
        status.context(|| format!("waiting for {name}"))?,
    ))
}

/// Starts the process from a thread that has taken its user's rights: on Linux they belong to threads, and a child inherits
/// those of the thread that starts it, supplementary groups included.
fn spawn(process: &Process<'_>) -> Result<Child> {
    let start = || -> Result<Child> {
        let User {
            uid, gid, groups, ..
        } = process.user;
        let groups: Vec<_> = groups
            .iter()
            .map(|gid| rustix::fs::Gid::from_raw(*gid))
            .collect();
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(*uid),
            rustix::fs::Gid::from_raw(*gid),
        );
        set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(gid, gid, gid))
            .and_then(|()| set_thread_res_uid(uid, uid, uid))
            .map_err(io::Error::from)
            .context(|| format!("become user {uid}:{gid}"))?;
        privileges::hide_memory();
        let (name, arguments) = process
            .argv
            .split_first()
            .ok_or_else(|| Error::other("no command"))?;
        let child = Command::new(name)
            .args(arguments)
            .env_clear()
            .envs(process.env.iter().map(|(name, value)| (name, value)))
            .current_dir(process.dir)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn();
        Ok(child?)
    };
    std::thread::scope(|scope| scope.spawn(start).join())
        .unwrap_or_else(|_| Err(Error::other("the starting thread failed")))
}

/// Kills children, and theirs as they become ours, until there are none. Nobody else in this process has children.
fn kill_children(own: Pid) {
    loop {
        for pid in children(own) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        // An error says that there is no child left.
        if rustix::process::waitpid(None, WaitOptions::empty()).is_err() {
            return;
        }
    }
}

fn children(own: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let entries = entries.filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything.
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields);
        let parent = fields.and_then(|fields| fields.split(' ').nth(1)?.parse::<i32>().ok());
        parent == Some(own.as_raw_nonzero().get())
    })
    .filter_map(Pid::from_raw)
    .collect()
}
