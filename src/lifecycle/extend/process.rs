//! Processes of `RUN`: with the rights of the image's user, and gone before the next instruction.

use super::jail::Jail;
use super::mounts::Held;
use super::users::User;
use crate::exec::Exit;
use crate::platform::privileges;
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::io::Errno;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
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
    /// Its root, unless that is this process's own.
    pub(super) jail: Option<&'a Jail>,
    /// What is [in the jail](super::jail::SCRIPT) as well.
    pub(super) script: Option<&'a Path>,
    /// What is mounted in the jail besides.
    pub(super) mounts: &'a [Held],
    /// Whether the jail is without a network.
    pub(super) offline: bool,
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
    let room = process
        .jail
        .map(|jail| jail.make_room(process.mounts))
        .transpose()?;
    let child = spawn(process).context(|| format!("starting {name}"))?;
    let exit = finish(child, own).context(|| format!("waiting for {name}"));
    drop(room);
    exit
}

fn finish(mut child: Child, own: Pid) -> Result<Exit> {
    let group = Pid::from_child(&child);
    // Until it is reaped, its number, which is its group's, cannot become another's.
    let ends = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let ended = retry_on_intr(|| rustix::process::waitid(WaitId::Pid(group), ends));
    if ended.is_ok() {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let status = child.wait();
    kill_children(own);
    Ok(Exit::from(status?))
}

/// Starts the process from a thread of its own: on Linux rights and namespaces belong to threads, and a child inherits those
/// of the thread that starts it.
fn spawn(process: &Process<'_>) -> Result<Child> {
    let start = || match process.jail {
        Some(jail) => jail.start(process),
        None => start(process),
    };
    std::thread::scope(|scope| scope.spawn(start).join())
        .unwrap_or_else(|_| Err(Error::other("the starting thread failed")))
}

fn start(process: &Process<'_>) -> Result<Child> {
    become_user(process.user)?;
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
}

/// Gives the calling thread a user's rights, supplementary groups included.
///
/// # Errors
/// The kernel refuses, perhaps as nobody is that user in this user namespace.
pub(super) fn become_user(user: &User) -> Result<()> {
    let groups: Vec<_> = user
        .groups
        .iter()
        .map(|gid| rustix::fs::Gid::from_raw(*gid))
        .collect();
    let (uid, gid) = (
        rustix::fs::Uid::from_raw(user.uid),
        rustix::fs::Gid::from_raw(user.gid),
    );
    let grouped = match set_thread_groups(&groups) {
        // A user namespace with root alone leaves its processes the groups that they have (user_namespaces(7)).
        Err(Errno::PERM) if groups.is_empty() && uid.is_root() => Ok(()),
        other => other,
    };
    grouped
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .map_err(io::Error::from)
        .context(|| format!("become user {uid}:{gid}"))?;
    privileges::hide_memory();
    Ok(())
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
