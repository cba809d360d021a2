//! Base images from files: a definition (`tiny/image.toml`) becomes an OCI image layout, without a daemon.
//!
//! The same definition always gives the same bytes.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod layout;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use tar::{EntryType, Header};
use toml::{Table, Value};

/// The time of every file and image: 1980-01-01T00:00:01Z, as layers made by a lifecycle have it.
const TIME: u64 = 315_532_801;

/// Writes the image of `definition` as an OCI layout into the empty or missing directory `layout`, and returns the digest of
/// its manifest. A `rootfs` is a tar archive and becomes the layer below the definition's own files.
///
/// # Errors
/// The definition is malformed, or files cannot be read or written.
pub fn make(definition: &str, rootfs: Option<&mut dyn Read>, layout: &Path) -> io::Result<String> {
    let definition: Table = definition
        .parse()
        .map_err(|error: toml::de::Error| malformed(error.message()))?;
    let writer = layout::Writer::create(layout)?;
    let mut layers = Vec::new();
    if let Some(rootfs) = rootfs {
        layers.push(writer.layer(|tar| io::copy(rootfs, tar).map(drop))?);
    }
    let entries = entries(&definition)?;
    layers.push(writer.layer(|tar| write_tar(tar, &entries))?);
    writer.finish(&layers, config(&definition)?)
}

/// A directory, or with content a regular file.
struct Entry<'a> {
    content: Option<&'a str>,
    mode: u32,
    uid: u64,
    gid: u64,
}

/// Every entry by its path without the leading slash, parents included.
fn entries(definition: &Table) -> io::Result<BTreeMap<String, Entry<'_>>> {
    let mut entries = BTreeMap::new();
    for (list, mode) in [("directories", 0o755), ("files", 0o644)] {
        for item in definition
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let path = item
                .get("path")
                .and_then(Value::as_str)
                .and_then(|path| path.strip_prefix('/'));
            let path = path
                .ok_or_else(|| malformed(format!("an element of {list} has no absolute path")))?;
            let number = |key, default: u32| match item.get(key).map(Value::as_integer) {
                None => Ok(default),
                Some(Some(number)) => u32::try_from(number)
                    .map_err(|_| malformed(format!("{key} of /{path} is out of range"))),
                Some(None) => Err(malformed(format!("{key} of /{path} is not a number"))),
            };
            let content = item.get("content").and_then(Value::as_str);
            let (uid, gid) = (number("uid", 0)?.into(), number("gid", 0)?.into());
            for (slash, _) in path.match_indices('/') {
                let parent = path.get(..slash).unwrap_or_default();
                entries.entry(parent.to_owned()).or_insert(Entry {
                    content: None,
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                });
            }
            entries.insert(
                path.to_owned(),
                Entry {
                    content,
                    mode: number("mode", mode)?,
                    uid,
                    gid,
                },
            );
        }
    }
    Ok(entries)
}

fn write_tar(out: &mut dyn Write, entries: &BTreeMap<String, Entry<'_>>) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    for (path, entry) in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(if entry.content.is_some() {
            EntryType::Regular
        } else {
            EntryType::Directory
        });
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.gid);
        header.set_mtime(TIME);
        let content = entry.content.unwrap_or_default().as_bytes();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content)?;
    }
    tar.finish()
}

/// The image configuration without its layers.
fn config(definition: &Table) -> io::Result<serde_json::Value> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let labels = definition
        .get("labels")
        .and_then(Value::as_table)
        .cloned()
        .unwrap_or_default();
    let labels = labels.iter().map(|(name, value)| match value.as_str() {
        Some(value) => Ok((name.clone(), value.into())),
        None => Err(malformed(format!("label {name} is not a string"))),
    });
    let labels: serde_json::Map<_, _> = labels.collect::<io::Result<_>>()?;
    let env = definition
        .get("env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let env: Vec<&str> = env.filter_map(Value::as_str).collect();
    let user = definition
        .get("user")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Ok(serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "created": "1980-01-01T00:00:01Z",
        "config": { "User": user, "Env": env, "Labels": labels },
    }))
}

fn malformed(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_definition_gives_the_same_image_twice() {
        let definition = include_str!("tiny/image.toml");
        let first = tempfile::tempdir().unwrap();
        let second = tempfile::tempdir().unwrap();
        let digest = make(definition, None, first.path()).unwrap();
        assert_eq!(make(definition, None, second.path()).unwrap(), digest);
        let index = fs::read_to_string(first.path().join("index.json")).unwrap();
        assert!(index.contains(&digest), "{index}");
        assert_eq!(
            fs::read_dir(first.path().join("blobs/sha256"))
                .unwrap()
                .count(),
            3
        );
    }

    #[test]
    fn malformed_definitions_are_refused() {
        let rows = [
            ("files = 1 2", ""),
            (
                "[[files]]\ncontent = \"x\"",
                "an element of files has no absolute path",
            ),
            (
                "[[directories]]\npath = \"/a\"\nuid = -1",
                "uid of /a is out of range",
            ),
            (
                "[[directories]]\npath = \"/a\"\nmode = \"x\"",
                "mode of /a is not a number",
            ),
            ("[labels]\na = 1", "label a is not a string"),
        ];
        for (definition, message) in rows {
            let layout = tempfile::tempdir().unwrap();
            let error = make(definition, None, layout.path())
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{definition}: {error}");
            assert!(!layout.path().join("index.json").exists(), "{definition}");
        }
    }
}
