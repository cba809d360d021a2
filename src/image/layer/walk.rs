//! A directory tree in a fixed order, with one open directory and the names of the directories on the way in memory.

use super::beneath::{Beneath, Cursor};
use lifecycle_core::error::{Result, ResultExt};
use rustix::fs::{AtFlags, FileType, RawDir, Stat};
use std::os::fd::BorrowedFd;

/// In which order a tree is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A directory is followed by its content: `a`, `a/b`, `a.txt` (Go's `filepath.Walk`).
    DepthFirst,
    /// By the bytes of the full path: `a`, `a.txt`, `a/b`.
    Path,
}

/// Something that a walk found.
pub(super) struct Visit<'v> {
    /// Its path below the walk's root.
    pub(super) relative: &'v [u8],
    /// Its own status, links not followed.
    pub(super) stat: Stat,
    /// Its directory.
    pub(super) parent: BorrowedFd<'v>,
    /// Its name in `parent`.
    pub(super) name: &'v [u8],
}

impl Visit<'_> {
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Visits `start`, a path below `root`, and everything below it.
///
/// # Errors
/// `visit` fails, or something cannot be read; the error names it.
pub(super) fn walk(
    root: &Beneath,
    start: &[u8],
    order: Order,
    visit: &mut dyn FnMut(Visit<'_>) -> Result<()>,
) -> Result<()> {
    let mut cursor = Cursor::new(root);
    let mut path = start.to_vec();
    let mut open = Vec::new();
    if visit_one(root, &mut cursor, &path, visit)? {
        open.push(Listing::read(root, &mut cursor, &path, order)?);
    }
    while let Some(listing) = open.last_mut() {
        path.truncate(listing.directory);
        let Some(name) = listing.next() else {
            open.pop();
            continue;
        };
        path.push(b'/');
        path.extend_from_slice(name);
        let is_content = path.pop_if(|last| *last == b'/').is_some();
        let descend = is_content
            || (visit_one(root, &mut cursor, &path, visit)? && order == Order::DepthFirst);
        if descend {
            open.push(Listing::read(root, &mut cursor, &path, order)?);
        }
    }
    Ok(())
}

/// Visits what `relative` names and returns whether it is a directory.
pub(super) fn visit_one(
    root: &Beneath,
    cursor: &mut Cursor<&Beneath>,
    relative: &[u8],
    visit: &mut dyn FnMut(Visit<'_>) -> Result<()>,
) -> Result<bool> {
    let status = || format!("lstat {}", root.full_path(relative).display());
    let (parent, name) = cursor.parent(relative).context(status)?;
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(std::io::Error::from)
        .context(status)?;
    visit(Visit {
        relative,
        stat,
        parent,
        name,
    })?;
    Ok(FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// The names in a directory, sorted. In [`Order::Path`] every directory is there twice: as itself, and with a slash
/// behind its name where its content belongs.
struct Listing {
    /// The length of the directory's own path.
    directory: usize,
    names: Vec<u8>,
    /// Where each name starts and ends in `names`; the last comes first.
    spans: Vec<(u32, u32)>,
}

impl Listing {
    fn read(
        root: &Beneath,
        cursor: &mut Cursor<&Beneath>,
        path: &[u8],
        order: Order,
    ) -> Result<Self> {
        let opening = || format!("open {}", root.full_path(path).display());
        let handle = cursor.list(path).context(opening)?;
        let mut listing = Self {
            directory: path.len(),
            names: Vec::new(),
            spans: Vec::new(),
        };
        let mut buffer = Vec::with_capacity(16 << 10);
        let mut entries = RawDir::new(&handle, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(std::io::Error::from).context(opening)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            listing.push(name, b"");
            if order == Order::Path && is_dir(&handle, name, entry.file_type()) {
                listing.push(name, b"/");
            }
        }
        let Self { names, spans, .. } = &mut listing;
        spans.sort_unstable_by(|&a, &b| text(names, b).cmp(text(names, a)));
        Ok(listing)
    }

    fn push(&mut self, name: &[u8], suffix: &[u8]) {
        let start = self.names.len() as u32;
        self.names.extend_from_slice(name);
        self.names.extend_from_slice(suffix);
        self.spans.push((start, self.names.len() as u32));
    }

    fn next(&mut self) -> Option<&[u8]> {
        self.spans.pop().map(|span| text(&self.names, span))
    }
}

fn text(names: &[u8], (start, end): (u32, u32)) -> &[u8] {
    &names[start as usize..end as usize]
}

/// Whether a listed name is a directory; file systems that do not tell are asked.
fn is_dir(directory: &impl std::os::fd::AsFd, name: &[u8], listed: FileType) -> bool {
    match listed {
        FileType::Unknown => rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()),
        known => known.is_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(order: Order, expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        for path in ["r/a/b", "r/a/b.c/d", "r/a-x", "r/a.txt", "r/a0", "r/z/"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match path.to_str().unwrap().ends_with('/') {
                true => std::fs::create_dir(path).unwrap(),
                false => std::fs::write(path, "").unwrap(),
            }
        }
        let root = Beneath::open(dir.path()).unwrap();
        let mut seen = Vec::new();
        walk(&root, b"r", order, &mut |visit| {
            seen.push(String::from_utf8(visit.relative.to_vec()).unwrap());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, expected);
    }

    #[test]
    fn orders() {
        check(
            Order::DepthFirst,
            &[
                "r",
                "r/a",
                "r/a/b",
                "r/a/b.c",
                "r/a/b.c/d",
                "r/a-x",
                "r/a.txt",
                "r/a0",
                "r/z",
            ],
        );
        check(
            Order::Path,
            &[
                "r",
                "r/a",
                "r/a-x",
                "r/a.txt",
                "r/a/b",
                "r/a/b.c",
                "r/a/b.c/d",
                "r/a0",
                "r/z",
            ],
        );
    }
}
