//! `COPY` and `ADD`: what is copied is settled first, so that it can be part of a cache's key, and written then.

use super::context::{Context, Item, Tree};
use super::disk::{Archive, Attributes, Disk, Owner, relative};
use super::mode::Mode;
use super::patterns::Patterns;
use super::users;
use crate::dockerfile::{Copy, Flag, Source};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::layer::decompress;
use lifecycle_image::oci::DiffId;
use rustix::fs::FileType;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// How many links in a row are followed, as in the kernel.
const MAX_LINKS: usize = 40;

/// Everything that one instruction copies, its variables expanded.
pub(super) struct Copying {
    trees: Vec<Tree>,
    /// Names and contents of files in the Dockerfile itself.
    documents: Vec<(String, String)>,
    destination: String,
    /// What `--chown` says.
    owner: Option<Owner>,
    mode: Option<Mode>,
    /// Whether local archives are unpacked.
    unpacks: bool,
}

/// Whether it is `ADD`, which unpacks archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Add,
    Copy,
}

impl Copying {
    /// Looks for what the instruction names. `expand` fills variables in, a relative destination is below
    /// `working_dir`.
    pub(super) fn settle(
        copy: &Copy,
        kind: Kind,
        context: &Context,
        disk: &Disk,
        working_dir: &Path,
        expand: &dyn Fn(&str) -> Result<String>,
        expand_document: &dyn Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let flags = Flags::read(&copy.flags, kind, expand)?;
        let excluded = Patterns::new(flags.exclude.iter().map(String::as_str))?;
        let mut trees = Vec::new();
        let mut documents = Vec::new();
        for source in &copy.sources {
            match source {
                Source::Document(document) => {
                    let content = match document.expands {
                        true => expand_document(&document.content)?,
                        false => document.content.clone(),
                    };
                    documents.push((document.delimiter.clone(), content));
                }
                Source::Path(path) => {
                    let path = expand(path)?;
                    if kind == Kind::Add && is_remote(&path) {
                        return Err(Error::other(format!(
                            "ADD from a URL is not supported ({path}): use RUN with a download program"
                        )));
                    }
                    trees.extend(context.find(&path, &excluded)?);
                }
            }
        }
        let destination = expand(&copy.destination)?;
        if trees.len() + documents.len() > 1 && !destination.ends_with('/') {
            return Err(Error::other(
                "with more than one source the destination must be a directory and end with a /",
            ));
        }
        Ok(Self {
            trees,
            documents,
            destination: match destination.starts_with('/') {
                true => destination,
                false => format!("{}/{destination}", working_dir.display()),
            },
            owner: match &flags.chown {
                Some(words) => Some(users::owner(words, disk)?),
                None => None,
            },
            mode: flags.chmod,
            unpacks: kind == Kind::Add,
        })
    }

    /// Everything that one path names, to be [described](Self::describe) and not written.
    pub(super) fn of(context: &Context, source: &str) -> Result<Self> {
        Ok(Self {
            trees: context.find(source, &Patterns::default())?,
            documents: Vec::new(),
            destination: String::new(),
            owner: None,
            mode: None,
            unpacks: false,
        })
    }

    /// What is copied, for the key of a cache: names, kinds, modes and contents.
    pub(super) fn describe(&self, context: &Context) -> Result<Vec<String>> {
        let mut parts = vec![format!("{:?} {:?}", self.owner, self.mode)];
        for (name, content) in &self.documents {
            parts.push(format!("{name:?} {}", DiffId::of(content.as_bytes())));
        }
        for tree in &self.trees {
            for item in &tree.items {
                let content = match item.kind {
                    FileType::RegularFile => {
                        let file = context.read(item)?;
                        DiffId::of_stream(file)?.to_string()
                    }
                    FileType::Symlink => format!("{:?}", context.link(item)?),
                    _ => String::new(),
                };
                let (name, path) = (&tree.name, &item.path);
                let (mode, owner) = (item.mode, item.owner);
                parts.push(format!("{name:?} {path:?} {mode:o} {owner:?} {content}"));
            }
        }
        Ok(parts)
    }

    /// Writes it; returns what was written, below the root.
    pub(super) fn write(&self, context: &Context, disk: &Disk) -> Result<BTreeSet<Vec<u8>>> {
        let mut touched = BTreeSet::new();
        for (name, content) in &self.documents {
            let place = self.place_of_file(OsStr::new(name), disk, &mut touched)?;
            let attributes = Attributes {
                owner: self.directory_owner(),
                mode: self.mode_of(0o644, false),
                modified: None,
            };
            disk.write_file(&place, &mut content.as_bytes(), attributes, None)?;
            touched.insert(relative(&place));
        }
        for tree in &self.trees {
            match tree.is_directory {
                true => self.write_directory(tree, context, disk, &mut touched)?,
                false => self.write_file(tree, context, disk, &mut touched)?,
            }
        }
        Ok(touched)
    }

    /// A directory's content goes into the destination, which gets nothing of the directory itself (BuildKit).
    fn write_directory(
        &self,
        tree: &Tree,
        context: &Context,
        disk: &Disk,
        touched: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        let destination = Path::new(&self.destination);
        let root = disk.make_directory(destination, self.directory_owner(), touched)?;
        touched.insert(relative(&root));
        let mut directories = Vec::new();
        let mut names: HashMap<_, PathBuf> = HashMap::new();
        let below = tree.items.iter();
        for item in below.filter(|item| !item.path.as_os_str().is_empty()) {
            let place = root.join(&item.path);
            if item.kind == FileType::Directory {
                let real = disk.make_directory(&place, self.directory_owner(), touched)?;
                touched.insert(relative(&real));
                directories.push((real, self.attributes(item)));
                continue;
            }
            let parent = place.parent().unwrap_or(&root);
            let parent = disk.make_directory(parent, self.directory_owner(), touched)?;
            let place = parent.join(place.file_name().unwrap_or_default());
            touched.insert(relative(&place));
            match item.shared.and_then(|file| names.get(&file)) {
                Some(first) => disk.hard_link(&place, first)?,
                None => self.write_item(item, context, disk, &place)?,
            }
            names.extend(item.shared.map(|file| (file, place)));
        }
        for (path, attributes) in directories.iter().rev() {
            disk.describe(path, *attributes, None)
                .context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    fn write_file(
        &self,
        tree: &Tree,
        context: &Context,
        disk: &Disk,
        touched: &mut BTreeSet<Vec<u8>>,
    ) -> Result<()> {
        for item in &tree.items {
            if self.unpacks
                && let Some(archive) = archive(context.read(item)?, &tree.name)?
            {
                let into = Path::new(&self.destination);
                let into = disk.make_directory(into, self.directory_owner(), touched)?;
                let name = tree.name.display().to_string();
                disk.unpack(archive, &into, Archive::Files, touched)
                    .context(|| format!("unpack {name}"))?;
                continue;
            }
            let place = self.place_of_file(&tree.name, disk, touched)?;
            self.write_item(item, context, disk, &place)?;
            touched.insert(relative(&place));
        }
        Ok(())
    }

    fn write_item(&self, item: &Item, context: &Context, disk: &Disk, place: &Path) -> Result<()> {
        let attributes = self.attributes(item);
        if item.kind == FileType::Symlink {
            return disk.link(place, &context.link(item)?, attributes);
        }
        let file = context.read(item)?;
        let size = file.metadata()?.len();
        if size != item.size {
            return Err(Error::other(format!(
                "{} changed meanwhile",
                place.display()
            )));
        }
        let capability = context.capability(&file)?;
        disk.write_file(
            place,
            &mut file.take(size),
            attributes,
            capability.as_deref(),
        )
    }

    /// Whose directories are that have to be made.
    fn directory_owner(&self) -> Owner {
        self.owner.unwrap_or_default()
    }

    fn mode_of(&self, mode: u32, is_directory: bool) -> u32 {
        let asked = self.mode.as_ref();
        asked.map_or(mode, |asked| asked.apply(mode, is_directory))
    }

    fn attributes(&self, item: &Item) -> Attributes {
        Attributes {
            owner: self.owner.unwrap_or(item.owner),
            mode: self.mode_of(item.mode, item.kind == FileType::Directory),
            modified: Some(item.modified),
        }
    }

    /// Where a single file goes: into a directory, or under the destination's own name.
    fn place_of_file(
        &self,
        name: &OsStr,
        disk: &Disk,
        touched: &mut BTreeSet<Vec<u8>>,
    ) -> Result<PathBuf> {
        let destination = Path::new(&self.destination);
        let into = self.destination.ends_with('/')
            || self.destination.ends_with("/.")
            || disk.is_directory(destination);
        let (directory, name) = match (into, destination.parent(), destination.file_name()) {
            (false, Some(parent), Some(own)) => (parent, own),
            _ => (destination, name),
        };
        let directory = disk.make_directory(directory, self.directory_owner(), touched)?;
        let place = match into {
            true => directory.join(name),
            false => self.linked_place(directory.join(name), disk, touched)?,
        };
        match disk.is_directory(&place) {
            true => Err(Error::other(format!(
                "cannot put a file in the place of the directory {}",
                place.display()
            ))),
            false => Ok(place),
        }
    }

    /// Where the links lead that are at `place`, if any are (BuildKit writes to what a destination names).
    fn linked_place(
        &self,
        mut place: PathBuf,
        disk: &Disk,
        touched: &mut BTreeSet<Vec<u8>>,
    ) -> Result<PathBuf> {
        for _ in 0..MAX_LINKS {
            let Ok(target) = fs::read_link(disk.full(&place)) else {
                return Ok(place);
            };
            place.pop();
            place.push(target);
            let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
                break;
            };
            let parent = disk.make_directory(parent, self.directory_owner(), touched)?;
            place = parent.join(name);
        }
        let cause = format!("the links at {} lead nowhere", self.destination);
        Err(Error::other(cause))
    }
}

/// The flags that mean something.
#[derive(Default)]
struct Flags {
    chown: Option<String>,
    chmod: Option<Mode>,
    exclude: Vec<String>,
}

impl Flags {
    fn read(flags: &[Flag], kind: Kind, expand: &dyn Fn(&str) -> Result<String>) -> Result<Self> {
        let mut read = Self::default();
        for flag in flags {
            let value = || match &flag.value {
                Some(value) => expand(value),
                None => Err(Error::other(format!("--{} has no value", flag.name))),
            };
            match flag.name.as_str() {
                "chown" => read.chown = Some(value()?),
                "chmod" => read.chmod = Some(Mode::parse(&value()?)?),
                "exclude" => read.exclude.push(value()?),
                // A layer of its own is what every COPY makes here.
                "link" => {}
                // Whoever calls has looked there.
                "from" if kind == Kind::Copy => {}
                name => return Err(Error::other(format!("--{name} is not supported"))),
            }
        }
        Ok(read)
    }
}

/// What `--from` names.
pub(super) fn from(copy: &Copy) -> Option<&str> {
    let flag = copy.flags.iter().find(|flag| flag.name == "from")?;
    Some(flag.value.as_deref().unwrap_or_default())
}

fn is_remote(source: &str) -> bool {
    let schemes = ["http://", "https://", "ftp://", "git://", "ssh://", "git@"];
    schemes.iter().any(|scheme| source.starts_with(scheme))
}

/// The tar in a local archive; nothing if the file is none.
fn archive(mut file: File, name: &OsStr) -> Result<Option<Box<dyn Read>>> {
    let mut magic = Vec::new();
    (&mut file).take(6).read_to_end(&mut magic)?;
    file.rewind()?;
    let foreign: [(&[u8], &str); 2] = [(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")];
    if let Some((_, method)) = foreign.iter().find(|(start, _)| magic.starts_with(start)) {
        let name = name.to_string_lossy();
        return match name.contains(".t") {
            true => Err(Error::other(format!(
                "cannot unpack {name}: {method} is not supported"
            ))),
            false => Ok(None),
        };
    }
    let is_tar = super::tar::is_tar(decompress(io::BufReader::new(&file))?);
    file.rewind()?;
    match is_tar {
        true => Ok(Some(Box::new(decompress(io::BufReader::new(file))?))),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests;
