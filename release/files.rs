//! Files that become a tar: sorted by path, with owners, modes and times that say nothing about this machine.

use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::layer::header::{EntryKind, Header, MTIME, TRAILER, padding};
use lifecycle_image::layer::{self, Layer, LayerSource, Outputs, Spool, Workers};
use lifecycle_image::oci::History;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries by path. Paths have no slash at either end.
#[derive(Clone, Debug, Default)]
pub struct Files(BTreeMap<String, Entry>);

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub content: Content,
    /// Its permissions.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A directory.
    Directory,
    /// A regular file of these bytes.
    Bytes(Vec<u8>),
    /// A regular file with the content of the file at this path.
    Copy(PathBuf),
    /// A symbolic link that points here.
    Link(String),
}

impl Entry {
    /// An entry of root with the permissions that such entries usually have.
    pub fn new(content: Content) -> Self {
        let mode = match content {
            Content::Directory => 0o755,
            Content::Link(_) => 0o777,
            Content::Bytes(_) | Content::Copy(_) => 0o644,
        };
        Self {
            content,
            mode,
            owner: (0, 0),
        }
    }

    /// The same with other permissions.
    #[must_use]
    pub fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}

impl Files {
    /// Adds an entry, and the directories above it that are not there yet.
    pub fn insert(&mut self, path: &str, entry: Entry) {
        for (slash, _) in path.match_indices('/') {
            let parent = path.get(..slash).unwrap_or_default().to_owned();
            self.0
                .entry(parent)
                .or_insert_with(|| Entry::new(Content::Directory));
        }
        self.0.insert(path.to_owned(), entry);
    }

    /// Adds a directory of this machine with everything in it. Of permissions only "executable" counts, as in a
    /// repository: the umask of whoever checked it out shall not.
    ///
    /// # Errors
    /// Something cannot be read, has a name that is not UTF-8, or is no file, directory or symbolic link.
    pub fn insert_tree(&mut self, path: &str, from: &Path) -> Result<()> {
        let context = || format!("read {}", from.display());
        let metadata = fs::symlink_metadata(from).context(context)?;
        let kind = metadata.file_type();
        let entry = if kind.is_dir() {
            for child in fs::read_dir(from).context(context)? {
                let child = child.context(context)?;
                let name = child.file_name();
                let name = name.to_str().ok_or_else(|| {
                    Error::other(format!("{}: not UTF-8", child.path().display()))
                })?;
                self.insert_tree(&format!("{path}/{name}"), &child.path())?;
            }
            Entry::new(Content::Directory)
        } else if kind.is_symlink() {
            let target = fs::read_link(from).context(context)?;
            let target = target.into_os_string().into_string().map_err(|_| {
                Error::other(format!("{}: its target is not UTF-8", from.display()))
            })?;
            Entry::new(Content::Link(target))
        } else if kind.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            Entry::new(Content::Copy(from.to_owned())).with_mode(if executable {
                0o755
            } else {
                0o644
            })
        } else {
            let cause = format!("{} is no file, directory or symbolic link", from.display());
            return Err(Error::other(cause));
        };
        self.insert(path, entry);
        Ok(())
    }

    /// The entries, parents before children.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The same entries below the directory `directory`.
    #[must_use]
    pub fn below(self, directory: &str) -> Self {
        let mut files = Self::default();
        for (path, entry) in self.0 {
            files.insert(&format!("{directory}/{path}"), entry);
        }
        files
    }

    /// Writes the tar. `root` precedes every path; `mtime` is every entry's time.
    ///
    /// # Errors
    /// A file cannot be read or changes its size meanwhile, or `out` fails.
    pub fn write(&self, root: &str, mtime: i64, out: &mut dyn Write) -> Result<()> {
        for (path, entry) in &self.0 {
            let name = format!("{root}{path}");
            write_entry(&name, entry, mtime, out).context(|| format!("write {name} into a tar"))?;
        }
        Ok(out.write_all(&[0; TRAILER])?)
    }

    /// The layer with these entries at `/`. `spool` is the directory for its compressed form.
    ///
    /// # Errors
    /// As [`Files::write`].
    pub fn layer(&self, history: History, spool: &Path, workers: &Workers) -> Result<Layer> {
        let spool = Spool::gzip(spool);
        let outputs = Outputs {
            blob: Some(spool),
            tar: None,
        };
        let built = layer::pack(|out| self.write("/", MTIME, out), outputs, workers)?;
        let blob = built
            .blob
            .ok_or_else(|| Error::other("the layer was not compressed"))?;
        Ok(Layer {
            diff_id: built.diff_id,
            history: Some(history),
            source: LayerSource::Spooled(Arc::new(blob)),
        })
    }
}

fn write_entry(name: &str, entry: &Entry, mtime: i64, out: &mut dyn Write) -> Result<()> {
    let (uid, gid) = entry.owner;
    let header = |kind, size, link: &str| {
        let mut block = Vec::new();
        let header = Header {
            size,
            mtime,
            link: link.as_bytes(),
            ..Header::new(kind, name.as_bytes(), entry.mode, uid, gid)
        };
        header.encode(&mut block).map(|()| block)
    };
    let size = match &entry.content {
        Content::Directory => {
            out.write_all(&header(EntryKind::Directory, 0, "")?)?;
            0
        }
        Content::Link(target) => {
            out.write_all(&header(EntryKind::Symlink, 0, target)?)?;
            0
        }
        Content::Bytes(bytes) => {
            let size = bytes.len() as u64;
            out.write_all(&header(EntryKind::File, size, "")?)?;
            out.write_all(bytes)?;
            size
        }
        Content::Copy(source) => {
            let mut file = File::open(source).context(|| format!("open {}", source.display()))?;
            let size = file.metadata()?.len();
            out.write_all(&header(EntryKind::File, size, "")?)?;
            if io::copy(&mut file, out)? != size {
                return Err(Error::other(format!("{} changed", source.display())));
            }
            size
        }
    };
    Ok(out.write_all(&[0; 512][..padding(size)])?)
}
