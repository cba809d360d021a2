//! The inside of a jail: how the process there gets its root.

use super::{NETWORK_FILES, OFFLINE, SCRIPT};
use crate::extend::mounts::Held;
use crate::extend::namespace::unshare;
use crate::extend::process;
use crate::extend::users::User;
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{CWD, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};
use rustix::thread::{CapabilitySet, UnshareFlags};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Names in /dev and what they stand for.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// What a machine's root may write to in /proc, and nobody in a container (as Docker has it).
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// What nobody in a container may read in /proc.
const HIDDEN: [&str; 5] = [
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "timer_list",
];
/// The rights that root has in a container (Docker's default), so that it cannot undo what this module does.
const RIGHTS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// Becomes the process that [`Jail::start`](super::Jail::start) describes in `arguments`; returns only what went wrong.
pub fn init(arguments: &[OsString]) -> Error {
    match prepare(arguments) {
        // Its own PATH says where programs are.
        Ok(mut command) => Error::from(command.exec()),
        Err(error) => error,
    }
}

fn prepare(arguments: &[OsString]) -> Result<Command> {
    let [
        root,
        network_files,
        script,
        uid,
        gid,
        groups,
        network,
        dir,
        count,
        rest @ ..,
    ] = arguments
    else {
        return Err(Error::other("no command"));
    };
    let id = |text: &str| text.parse::<u32>().map_err(Error::other);
    let text = |text: &OsString| text.to_string_lossy().into_owned();
    let groups = text(groups);
    let groups = groups.split(',').filter(|group| !group.is_empty());
    let user = User {
        uid: id(&text(uid))?,
        gid: id(&text(gid))?,
        groups: groups.map(id).collect::<Result<_>>()?,
        home: None,
    };
    let count: usize = text(count).parse().map_err(Error::other)?;
    let (mounts, command) = rest.split_at_checked(count * 3).unwrap_or_default();
    let (name, rest) = command
        .split_first()
        .ok_or_else(|| Error::other("no command"))?;
    let mut mounts: Vec<_> = mounts
        .as_chunks()
        .0
        .iter()
        .map(|words| Held::from_words(words.each_ref()))
        .collect();
    // The script is one as well.
    if !script.is_empty() {
        mounts.push(Held::files(script.into(), Path::new(SCRIPT)));
    }
    let root = Path::new(root);
    if network == OFFLINE {
        unshare(UnshareFlags::NEWNET).context(|| "make a namespace for the network")?;
    }
    enter(root, Path::new(network_files), &mounts)
        .context(|| format!("enter {}", root.display()))?;
    process::become_user(&user)?;
    let mut command = Command::new(name);
    command.args(rest).current_dir(dir);
    Ok(command)
}

/// Takes this process into the jail.
fn enter(root: &Path, network_files: &Path, mounts: &[Held]) -> Result<()> {
    unshare(UnshareFlags::NEWNS).context(|| "make a namespace for mounts")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)
        .map_err(io::Error::from)
        .context(|| "make mounts private")?;
    // Everything from outside is held before the root changes; only then are paths the image's.
    let proc = proc()?;
    let dev = file_system(
        "tmpfs",
        MountAttrFlags::MOUNT_ATTR_NOSUID,
        &[("mode", "755")],
    )?;
    let devices = DEVICES.map(|name| (name, outside(&Path::new("/dev").join(name))));
    let network = NETWORK_FILES.map(|name| (name, outside(&network_files.join(name))));
    let mounts = mounts.iter().map(|mount| {
        let held = match mount.source() {
            Some(source) => outside(source).map_err(Error::from),
            None => file_system(
                "tmpfs",
                MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
                &[],
            ),
        };
        let held = held.context(|| format!("mount {}", mount.target().display()));
        Ok((mount, held?))
    });
    let mounts = mounts.collect::<Result<Vec<_>>>()?;
    pivot(root)
        .map_err(io::Error::from)
        .context(|| "change the root")?;

    let place =
        |mount: &OwnedFd, path: &Path| attach(mount, path).context(|| path.display().to_string());
    place(&proc, Path::new("/proc"))?;
    place(&dev, Path::new("/dev"))?;
    for (name, device) in devices {
        // A machine without a terminal may lack one.
        if let Ok(device) = device {
            let path = Path::new("/dev").join(name);
            fs::write(&path, "").context(|| path.display().to_string())?;
            place(&device, &path)?;
        }
    }
    fill_dev().context(|| "/dev")?;
    for (mount, held) in &mounts {
        let target = mount.target();
        if target == Path::new(SCRIPT) {
            fs::write(SCRIPT, "").context(|| SCRIPT)?;
        }
        place(held, target)?;
        if mount.is_read_only() {
            protect(target)
                .map_err(io::Error::from)
                .context(|| target.display().to_string())?;
        }
    }
    protect_proc();
    for (name, file) in network {
        let path = Path::new("/etc").join(name);
        if path.is_file()
            && let Ok(file) = file
        {
            place(&file, &path)?;
        }
    }
    keep_rights()
        .map_err(io::Error::from)
        .context(|| "drop capabilities")
}

/// A mount of its own of a file or directory.
fn outside(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}

/// The processes of the namespace; where the container hides parts of /proc the kernel makes no whole one, and the
/// container's has to do.
fn proc() -> Result<OwnedFd> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    file_system("proc", attributes, &[]).or_else(|_| {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = rustix::mount::open_tree(CWD, "/proc", flags).map_err(io::Error::from);
        tree.context(|| "mount /proc")
    })
}

fn file_system(
    kind: &str,
    attributes: MountAttrFlags,
    options: &[(&str, &str)],
) -> Result<OwnedFd> {
    let make = || {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            rustix::mount::fsconfig_set_string(context.as_fd(), *name, *value)?;
        }
        rustix::mount::fsconfig_create(context.as_fd())?;
        rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make()
        .map_err(io::Error::from)
        .context(|| format!("make a file system ({kind})"))
}

/// Makes `root` the root, and lets go of the one before.
fn pivot(root: &Path) -> Result<(), Errno> {
    // The new root has to be a mount.
    rustix::mount::mount_bind_recursive(root, root)?;
    rustix::process::chdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

fn attach(mount: &OwnedFd, path: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    Ok(rustix::mount::move_mount(
        mount.as_fd(),
        "",
        CWD,
        path,
        flags,
    )?)
}

/// Makes a mount read-only. What else its file system forbids stays forbidden: the kernel insists.
fn protect(path: &Path) -> Result<(), Errno> {
    let now = rustix::fs::statvfs(path)?.f_flag;
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = kept.iter().filter(|(set, _)| now.contains(*set));
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |flags, (_, flag)| {
        flags | *flag
    });
    rustix::mount::mount_remount(path, flags, c"")
}

fn fill_dev() -> io::Result<()> {
    for (name, target) in LINKS {
        symlink(target, Path::new("/dev").join(name))?;
    }
    fs::create_dir("/dev/shm")?;
    fs::set_permissions("/dev/shm", fs::Permissions::from_mode(0o1777))?;
    fs::create_dir("/dev/pts")?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Without terminals most programs work as well.
    let _ = rustix::mount::mount(
        "devpts",
        "/dev/pts",
        "devpts",
        flags,
        c"newinstance,ptmxmode=0666,mode=0620",
    );
    Ok(())
}

/// What is not there needs no protection; in a user namespace the kernel itself keeps most of it.
fn protect_proc() {
    let proc = Path::new("/proc");
    for path in READ_ONLY.map(|name| proc.join(name)) {
        let _ = rustix::mount::mount_bind(&path, &path).and_then(|()| protect(&path));
    }
    for path in HIDDEN.map(|name| proc.join(name)) {
        let _ = rustix::mount::mount_bind("/dev/null", path);
    }
}

/// Programs that root starts get no other rights than these.
fn keep_rights() -> Result<(), Errno> {
    for right in CapabilitySet::all().difference(RIGHTS).iter() {
        match rustix::thread::remove_capability_from_bounding_set(right) {
            // The kernel is older than the list.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
