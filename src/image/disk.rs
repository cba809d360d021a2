//! Files of stores and caches: opened without trust, written whole.
//!
//! Nothing is flushed to the disk: a killed process leaves old or new files, and what a power failure damages is found
//! out by its digest when it is read.

use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use tempfile::NamedTempFile;

/// Opens a file to read; `None` if there is none.
///
/// # Errors
/// Kind `Corrupt`: it is a symbolic link or no regular file (opening a fifo would wait for ever). Or it cannot be opened.
pub(crate) fn open_file(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let malformed =
        |cause: &str| Error::new(ErrorKind::Corrupt, format!("{} {cause}", path.display()));
    match open {
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(malformed("is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            Err(malformed("is a symbolic link"))
        }
        Err(error) => Err(error).context(|| format!("open {}", path.display())),
    }
}

/// Makes a directory with its parents, and refuses one that is a symbolic link.
///
/// # Errors
/// It cannot be made; kind `Corrupt` for a link.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("create {}", path.display()))?;
    match fs::symlink_metadata(path)?.is_dir() {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Corrupt,
            format!("{} is a symbolic link", path.display()),
        )),
    }
}

/// Writes the file `name` in `dir` whole or not at all: beside its place first, then under its name.
/// `content` writes the bytes.
///
/// # Errors
/// `content` fails or the disk does; nothing stays then.
pub(crate) fn write_whole(
    dir: &Path,
    name: &str,
    content: impl FnOnce(&mut File) -> Result<()>,
) -> Result<()> {
    let context = || format!("write {}", dir.join(name).display());
    let mut beside = beside(dir).context(context)?;
    content(beside.as_file_mut()).context(context)?;
    beside
        .persist(dir.join(name))
        .map_err(|error| error.error)
        .context(context)?;
    Ok(())
}

/// [`write_whole`] for bytes in memory.
///
/// # Errors
/// The disk fails; nothing stays then.
pub(crate) fn write_bytes(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    write_whole(dir, name, |file| Ok(file.write_all(bytes)?))
}

/// Puts a file that will not change any more under `name` in `dir`: as another link where the file system can, else
/// as a copy. An existing file is replaced.
///
/// # Errors
/// The disk fails; nothing stays then.
pub(crate) fn place(file: &Path, dir: &Path, name: &str) -> Result<()> {
    // A link of its own name first, as a link cannot replace a file and a rename can.
    let beside = dir.join(format!(".tmp-{name}-{}", std::process::id()));
    if fs::hard_link(file, &beside).is_err() {
        let mut source = File::open(file).context(|| format!("open {}", file.display()))?;
        return write_whole(dir, name, |target| copy(&mut source, target));
    }
    let readable = fs::set_permissions(&beside, fs::Permissions::from_mode(0o644));
    let renamed = readable.and_then(|()| fs::rename(&beside, dir.join(name)));
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed.context(|| format!("write {}", dir.join(name).display()))
}

/// Copies a stream to the end.
///
/// # Errors
/// Reading fails (kind `Corrupt` where the content is wrong) or writing does.
pub(crate) fn copy(mut from: impl Read, to: &mut File) -> Result<()> {
    io::copy(&mut from, to)
        .map(drop)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Error::new(ErrorKind::Corrupt, error),
            _ => error.into(),
        })
}

/// A new file in `dir` with the permissions that the umask leaves; it is removed unless it gets a name.
pub(crate) fn beside(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "x").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(open_file(&path("file")).unwrap().is_some());
        assert!(open_file(&path("absent")).unwrap().is_none());
        for (name, cause) in [
            ("link", "is a symbolic link"),
            ("fifo", "is not a regular file"),
            (".", "regular"),
        ] {
            let error = open_file(&path(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
            assert!(error.to_string().contains(cause), "{error}");
        }
    }

    #[test]
    fn files_appear_whole() {
        let dir = tempfile::tempdir().unwrap();
        write_bytes(dir.path(), "file", b"old").unwrap();
        let failed = write_whole(dir.path(), "file", |file| {
            file.write_all(b"ne")?;
            Err(Error::other("no space left"))
        });
        assert!(failed.is_err());
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("file"), "old");
        let other = tempfile::NamedTempFile::new().unwrap();
        fs::write(other.path(), "new").unwrap();
        place(other.path(), dir.path(), "file").unwrap();
        assert_eq!(read("file"), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
