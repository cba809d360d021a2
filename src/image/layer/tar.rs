//! Recipes laid out as tars (FACTS 5.1, 5.2): the bytes of headers and padding, and which files lie between them.

use super::beneath::{Beneath, Cursor};
use super::fingerprint::Identity;
use super::header::{EntryKind, Header, TRAILER, padding};
use super::path::clean;
use super::walk::{Order, Visit, visit_one, walk};
use super::{LayerRecipe, MadeEntry};
use lifecycle_core::error::{Error, Result, ResultExt};
use rustix::fs::{FileType, Stat};
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The next bytes of a tar.
pub(super) enum Part<'p> {
    /// These.
    Bytes(&'p [u8]),
    /// A file's content.
    File(Content<'p>),
}

/// A regular file as `stat` saw it.
#[derive(Clone, Copy)]
pub(super) struct Content<'p> {
    /// The path below the layer's root, or of a recipe without root, the whole path.
    pub(super) path: &'p [u8],
    /// How much of it the header promised.
    pub(super) size: u64,
    /// Which file it was.
    pub(super) identity: Identity,
}

type Emit<'e> = &'e mut dyn FnMut(Part<'_>) -> Result<()>;

/// The directory below which all files of a recipe lie; made entries come from anywhere.
///
/// # Errors
/// The path is not absolute, is `/`, or its parent cannot be opened.
pub(super) fn root(recipe: &LayerRecipe) -> Result<Option<Beneath>> {
    let (LayerRecipe::Directory { path, .. }
    | LayerRecipe::App { root: path, .. }
    | LayerRecipe::Paths { root: path, .. }) = recipe
    else {
        return Ok(None);
    };
    let (parent, _) = split(path)?;
    Beneath::open(&parent)
        .context(|| format!("open {}", parent.display()))
        .map(Some)
}

/// Emits the whole tar of a recipe, whose root [`root`] opened.
///
/// # Errors
/// Something cannot be read or has no place in a layer, or `emit` fails.
pub(super) fn lay_out(recipe: &LayerRecipe, root: Option<&Beneath>, emit: Emit<'_>) -> Result<()> {
    match (recipe, root) {
        (LayerRecipe::Directory { path, uid, gid }, Some(root)) => {
            lay_out_tree(root, path, Order::DepthFirst, (*uid, *gid), emit)?;
        }
        (
            LayerRecipe::App {
                root: path,
                uid,
                gid,
            },
            Some(root),
        ) => {
            lay_out_tree(root, path, Order::Path, (*uid, *gid), emit)?;
        }
        (
            LayerRecipe::Paths {
                root: app,
                paths,
                uid,
                gid,
            },
            Some(root),
        ) => {
            lay_out_paths(root, app, paths, (*uid, *gid), emit)?;
        }
        (LayerRecipe::Entries(entries), _) => {
            entries
                .iter()
                .try_for_each(|entry| lay_out_made(entry, emit))?;
        }
        (_, None) => return Err(Error::other("layer has no root directory")),
    }
    emit(Part::Bytes(&[0; TRAILER]))
}

/// The cleaned parent and the name of an absolute path.
fn split(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let cleaned = PathBuf::from(std::ffi::OsString::from_vec(clean(
        path.as_os_str().as_bytes(),
    )));
    match (cleaned.parent(), cleaned.file_name()) {
        (Some(parent), Some(name)) if cleaned.is_absolute() => {
            Ok((parent.to_owned(), name.as_bytes().to_vec()))
        }
        _ => Err(Error::other(format!(
            "'{}' cannot be a layer",
            path.display()
        ))),
    }
}

fn lay_out_tree(
    root: &Beneath,
    path: &Path,
    order: Order,
    owner: (u32, u32),
    emit: Emit<'_>,
) -> Result<()> {
    let (parent, name) = split(path)?;
    lay_out_ancestors(&parent, emit)?;
    let mut entries = Entries::new(&parent, owner, emit);
    walk(root, &name, order, &mut |visit| entries.add(&visit))
}

fn lay_out_paths(
    root: &Beneath,
    app: &Path,
    paths: &[PathBuf],
    owner: (u32, u32),
    emit: Emit<'_>,
) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let (parent, _) = split(app)?;
    lay_out_ancestors(&parent, emit)?;
    let mut entries = Entries::new(&parent, owner, emit);
    let mut cursor = Cursor::new(root);
    for path in paths {
        let relative = path.strip_prefix(&parent).ok().filter(|relative| {
            matches!(
                relative.components().next_back(),
                Some(Component::Normal(_))
            )
        });
        let relative = relative.ok_or_else(|| {
            Error::other(format!(
                "'{}' is not below '{}'",
                path.display(),
                app.display()
            ))
        })?;
        let visit = &mut |visit: Visit<'_>| entries.add(&visit);
        visit_one(root, &mut cursor, relative.as_os_str().as_bytes(), visit)?;
    }
    Ok(())
}

/// The directories above a layer's own, as they are on disk.
fn lay_out_ancestors(parent: &Path, emit: Emit<'_>) -> Result<()> {
    let mut ancestors: Vec<&Path> = parent
        .ancestors()
        .filter(|a| a.parent().is_some())
        .collect();
    ancestors.reverse();
    for path in ancestors {
        let stat = stat(path)?;
        let name = path.as_os_str().as_bytes();
        emit_header(
            &Header::new(
                EntryKind::Directory,
                name,
                stat.st_mode & 0o7777,
                stat.st_uid,
                stat.st_gid,
            ),
            emit,
        )?;
    }
    Ok(())
}

fn lay_out_made(entry: &MadeEntry, emit: Emit<'_>) -> Result<()> {
    let header = |kind, name| Header::new(kind, name, 0o755, 0, 0);
    match entry {
        MadeEntry::Directory(name) => {
            emit_header(&header(EntryKind::Directory, name.as_bytes()), emit)
        }
        MadeEntry::Symlink { name, target } => {
            let header = header(EntryKind::Symlink, name.as_bytes());
            emit_header(
                &Header {
                    link: target.as_bytes(),
                    ..header
                },
                emit,
            )
        }
        MadeEntry::File { name, source } => {
            let stat = stat(source)?;
            if !FileType::from_raw_mode(stat.st_mode).is_file() {
                return Err(Error::other(format!(
                    "'{}' is not a regular file",
                    source.display()
                )));
            }
            let header = header(EntryKind::File, name.as_bytes());
            emit_file(header, &stat, source.as_os_str().as_bytes(), emit)
        }
    }
}

fn stat(path: &Path) -> Result<Stat> {
    rustix::fs::stat(path)
        .map_err(std::io::Error::from)
        .context(|| format!("stat {}", path.display()))
}

/// Turns what a walk finds into entries.
struct Entries<'e> {
    /// The directory to which visited paths are relative, with a slash behind, then the entry's own path.
    name: Vec<u8>,
    prefix: usize,
    owner: (u32, u32),
    emit: Emit<'e>,
}

impl<'e> Entries<'e> {
    fn new(parent: &Path, owner: (u32, u32), emit: Emit<'e>) -> Self {
        let mut name = parent.as_os_str().as_bytes().to_vec();
        if !name.ends_with(b"/") {
            name.push(b'/');
        }
        Self {
            prefix: name.len(),
            name,
            owner,
            emit,
        }
    }

    fn add(&mut self, visit: &Visit<'_>) -> Result<()> {
        self.name.truncate(self.prefix);
        self.name.extend_from_slice(visit.relative);
        let kind = match visit.file_type() {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Socket => return Ok(()),
            FileType::Unknown => {
                let path = Path::new(OsStr::from_bytes(&self.name)).display();
                return Err(Error::other(format!("'{path}' is of an unknown kind")));
            }
        };
        let mode = visit.stat.st_mode & 0o7777;
        let header = Header::new(kind, &self.name, mode, self.owner.0, self.owner.1);
        match kind {
            EntryKind::File => emit_file(header, &visit.stat, visit.relative, self.emit),
            EntryKind::Symlink => {
                let link = rustix::fs::readlinkat(visit.parent, visit.name, Vec::new())
                    .map_err(std::io::Error::from)
                    .context(|| format!("readlink {}", OsStr::from_bytes(&self.name).display()))?;
                emit_header(
                    &Header {
                        link: link.as_bytes(),
                        ..header
                    },
                    self.emit,
                )
            }
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                let number = visit.stat.st_rdev;
                let device = (rustix::fs::major(number), rustix::fs::minor(number));
                emit_header(&Header { device, ..header }, self.emit)
            }
            _ => emit_header(&header, self.emit),
        }
    }
}

fn emit_header(header: &Header<'_>, emit: Emit<'_>) -> Result<()> {
    let mut bytes = Vec::with_capacity(512);
    header.encode(&mut bytes)?;
    emit(Part::Bytes(&bytes))
}

fn emit_file(header: Header<'_>, stat: &Stat, path: &[u8], emit: Emit<'_>) -> Result<()> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    emit_header(&Header { size, ..header }, emit)?;
    if size == 0 {
        return Ok(());
    }
    emit(Part::File(Content {
        path,
        size,
        identity: Identity::of(stat),
    }))?;
    emit(Part::Bytes(&[0; 512][..padding(size)]))
}
