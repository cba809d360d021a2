//! A root of its own for the processes of `RUN`: they see its files, what else a container has, and no other process.
//!
//! This program starts itself once more, in a namespace of processes; that one makes the mounts, changes the root, gives its
//! rights up and then becomes the command.

mod inside;

pub use inside::init;

use super::mounts::Held;
use super::namespace::{Owners, unshare};
use super::process::Process;
use super::resolve::{below, resolve};
use super::users::User;
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::thread::UnshareFlags;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where a script is that is executed as a file.
pub(super) const SCRIPT: &str = "/dev/script";

/// What says that the process has no network.
const OFFLINE: &str = "offline";
/// What says how to find other machines.
const NETWORK_FILES: [&str; 2] = ["hosts", "resolv.conf"];
/// A directory that processes take for their root.
pub struct Jail {
    root: PathBuf,
    owners: Owners,
    /// Copies of this machine's: whoever writes to them changes nothing.
    network_files: tempfile::TempDir,
    /// Where directories are that `RUN --mount=type=cache` keeps.
    cache_mounts: PathBuf,
}

impl Jail {
    /// A jail in `root`, by a process that has [entered](super::namespace::enter) a user namespace. Small files are put
    /// into `work_dir`, what `RUN --mount=type=cache` keeps into `cache_mounts`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(root: &Path, owners: Owners, work_dir: &Path, cache_mounts: &Path) -> Result<Self> {
        let network_files = tempfile::tempdir_in(work_dir).context(|| "prepare /etc")?;
        for name in NETWORK_FILES {
            let text = fs::read(Path::new("/etc").join(name)).unwrap_or_default();
            let copy = network_files.path().join(name);
            fs::write(copy, text).context(|| format!("prepare /etc/{name}"))?;
        }
        Ok(Self {
            root: root.to_owned(),
            owners,
            network_files,
            cache_mounts: cache_mounts.to_owned(),
        })
    }

    /// Whose files there are.
    pub(super) fn owners(&self) -> Owners {
        self.owners
    }

    pub(super) fn cache_mounts(&self) -> &Path {
        &self.cache_mounts
    }

    /// Starts a process in the jail, which is alone there.
    ///
    /// # Errors
    /// The kernel refuses. What goes wrong in the jail the process itself says.
    pub(super) fn start(&self, process: &Process<'_>) -> Result<Child> {
        unshare(UnshareFlags::NEWPID).context(|| "make a namespace for processes")?;
        let User {
            uid, gid, groups, ..
        } = process.user;
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        // The namespace's own /proc can be made only by a process that is in it.
        let child = Command::new("/proc/self/exe")
            .arg0(INIT)
            .arg(&self.root)
            .arg(self.network_files.path())
            .arg(process.script.unwrap_or(Path::new("")))
            .args([uid.to_string(), gid.to_string(), groups.join(",")])
            .arg(if process.offline { OFFLINE } else { "" })
            .arg(process.dir)
            .arg(process.mounts.len().to_string())
            .args(process.mounts.iter().flat_map(Held::words))
            .args(process.argv)
            .env_clear()
            .envs(process.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0)
            .spawn();
        Ok(child?)
    }

    /// Makes what mounts are put over and is not there; all of it goes with the value.
    ///
    /// # Errors
    /// There is something else in its place.
    pub(super) fn make_room(&self, mounts: &[Held]) -> Result<Stubs<'_>> {
        let mut stubs = Stubs {
            root: &self.root,
            made: Vec::new(),
        };
        for directory in ["/proc", "/dev", "/etc"] {
            stubs
                .directory(Path::new(directory))
                .context(|| directory)?;
        }
        for name in NETWORK_FILES {
            stubs.file(&Path::new("/etc").join(name));
        }
        for mount in mounts {
            let target = mount.target();
            stubs
                .target(target, mount.is_directory())
                .context(|| target.display().to_string())?;
        }
        Ok(stubs)
    }
}

/// Directories and empty files that are there only while a process is in the jail.
pub(super) struct Stubs<'a> {
    root: &'a Path,
    made: Vec<PathBuf>,
}

impl Stubs<'_> {
    fn directory(&mut self, path: &Path) -> Result<()> {
        match resolve(self.root, path) {
            Ok(real) if below(self.root, &real).is_dir() => Ok(()),
            Ok(_) => Err(Error::other("not a directory")),
            Err(_) => {
                let name = path.file_name().unwrap_or_default();
                let parent = resolve(self.root, path.parent().unwrap_or(path))?;
                let path = below(self.root, &parent).join(name);
                fs::create_dir(&path)?;
                self.made.push(path);
                Ok(())
            }
        }
    }

    /// Room for a mount, and the directories on its way.
    fn target(&mut self, path: &Path, is_directory: bool) -> Result<()> {
        let mut parents: Vec<_> = path.ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents {
            self.directory(parent)?;
        }
        if is_directory {
            return self.directory(path);
        }
        self.file(path);
        Ok(())
    }

    /// A link to nowhere stays one: then other machines have no names.
    fn file(&mut self, path: &Path) {
        let parent = path.parent().map(|parent| resolve(self.root, parent));
        if let (Err(_), Some(Ok(parent)), Some(name)) =
            (resolve(self.root, path), parent, path.file_name())
        {
            let path = below(self.root, &parent).join(name);
            if fs::File::create_new(&path).is_ok() {
                self.made.push(path);
            }
        }
    }
}

impl Drop for Stubs<'_> {
    /// Unless somebody has put something there.
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            let _ = match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
                Ok(metadata) if metadata.len() == 0 => fs::remove_file(path),
                _ => Ok(()),
            };
        }
    }
}

/// The name under which this program is started to become a process in a jail.
pub const INIT: &str = "lifecycle-dockerfile-run";
