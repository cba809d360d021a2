//! Knowing a layer's diffID without reading its files (DESIGN "decide before working").
//!
//! A layer's tar is its skeleton, which are headers and padding, and its files' contents. The skeleton follows from
//! `stat`. Contents are known to be the same as long as every file is the same inode of the same device with the same
//! modification and change times, since nobody can choose a change time, and every change after [`settle`] gets a
//! later one.
//!
//! [`super::extract`] makes files from a tar of known diffID, and the fingerprint with them. While a layer's files have
//! that fingerprint, the layer has that diffID.

use super::LayerRecipe;
use super::tar::{self, Part};
use crate::oci::Digest;
use lifecycle_core::error::{Result, ResultExt};
use rustix::fs::{Stat, fstat};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// How often [`settle`] looks at the clock, and how many times: the slowest kernels' clocks move every 10 ms.
const LOOK: (Duration, u32) = (Duration::from_millis(1), 100);

/// Which files a layer is made of. Displays as text that [`Fingerprint::parse`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(Digest);

/// When a file was last changed in any way, by its file system's clock: seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeTime(i64, u64);

/// Which file it is, and in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    pub(super) inode: u64,
    modified: (i64, u64),
    changed: ChangeTime,
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: ChangeTime(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

/// The files of a layer that have content, in the order of its tar.
#[derive(Default)]
pub(super) struct Files {
    identities: Sha256,
    last_change: ChangeTime,
}

impl Files {
    pub(super) fn add(&mut self, identity: &Identity) {
        let Identity {
            device,
            inode,
            modified,
            changed,
        } = identity;
        self.identities.update(device.to_le_bytes());
        self.identities.update(inode.to_le_bytes());
        for (seconds, nanoseconds) in [*modified, (changed.0, changed.1)] {
            self.identities.update(seconds.to_le_bytes());
            self.identities.update(nanoseconds.to_le_bytes());
        }
        self.last_change = self.last_change.max(*changed);
    }

    /// The fingerprint of the layer whose tar without contents has the digest `skeleton`, and the last change of any
    /// file.
    pub(super) fn finish(self, skeleton: Sha256) -> (Fingerprint, ChangeTime) {
        let skeleton: [u8; 32] = skeleton.finalize().into();
        let fingerprint = self.identities.chain_update(skeleton).finalize();
        let fingerprint = Fingerprint(Digest::from_bytes(fingerprint.into()));
        (fingerprint, self.last_change)
    }
}

impl Fingerprint {
    /// The fingerprint of a layer's files as they are now, none of which is read.
    ///
    /// # Errors
    /// Something cannot be looked at, or has no place in a layer.
    pub fn of(recipe: &LayerRecipe) -> Result<Self> {
        let root = tar::root(recipe)?;
        let (mut skeleton, mut files) = (Sha256::new(), Files::default());
        tar::lay_out(recipe, root.as_ref(), &mut |part| {
            match part {
                Part::Bytes(bytes) => skeleton.update(bytes),
                Part::File(content) => files.add(&content.identity),
            }
            Ok(())
        })?;
        Ok(files.finish(skeleton).0)
    }

    /// Reads what [`Fingerprint`] displays as.
    ///
    /// # Errors
    /// Kind `Corrupt` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Digest::parse(text).map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Waits until every change of a file in `dir` gets a later time than `last`, at most a few ticks of its file system's
/// clock. `false` if changes can go unnoticed there: times are in whole seconds, or stay when a file is written through
/// a mapping, as in a tmpfs.
///
/// # Errors
/// A temporary file in `dir` cannot be made.
pub fn settle(dir: &Path, last: ChangeTime) -> Result<bool> {
    let probe = || -> io::Result<bool> {
        let mut file = tempfile::tempfile_in(dir)?;
        file.write_all(b"x")?;
        let written = changed(&file)?;
        for _ in 0..LOOK.1 {
            if changed(&tempfile::tempfile_in(dir)?)? > last.max(written) {
                write_mapped(&file)?;
                return Ok(changed(&file)? > written);
            }
            std::thread::sleep(LOOK.0);
        }
        Ok(false)
    };
    probe().context(|| format!("make a file in {}", dir.display()))
}

fn changed(file: &File) -> io::Result<ChangeTime> {
    Ok(Identity::of(&fstat(file)?).changed)
}

/// Reads and writes the first byte of a file through a mapping.
#[allow(unsafe_code)]
fn write_mapped(file: &File) -> io::Result<()> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: the kernel chooses the place, so nothing else is mapped there.
    let byte = unsafe { mmap(std::ptr::null_mut(), 1, protection, flags, file, 0) }?.cast::<u8>();
    // SAFETY: the mapping is one byte that can be read and written, of a file that has a byte and no other user. It is
    // removed after its last use.
    unsafe {
        byte.write_volatile(byte.read_volatile());
        munmap(byte.cast(), 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    /// Whether a change shows, in a layer with a file `f` in a directory `d`.
    fn check(shows: bool, change: impl FnOnce(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layer");
        fs::create_dir_all(path.join("d")).unwrap();
        fs::write(path.join("d/f"), "content").unwrap();
        let last = changed(&File::open(path.join("d/f")).unwrap()).unwrap();
        settle(dir.path(), last).unwrap();
        let recipe = LayerRecipe::Directory {
            path: path.clone(),
            uid: 1,
            gid: 2,
        };
        let before = Fingerprint::of(&recipe).unwrap();
        change(&path);
        assert_eq!(Fingerprint::of(&recipe).unwrap() != before, shows);
        assert_eq!(Fingerprint::parse(&before.to_string()).unwrap(), before);
    }

    /// Gives a file the modification time that another had.
    fn set_modified(path: &Path, like: &fs::Metadata) {
        let time = Timespec {
            tv_sec: like.mtime(),
            tv_nsec: like.mtime_nsec(),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }

    #[test]
    fn what_changes_the_tar_shows() {
        check(false, |_| {});
        check(false, |path| drop(File::open(path.join("d/f")).unwrap()));
        check(true, |path| fs::write(path.join("d/f"), "CONTENT").unwrap());
        check(true, |path| fs::write(path.join("d/new"), "").unwrap());
        check(true, |path| {
            fs::rename(path.join("d/f"), path.join("d/g")).unwrap()
        });
        check(true, |path| {
            fs::set_permissions(path.join("d"), Permissions::from_mode(0o700)).unwrap()
        });
        check(true, |path| {
            fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o711)).unwrap()
        });
        check(true, |path| {
            // The same size, written in place, with the old modification time.
            let file = path.join("d/f");
            let old = fs::metadata(&file).unwrap();
            fs::write(&file, "CONTENT").unwrap();
            set_modified(&file, &old);
            assert_eq!(
                fs::metadata(&file).unwrap().modified().unwrap(),
                old.modified().unwrap()
            );
        });
        check(true, |path| {
            // Another file, with the old one's content and modification time.
            let old = fs::metadata(path.join("d/f")).unwrap();
            fs::write(path.join("d/g"), "content").unwrap();
            set_modified(&path.join("d/g"), &old);
            fs::rename(path.join("d/g"), path.join("d/f")).unwrap();
        });
        check(true, |path| {
            // Written by another name.
            let other = path.parent().unwrap().join("other");
            fs::hard_link(path.join("d/f"), &other).unwrap();
            fs::write(&other, "CONTENT").unwrap();
            fs::remove_file(&other).unwrap();
        });
    }

    #[test]
    fn a_settled_clock_has_moved_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        let last = changed(&file).unwrap();
        let noticed = settle(dir.path(), last).unwrap();
        file.set_len(1).unwrap();
        assert!(changed(&file).unwrap() > last);
        let future = ChangeTime(last.0 + 1000, 0);
        assert!(!settle(dir.path(), future).unwrap());
        // Whatever the file system: what it says about mappings is true.
        let before = changed(&file).unwrap();
        settle(dir.path(), before).unwrap();
        write_mapped(&file).unwrap();
        assert_eq!(changed(&file).unwrap() > before, noticed);
    }
}
