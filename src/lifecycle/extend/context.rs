//! The build context: where `COPY` and `ADD` find files. Nobody trusts it; it is read without following links out of it.

use super::disk::{Owner, open_file};
use super::patterns::Patterns;
use super::resolve;
use super::snapshot::pack::capability;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use lifecycle_core::glob::Pattern;
use lifecycle_image::layer::beneath::Beneath;
use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// Where files are copied from.
pub(super) struct Context {
    root: PathBuf,
    beneath: Beneath,
    ignored: Patterns,
    kind: Kind,
}

/// What a [`Context`] is made of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Somebody's files. Whose they are means nothing in an image.
    Files,
    /// The files of an image, which stay what they are.
    Image,
}

/// A file, or a directory with everything in it, that an instruction names.
#[derive(Debug)]
pub(super) struct Tree {
    /// The last part of the name that it was found under; empty for the context itself.
    pub(super) name: OsString,
    pub(super) is_directory: bool,
    /// Itself first, then what is in it, a directory before its content. Ignored ones are left out.
    pub(super) items: Vec<Item>,
}

/// One file of a [`Tree`].
#[derive(Debug)]
pub(super) struct Item {
    /// Below the tree; empty for the tree itself.
    pub(super) path: PathBuf,
    /// Below the context.
    source: PathBuf,
    pub(super) kind: FileType,
    pub(super) mode: u32,
    pub(super) owner: Owner,
    pub(super) size: u64,
    pub(super) modified: (i64, i64),
    /// Device and inode of a file that has more than one name.
    pub(super) shared: Option<(u64, u64)>,
}

impl Context {
    /// The context in directory `root`, of a Dockerfile that may have a list of ignored files of its own.
    ///
    /// # Errors
    /// It cannot be opened, or a list of ignored files is malformed.
    pub(super) fn open(root: &Path, dockerfile: &Path) -> Result<Self> {
        let context = || format!("open context {}", root.display());
        let root = fs::canonicalize(root).context(context)?;
        let beneath = Beneath::open(&root).context(context)?;
        let mut own = dockerfile.as_os_str().to_owned();
        own.push(".dockerignore");
        let ignored = match file::read_if_exists(Path::new(&own), DOCUMENT_LIMIT)? {
            Some(text) => Some(text),
            None => file::read_if_exists(&root.join(".dockerignore"), DOCUMENT_LIMIT)?,
        };
        Ok(Self {
            ignored: Patterns::parse(&ignored.unwrap_or_default())
                .context(|| "read .dockerignore")?,
            root,
            beneath,
            kind: Kind::Files,
        })
    }

    /// The files of an image, whose root is a directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn of_image(root: &Path) -> Result<Self> {
        Ok(Self {
            beneath: Beneath::open(root).context(|| format!("open {}", root.display()))?,
            root: root.to_owned(),
            ignored: Patterns::default(),
            kind: Kind::Image,
        })
    }

    /// What `source` names, a path or a pattern. As in Docker, `..` stops at the context.
    ///
    /// # Errors
    /// Kind `NotFound` if there is nothing of that name, or all of it is ignored. A pattern may match nothing.
    pub(super) fn find(&self, source: &str, excluded: &Patterns) -> Result<Vec<Tree>> {
        let not_found = || Error::new(ErrorKind::NotFound, format!("\"{source}\": not found"));
        let mut found = vec![PathBuf::new()];
        for part in Path::new(source).components() {
            match part {
                Component::Normal(name) => found = self.step(&found, name)?,
                Component::ParentDir => {
                    for path in &mut found {
                        path.pop();
                    }
                }
                _ => {}
            }
        }
        let mut trees = Vec::new();
        for path in found {
            let name = path.file_name().unwrap_or_default().to_owned();
            let real = match resolve::resolve(&self.root, &path) {
                Ok(real) => real.strip_prefix("/").map_err(Error::other)?.to_owned(),
                // A link that leads nowhere, or out of the context.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let text = format!("\"{}\": not found", path.display());
                    return Err(Error::new(ErrorKind::NotFound, text));
                }
                Err(error) => return Err(Error::from(error).in_context(format!("\"{source}\""))),
            };
            // What is in an ignored directory may be excepted; what a link leads to has another name.
            if real != path && self.is_left_out(&path, excluded) {
                continue;
            }
            let mut items = Vec::new();
            self.collect(&real, Path::new(""), excluded, &mut items)?;
            if !items.is_empty() {
                trees.push(Tree {
                    name,
                    is_directory: self.root.join(&real).is_dir(),
                    items,
                });
            }
        }
        match trees.is_empty() && !is_pattern(source) {
            true => Err(not_found()),
            false => Ok(trees),
        }
    }

    /// Where the file or directory is that `source` names.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn place(&self, source: &str) -> Result<PathBuf> {
        let real = resolve::resolve(&self.root, Path::new(source));
        let real = real.context(|| format!("\"{source}\""))?;
        Ok(resolve::below(&self.root, &real))
    }

    /// What `name`, which may be a pattern, is in each of the directories.
    fn step(&self, directories: &[PathBuf], name: &OsStr) -> Result<Vec<PathBuf>> {
        let text = name.to_string_lossy();
        let pattern = match is_pattern(&text) {
            true => Some(Pattern::parse(&text)?),
            false => None,
        };
        let mut found = Vec::new();
        for directory in directories {
            let Ok(real) = resolve::resolve(&self.root, directory) else {
                continue;
            };
            let real = resolve::below(&self.root, &real);
            let Some(pattern) = &pattern else {
                let exists = fs::symlink_metadata(real.join(name)).is_ok();
                found.extend(exists.then(|| directory.join(name)));
                continue;
            };
            let Ok(entries) = fs::read_dir(real) else {
                continue;
            };
            for entry in entries {
                let name = entry?.file_name();
                if pattern.matches(name.as_bytes()) {
                    found.push(directory.join(name));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    fn is_left_out(&self, path: &Path, excluded: &Patterns) -> bool {
        let text = path.to_string_lossy();
        !text.is_empty() && (self.ignored.leave_out(&text) || excluded.leave_out(&text))
    }

    fn collect(
        &self,
        source: &Path,
        path: &Path,
        excluded: &Patterns,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        let context = || format!("\"{}\"", source.display());
        let stat = self.stat(source).context(context)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let regular = matches!(
            kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink
        );
        if !regular {
            return Err(Error::other("neither file, directory nor link").in_context(context()));
        }
        // Files below an ignored directory may be excepted.
        if !self.is_left_out(source, excluded) {
            items.push(Item {
                path: path.to_owned(),
                source: source.to_owned(),
                kind,
                mode: stat.st_mode & 0o7777,
                owner: match self.kind {
                    Kind::Files => (0, 0),
                    Kind::Image => (stat.st_uid, stat.st_gid),
                },
                size: u64::try_from(stat.st_size).unwrap_or_default(),
                modified: (
                    stat.st_mtime,
                    i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
                ),
                shared: (stat.st_nlink > 1 && kind == FileType::RegularFile)
                    .then_some((stat.st_dev, stat.st_ino)),
            });
        }
        if kind == FileType::Directory {
            let directory = self.beneath.list(source.as_os_str().as_bytes());
            let mut names = Vec::new();
            for entry in
                rustix::fs::Dir::new(directory.context(context)?).map_err(io::Error::from)?
            {
                let name = entry.map_err(io::Error::from)?.file_name().to_owned();
                if !matches!(name.to_bytes(), b"." | b"..") {
                    names.push(OsString::from_vec(name.into_bytes()));
                }
            }
            names.sort();
            for name in names {
                self.collect(&source.join(&name), &path.join(&name), excluded, items)?;
            }
        }
        Ok(())
    }

    fn stat(&self, source: &Path) -> io::Result<Stat> {
        let handle = match source.as_os_str().as_bytes() {
            b"" => self.beneath.list(b"")?,
            path => self.beneath.open_at(path, OFlags::PATH)?,
        };
        Ok(rustix::fs::statat(handle, "", AtFlags::EMPTY_PATH)?)
    }

    /// Opens a regular file.
    pub(super) fn read(&self, item: &Item) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = self
            .beneath
            .open_at(item.source.as_os_str().as_bytes(), flags)
            .map_err(Error::from)
            .and_then(open_file);
        file.context(|| format!("open \"{}\"", item.source.display()))
    }

    /// The file capabilities that a copy shall have.
    pub(super) fn capability(&self, file: &File) -> Result<Option<Vec<u8>>> {
        match self.kind {
            Kind::Files => Ok(None),
            Kind::Image => capability(file),
        }
    }

    /// Where a symbolic link points.
    pub(super) fn link(&self, item: &Item) -> Result<OsString> {
        let context = || format!("read \"{}\"", item.source.display());
        let path = item.source.as_os_str().as_bytes();
        let handle = self.beneath.open_at(path, OFlags::PATH).context(context)?;
        let target = rustix::fs::readlinkat(handle, "", Vec::new()).map_err(io::Error::from);
        Ok(OsString::from_vec(target.context(context)?.into_bytes()))
    }
}

fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '[', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn check(source: &str, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join("context").join(name);
        fs::create_dir_all(path("sub/deep")).unwrap();
        for file in ["a.txt", "b.txt", "c", "sub/x", "sub/deep/y", "sub/secret"] {
            fs::write(path(file), file).unwrap();
        }
        fs::write(dir.path().join("outside"), "o").unwrap();
        fs::write(path(".dockerignore"), "c\nsub/secret\n.docker*").unwrap();
        symlink("sub", path("linked")).unwrap();
        symlink("../outside", path("out")).unwrap();
        symlink("/etc", path("sub/etc")).unwrap();
        let context = Context::open(&path(""), Path::new("/none")).unwrap();
        let found = match context.find(source, &Patterns::default()) {
            Ok(trees) => trees
                .iter()
                .map(|tree| {
                    let paths = tree
                        .items
                        .iter()
                        .map(|item| item.path.display().to_string());
                    format!(
                        "{}[{}]",
                        tree.name.display(),
                        paths.collect::<Vec<_>>().join(" ")
                    )
                })
                .collect(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn sources_are_found_within_the_context() {
        check("a.txt", "a.txt[]");
        check("*.txt", "a.txt[]b.txt[]");
        check("/a.txt", "a.txt[]");
        check("../../a.txt", "a.txt[]");
        check("sub", "sub[ deep deep/y etc x]");
        check("sub/", "sub[ deep deep/y etc x]");
        check("linked", "linked[ deep deep/y etc x]");
        check("sub/*e*p", "deep[ y]");
        check("s?b/x", "x[]");
        check("n*", "");
        check(
            ".",
            "[ a.txt b.txt linked out sub sub/deep sub/deep/y sub/etc sub/x]",
        );
    }

    #[test]
    fn what_is_not_there_or_leads_out_is_an_error() {
        check("none", "\"none\": not found");
        check("c", "\"c\": not found");
        check("sub/secret/x", "\"sub/secret/x\": not found");
        check("out", "\"out\": not found");
        check("sub/etc/passwd", "\"sub/etc/passwd\": not found");
        check("sub/e*", "\"sub/etc\": not found");
        check("[", "syntax error in pattern");
    }
}
