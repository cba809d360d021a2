//! Knowing a layer's diffID without reading its files (DESIGN "decide before working").
//!
//! A layer's tar is its skeleton, which are headers and padding, and its files' contents. The skeleton follows from
//! `stat`. Contents are known to be the same as long as every file is the same inode with the same modification and
//! change times, and none of them was written so recently that another write could have the same times.
//!
//! So whoever made the files of a layer of known diffID, from a tar with the skeleton that the files on disk give,
//! keeps the fingerprint with the diffID, where only trusted processes write; while the fingerprint stays the same, so
//! does the diffID.

use super::LayerRecipe;
use super::tar::{self, Content, Part};
use crate::oci::Digest;
use lifecycle_core::error::Result;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer than the clock that stamps files stands still: a tick of the slowest kernels is 10 ms.
pub const RACY: Duration = Duration::from_millis(20);

/// The digest of a layer's tar without the contents of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skeleton(pub(super) Digest);

/// Which files a layer was made of. Displays as text that [`Fingerprint::parse`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(Digest);

/// A layer's files as they are now.
#[derive(Clone, Copy, Debug)]
pub struct Survey {
    /// What the layer's tar is besides contents.
    pub skeleton: Skeleton,
    fingerprint: Fingerprint,
    reliable: bool,
    settled_at: SystemTime,
    taken_at: SystemTime,
}

impl Survey {
    /// The fingerprint; `None` if a file could change unnoticed, because its file system keeps times in whole seconds
    /// or because it changed within the last milliseconds: another survey after [`Survey::unsettled_for`] may do.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        (self.reliable && self.unsettled_for().is_none()).then_some(self.fingerprint)
    }

    /// How long after the survey the last change was too young.
    pub fn unsettled_for(&self) -> Option<Duration> {
        self.settled_at
            .duration_since(self.taken_at)
            .ok()
            .filter(|rest| !rest.is_zero())
    }
}

/// Looks at all files of a layer without reading any.
///
/// # Errors
/// Something cannot be looked at, or has no place in a layer.
pub fn survey(recipe: &LayerRecipe) -> Result<Survey> {
    let taken_at = SystemTime::now();
    let root = tar::root(recipe)?;
    let mut skeleton = Sha256::new();
    let mut files = Files {
        identities: Sha256::new(),
        last_change: (0, 0),
        count: 0,
        fractions: false,
    };
    tar::lay_out(recipe, root.as_ref(), &mut |part| {
        match part {
            Part::Bytes(bytes) => skeleton.update(bytes),
            Part::File(content) => files.add(&content),
        }
        Ok(())
    })?;
    let skeleton: [u8; 32] = skeleton.finalize().into();
    let fingerprint = files.identities.chain_update(skeleton).finalize();
    let (seconds, nanoseconds) = files.last_change;
    let last_change =
        Duration::from_secs(seconds.try_into().unwrap_or(0)) + Duration::from_nanos(nanoseconds);
    Ok(Survey {
        skeleton: Skeleton(Digest::from_bytes(skeleton)),
        fingerprint: Fingerprint(Digest::from_bytes(fingerprint.into())),
        reliable: files.fractions || files.count == 0,
        settled_at: UNIX_EPOCH + last_change + RACY,
        taken_at,
    })
}

struct Files {
    identities: Sha256,
    last_change: (i64, u64),
    count: u64,
    /// Whether any time has a fraction of a second.
    fractions: bool,
}

impl Files {
    fn add(&mut self, content: &Content<'_>) {
        self.identities.update(content.inode.to_le_bytes());
        for (seconds, nanoseconds) in [content.modified, content.changed] {
            self.identities.update(seconds.to_le_bytes());
            self.identities.update(nanoseconds.to_le_bytes());
        }
        self.last_change = self.last_change.max(content.changed);
        self.fractions |= content.changed.1 != 0;
        self.count += 1;
    }
}

impl Fingerprint {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn settled(recipe: &LayerRecipe) -> Fingerprint {
        loop {
            let survey = survey(recipe).unwrap();
            match survey.fingerprint() {
                Some(fingerprint) => return fingerprint,
                None => std::thread::sleep(survey.unsettled_for().unwrap()),
            }
        }
    }

    /// Whether a change shows, in a layer with a file `f` in a directory `d`.
    fn check(shows: bool, change: impl FnOnce(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("layer");
        fs::create_dir_all(path.join("d")).unwrap();
        fs::write(path.join("d/f"), "content").unwrap();
        let recipe = LayerRecipe::Directory {
            path: path.clone(),
            uid: 1,
            gid: 2,
        };
        let before = settled(&recipe);
        change(&path);
        assert_eq!(settled(&recipe) != before, shows);
        assert_eq!(Fingerprint::parse(&before.to_string()).unwrap(), before);
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
            // Another file, with the old one's content and modification time.
            let old = fs::metadata(path.join("d/f")).unwrap();
            fs::write(path.join("d/g"), "content").unwrap();
            File::options()
                .write(true)
                .open(path.join("d/g"))
                .unwrap()
                .set_modified(old.modified().unwrap())
                .unwrap();
            fs::rename(path.join("d/g"), path.join("d/f")).unwrap();
        });
    }

    #[test]
    fn young_files_have_no_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        let recipe = LayerRecipe::Directory {
            path: dir.path().to_owned(),
            uid: 1,
            gid: 2,
        };
        let survey = survey(&recipe).unwrap();
        assert!(
            survey.fingerprint().is_none()
                && survey.unsettled_for().is_some_and(|rest| rest <= RACY)
        );
    }
}
