//! The files that layers make, laid on top of each other in memory.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// The files of an image by path.
#[derive(Clone, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    files: usize,
}

#[derive(Clone)]
struct Node {
    /// Which file it is: hard links share it.
    file: usize,
    kind: tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    modified: u64,
    /// Content, link target, device number.
    what: String,
    capability: Option<Vec<u8>>,
}

impl Tree {
    /// Lays a layer on top.
    pub(crate) fn apply(&mut self, layer: impl Read) -> io::Result<()> {
        let mut written = BTreeSet::new();
        let mut archive = tar::Archive::new(layer);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.trim_start_matches("./").trim_matches('/').to_owned();
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                let below = format!("{directory}/");
                let is_below = |path: &String| directory.is_empty() || path.starts_with(&below);
                self.nodes
                    .retain(|path, _| written.contains(path) || !is_below(path));
                continue;
            }
            if let Some(hidden) = name.strip_prefix(".wh.") {
                let hidden = match directory {
                    "" => hidden.to_owned(),
                    directory => format!("{directory}/{hidden}"),
                };
                self.remove(&hidden);
                continue;
            }
            if path.is_empty() {
                continue;
            }
            let node = self.node(&mut entry)?;
            let is_directory = |node: &Node| node.kind == tar::EntryType::Directory;
            if !self.nodes.get(&path).is_some_and(is_directory) || !is_directory(&node) {
                self.remove(&path);
            }
            written.insert(path.clone());
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    fn node(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Node> {
        let link = entry.link_name_bytes().unwrap_or_default();
        let link = String::from_utf8_lossy(&link).into_owned();
        let header = entry.header().clone();
        if header.entry_type() == tar::EntryType::Link {
            let target = link.trim_start_matches("./").trim_start_matches('/');
            let node = self.nodes.get(target).cloned();
            return node.ok_or_else(|| io::Error::other(format!("a hard link to {target}")));
        }
        let mut capability = None;
        for record in entry.pax_extensions()?.into_iter().flatten() {
            let record = record?;
            if record.key_bytes() == b"SCHILY.xattr.security.capability" {
                capability = Some(record.value_bytes().to_vec());
            }
        }
        let mut content = Vec::new();
        let size = entry.read_to_end(&mut content)?;
        let short: String = Sha256::digest(content)
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.files += 1;
        Ok(Node {
            file: self.files,
            kind: header.entry_type(),
            mode: header.mode()? & 0o7777,
            owner: (header.uid()?, header.gid()?),
            modified: header.mtime()?,
            what: match header.entry_type() {
                tar::EntryType::Symlink => format!("-> {link}"),
                tar::EntryType::Regular => format!("{size} bytes {short}"),
                _ => String::new(),
            },
            capability,
        })
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes
            .retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// A line for every file. Times at or after `now` are all the same; those of directories say little.
    pub(crate) fn describe(&self, now: u64) -> BTreeMap<String, String> {
        let mut names: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (path, node) in &self.nodes {
            names.entry(node.file).or_default().push(path);
        }
        let line = |(path, node): (&String, &Node)| {
            let (uid, gid) = node.owner;
            let mut line = format!("{:?} {:o} {uid}:{gid} {}", node.kind, node.mode, node.what);
            if node.kind != tar::EntryType::Directory {
                line += &match node.modified >= now {
                    true => " new".to_owned(),
                    false => format!(" at {}", node.modified),
                };
            }
            if let Some([first, _, ..]) = names.get(&node.file).map(Vec::as_slice) {
                line += &format!(" = {first}");
            }
            if let Some(capability) = &node.capability {
                line += &format!(" capability {capability:?}");
            }
            (path.clone(), line)
        };
        self.nodes.iter().map(line).collect()
    }
}

/// What differs between two descriptions, `path: docker | here`.
pub(crate) fn differences(
    docker: &BTreeMap<String, String>,
    here: &BTreeMap<String, String>,
) -> Vec<String> {
    let paths: BTreeSet<_> = docker.keys().chain(here.keys()).collect();
    let unlike = paths
        .into_iter()
        .filter(|path| docker.get(*path) != here.get(*path));
    let text = |line: Option<&String>| line.map_or("nothing", String::as_str).to_owned();
    unlike
        .map(|path| {
            format!(
                "{path:?}: docker {}; here {}",
                text(docker.get(path)),
                text(here.get(path))
            )
        })
        .collect()
}

/// What a configuration says, key by key; empty values are none.
pub(crate) fn configuration(config: &Value) -> BTreeMap<String, String> {
    let keys = [
        "Env",
        "Cmd",
        "Entrypoint",
        "User",
        "WorkingDir",
        "Labels",
        "ExposedPorts",
        "Volumes",
        "Healthcheck",
        "Shell",
        "StopSignal",
        "OnBuild",
    ];
    let mut found = BTreeMap::new();
    for key in keys {
        let mut value = config[key].clone();
        // The extender's own.
        if let Some(labels) = value.as_object_mut() {
            labels.remove("io.buildpacks.rebasable");
        }
        let empty = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if !empty {
            found.insert(key.to_owned(), value.to_string());
        }
    }
    found
}
