//! Documents on disk: read with a bound and without trust, written whole or not at all.

use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// The largest document that is read.
const LIMIT: u64 = 8 << 20;

/// The text of a document; nothing when there is no such file.
///
/// # Errors
/// The file cannot be read, is no regular file, is larger than 8 MiB or is not UTF-8.
pub fn read(path: &Path) -> Result<Option<String>> {
    match read_required(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text of a document that must be there.
///
/// # Errors
/// As [`read`], and kind `NotFound` when there is no such file.
pub fn read_required(path: &Path) -> Result<String> {
    // Opening a fifo without a writer would wait for one.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let open = || {
        rustix::fs::open(path, flags, Mode::empty())
            .map_err(std::io::Error::from)
            .map(File::from)
    };
    let file = open().context(|| format!("open {}", path.display()))?;
    bounded(file).context(|| format!("read {}", path.display()))
}

fn bounded(file: File) -> Result<String> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("larger than {} MiB", LIMIT >> 20),
        ));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::Corrupt, "not UTF-8"))
}

/// Writes a document, making its directory. Whoever reads the path sees the old text or the new one; a symlink there is
/// replaced, not followed.
///
/// # Errors
/// The directory or the file cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(dir).context(|| format!("mkdir {}", dir.display()))?;
    let replaced = match fs::metadata(path) {
        // `-report /dev/stdout`
        Ok(metadata) if metadata.file_type().is_char_device() => fs::write(path, text),
        _ => replace(path, dir, text),
    };
    replaced.context(|| format!("write {}", path.display()))
}

fn replace(path: &Path, dir: &Path, text: &str) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
