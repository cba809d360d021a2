//! Small files: reading with a bound and without hanging, writing without ever leaving half a file behind.

use crate::error::{Error, ErrorKind, Result, ResultExt};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes that a document may have, whoever wrote it. Real ones have a few KB; a plan or a label with
/// thousands of entries stays below 1 MB.
pub const DOCUMENT_LIMIT: u64 = 8 << 20;

/// `O_NONBLOCK` on Linux, amd64 and arm64: opening a fifo without a writer returns at once.
const O_NONBLOCK: i32 = 0o4000;

/// Opens a regular file that a buildpack may have put there: never blocks, never opens a device or fifo for use.
///
/// # Errors
/// Kind `NotFound` if there is no such file; anything but a regular file is refused.
pub fn open(path: &Path) -> Result<File> {
    let file = open_any(path)?;
    regular_size(&file, path)?;
    Ok(file)
}

fn open_any(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .context(|| format!("open {}", path.display()))
}

/// The size of a file that is a regular one.
fn regular_size(file: &File, path: &Path) -> Result<u64> {
    let metadata = file
        .metadata()
        .context(|| format!("stat {}", path.display()))?;
    if metadata.is_dir() {
        return Err(Error::other("is a directory").in_context(format!("read {}", path.display())));
    }
    if !metadata.is_file() {
        return Err(
            Error::other("not a regular file").in_context(format!("open {}", path.display()))
        );
    }
    Ok(metadata.len())
}

/// Reads a regular file of at most `limit` bytes, as [`open`] opens it.
///
/// # Errors
/// Those of [`open`]; kind `Corrupt` if the file is larger.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_opened(open_any(path)?, path, limit)
}

/// Reads a file that was opened without blocking, with the checks of [`read_bytes`]. `path` is for messages.
///
/// # Errors
/// As for [`read_bytes`].
pub fn read_opened(file: File, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let size = regular_size(&file, path)?;
    if size > limit {
        let cause = format!("larger than the limit of {limit} bytes");
        return Err(
            Error::new(ErrorKind::Corrupt, cause).in_context(format!("read {}", path.display()))
        );
    }
    // Files of pseudo file systems have no size.
    let expected = if size == 0 { limit } else { size };
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(expected)
        .read_to_end(&mut bytes)
        .context(|| format!("read {}", path.display()))?;
    Ok(bytes)
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// Those of [`read_bytes`]; kind `Corrupt` if the file is not UTF-8.
pub fn read(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, limit)?).map_err(|error| {
        Error::new(ErrorKind::Corrupt, error.utf8_error())
            .in_context(format!("read {}", path.display()))
    })
}

/// Reads a document, or nothing where there is no such file.
///
/// # Errors
/// Those of [`read`] except `NotFound`.
pub fn read_if_exists(path: &Path, limit: u64) -> Result<Option<String>> {
    match read(path, limit) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Writes a hand-over file: readers find the old content or all of the new, even after a crash. Parent directories
/// are made; modes follow the umask. A link in its place is replaced, not followed.
///
/// # Errors
/// A directory or the file cannot be written. The old file, if any, is still there.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace(path, content.as_ref(), Durability::Synced)
}

/// Like [`write`], for the many small files below `<layers>`, which no one reads after a crash.
///
/// # Errors
/// As for [`write`].
pub fn write_unsynced(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace(path, content.as_ref(), Durability::Unsynced)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Synced,
    Unsynced,
}

fn replace(path: &Path, content: &[u8], durability: Durability) -> Result<()> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).context(|| format!("mkdir {}", parent.display()))?;
    }
    // What is no file (`-report /dev/stdout`) cannot be replaced. A link to a file is: a buildpack may have put it there.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return overwrite(path, content);
    }
    let beside = Beside::create(path);
    let beside = match beside {
        // The file may be writable where its directory is not.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && path.exists() => {
            return overwrite(path, content);
        }
        beside => beside.context(|| format!("open {}", path.display()))?,
    };
    match beside.commit(path, content, durability) {
        // A file mounted on its own (a volume of one file) cannot be renamed over.
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => overwrite(path, content),
        result => result.context(|| format!("write {}", path.display())),
    }
}

fn overwrite(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        // A fifo without a reader is an error, nothing to wait for.
        .custom_flags(O_NONBLOCK)
        .open(path)
        .context(|| format!("open {}", path.display()))?;
    file.write_all(content)
        .context(|| format!("write {}", path.display()))
}

/// A new file next to the one that it is to replace; removed unless committed.
struct Beside {
    path: PathBuf,
    file: File,
}

impl Beside {
    fn create(target: &Path) -> std::io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(
            ".{}.{}",
            std::process::id(),
            COUNTER.fetch_add(1, Ordering::Relaxed)
        ));
        let path = target.with_file_name(name);
        let create = || OpenOptions::new().write(true).create_new(true).open(&path);
        let file = match create() {
            // A process with the same id was killed here before.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                fs::remove_file(&path)?;
                create()?
            }
            file => file?,
        };
        Ok(Self { path, file })
    }

    fn commit(
        mut self,
        target: &Path,
        content: &[u8],
        durability: Durability,
    ) -> std::io::Result<()> {
        self.file.write_all(content)?;
        if durability == Durability::Synced {
            self.file.sync_all()?;
        }
        fs::rename(&self.path, target)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // After a successful rename there is nothing left to remove.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("core-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn check_refused(path: &Path, limit: u64, kind: ErrorKind, text: &str) {
        let error = read(path, limit).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (
                kind,
                text.replace("DIR", path.parent().unwrap().to_str().unwrap())
            )
        );
    }

    #[test]
    fn reads_refuse_what_is_no_small_text_file() {
        let dir = directory("read");
        fs::write(dir.join("large"), "12345").unwrap();
        fs::write(dir.join("binary"), b"\xff").unwrap();
        assert_eq!(read(&dir.join("large"), 5).unwrap(), "12345");
        check_refused(
            &dir.join("none"),
            9,
            ErrorKind::NotFound,
            "open DIR/none: no such file or directory",
        );
        check_refused(
            &dir.join("large"),
            4,
            ErrorKind::Corrupt,
            "read DIR/large: larger than the limit of 4 bytes",
        );
        check_refused(
            &dir.join("binary"),
            9,
            ErrorKind::Corrupt,
            "read DIR/binary: invalid utf-8 sequence of 1 bytes from index 0",
        );
        assert!(
            read(&dir, 9)
                .unwrap_err()
                .to_string()
                .ends_with("is a directory")
        );
        let fifo = dir.join("fifo");
        if std::process::Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .is_ok_and(|status| status.success())
        {
            check_refused(
                &fifo,
                9,
                ErrorKind::Other,
                "open DIR/fifo: not a regular file",
            );
        }
        assert_eq!(read_if_exists(&dir.join("none"), 9).unwrap(), None);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn writes_replace_and_leave_nothing_else() {
        let dir = directory("write");
        let path = dir.join("a/b/file");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.join("a/b")).unwrap().count(), 1);
        std::os::unix::fs::symlink(&path, dir.join("link")).unwrap();
        write_unsynced(&dir.join("link"), "three").unwrap();
        assert_eq!(fs::read_to_string(dir.join("link")).unwrap(), "three");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        write(Path::new("/dev/null"), "gone").unwrap();
        assert!(fs::metadata("/dev/null").is_ok_and(|metadata| !metadata.is_file()));
        fs::remove_dir_all(dir).unwrap();
    }
}
