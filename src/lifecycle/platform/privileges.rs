//! Whose rights a phase works with (FACTS 15; DESIGN 9: root's groups and memory stay out of reach of buildpacks).

use super::inputs::Inputs;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::process::DumpableBehavior;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const GROUP_WRITE: u32 = 0o020;
const WORLD_WRITE: u32 = 0o002;
const PASSWD: &str = "/etc/passwd";
/// How long threads that have ended may still be listed.
const THREADS_END: Duration = Duration::from_secs(1);

/// Keeps processes of the same user from reading this one's memory and environment, in which credentials are. Programs
/// that it starts are not affected.
pub fn hide_memory() {
    // Only ever refused by a kernel without the call; the phases work without it.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Takes [`hide_memory`] back, for as long as this process has to write to files of its own in /proc.
pub fn show_memory() {
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
}

/// Sets the umask to 022, for this process and the programs that it starts: modes in layers come from it, and the same
/// inputs have to give the same image wherever they are built.
pub fn fix_umask() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

/// Refuses to go on as root: the programs that run buildpacks must not.
///
/// # Errors
/// The process runs as root; `words` name the operation (`detect`).
pub fn refuse_root(words: &str) -> Result<()> {
    if rustix::process::getuid().is_root() {
        return Err(
            Error::other("refusing to run as root").in_context(format!("failed to {words}"))
        );
    }
    Ok(())
}

/// Gives the user of `inputs` directories that it could not write to, with everything in them. Absent ones are skipped.
///
/// # Errors
/// `failed to chown volumes: ...`.
pub fn ensure_owner<'a>(
    inputs: &Inputs,
    dirs: impl IntoIterator<Item = Option<&'a PathBuf>>,
) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(inputs.uid), Gid::from_raw(inputs.gid));
    for dir in dirs.into_iter().flatten() {
        own_tree(dir, uid, gid).context(|| "failed to chown volumes")?;
    }
    Ok(())
}

fn own_tree(root: &Path, uid: Uid, gid: Gid) -> Result<()> {
    let context = || format!("chown {}", root.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The platform names the root, so a symlink there is followed; below it nothing is.
    let stat = match rustix::fs::stat(root) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat.map_err(std::io::Error::from).context(context)?,
    };
    if writable(&stat, uid, gid) {
        return Ok(());
    }
    let dir = rustix::fs::open(root, flags, Mode::empty())
        .map_err(std::io::Error::from)
        .context(context)?;
    own_entries(dir, uid, gid)
        .map_err(std::io::Error::from)
        .context(context)
}

/// Whether the user can write to a directory of this kind; what is in it is then taken to be the user's as well.
fn writable(stat: &Stat, uid: Uid, gid: Gid) -> bool {
    stat.st_uid == uid.as_raw()
        || (stat.st_gid == gid.as_raw() && stat.st_mode & GROUP_WRITE != 0)
        || stat.st_mode & WORLD_WRITE != 0
}

/// Chowns a directory and what is below it. Every step goes through a directory handle: a user who swaps an entry for a
/// symlink meanwhile gains nothing.
fn own_entries(root: OwnedFd, uid: Uid, gid: Gid) -> Result<(), Errno> {
    let mut open = vec![enter(root, uid, gid)?];
    while let Some(dir) = open.last_mut() {
        let Some(entry) = dir.read() else {
            open.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let parent: BorrowedFd<'_> = dir.fd()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let child = match entry.file_type() {
            FileType::Directory | FileType::Unknown => {
                rustix::fs::openat(parent, name, flags, Mode::empty())
            }
            _ => Err(Errno::NOTDIR),
        };
        match child {
            Ok(child) => open.push(enter(child, uid, gid)?),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                rustix::fs::chownat(
                    parent,
                    name,
                    Some(uid),
                    Some(gid),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn enter(dir: OwnedFd, uid: Uid, gid: Gid) -> Result<Dir, Errno> {
    rustix::fs::fchown(dir.as_fd(), Some(uid), Some(gid))?;
    Dir::new(dir)
}

/// Whether [`run_as_user`] will change the user.
pub fn changes_user(inputs: &Inputs) -> bool {
    let (uid, gid) = (Uid::from_raw(inputs.uid), Gid::from_raw(inputs.gid));
    uid != rustix::process::getuid() || gid != rustix::process::getgid()
}

/// Continues as the user of `inputs`, without any supplementary group. Nothing happens when the process already is that
/// user.
///
/// # Errors
/// `failed to exec as user U:G: ...`: the rights are lacking, or threads are running: on Linux they would keep theirs.
pub fn run_as_user(inputs: &Inputs) -> Result<()> {
    if !changes_user(inputs) {
        return Ok(());
    }
    become_user(Uid::from_raw(inputs.uid), Gid::from_raw(inputs.gid))
        .context(|| format!("failed to exec as user {}:{}", inputs.uid, inputs.gid))
}

fn become_user(uid: Uid, gid: Gid) -> Result<()> {
    wait_for_other_threads()?;
    let drop = || -> Result<(), Errno> {
        // A user namespace may refuse even to clear an empty list.
        if !rustix::process::getgroups()?.is_empty() {
            rustix::thread::set_thread_groups(&[])?;
        }
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    };
    drop().map_err(std::io::Error::from)?;
    // A change of user makes the process readable for that user again.
    hide_memory();
    Ok(())
}

/// Ids are the thread's own: no other may be running. One that has just been joined may still be listed.
fn wait_for_other_threads() -> Result<()> {
    // Without /proc there is nothing to count.
    let count = || std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    let deadline = Instant::now() + THREADS_END;
    while count() > 1 {
        if Instant::now() > deadline {
            return Err(Error::other(format_args!(
                "{} threads are running",
                count()
            )));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Sets `HOME` and `USER` of `inputs` to those of its user.
///
/// # Errors
/// `failed to set environment for user U: ...`: /etc/passwd does not know the user.
pub fn adopt_user_environment(inputs: &mut Inputs) -> Result<()> {
    let context = format!("failed to set environment for user {}", inputs.uid);
    let passwd = file::read(Path::new(PASSWD), DOCUMENT_LIMIT).context(|| context.as_str())?;
    let (home, user) = passwd_entry(&passwd, inputs.uid)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format_args!("unknown userid {}", inputs.uid),
            )
        })
        .context(|| context.as_str())?;
    inputs.process_env.set("HOME", home);
    inputs.process_env.set("USER", user);
    Ok(())
}

/// Home directory and full name of a user. The reference takes `USER` from the full name, so buildpacks see that.
fn passwd_entry(passwd: &str, uid: u32) -> Option<(&str, &str)> {
    passwd.lines().map(str::trim).find_map(|line| {
        let mut fields = line.split(':');
        let name = fields
            .next()
            .filter(|name| !name.is_empty() && !name.starts_with(['#', '+', '-']))?;
        let (_password, id, _gid, full_name, home) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let _ = name;
        let full_name = full_name.split(',').next().unwrap_or_default();
        (id.parse() == Ok(uid)).then_some((home, full_name))
    })
}

#[cfg(test)]
mod tests;
