//! Base images from files: a definition (`tiny/image.toml`) becomes an OCI image layout, without a daemon.
//!
//! The same definition always gives the same bytes.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod layout;
mod roots;
mod sbom;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tar::{EntryType, Header};
use toml::{Table, Value};

/// The time of every file and image: 1980-01-01T00:00:01Z, as layers made by a lifecycle have it.
const TIME: u64 = 315_532_801;

/// What an image is made of for one architecture.
pub struct Platform<'a> {
    /// Go's word, e.g. `amd64`.
    pub architecture: &'a str,
    /// A tar archive that becomes the layer below the definition's own files.
    pub rootfs: Option<&'a Path>,
}

impl Platform<'_> {
    /// This machine's architecture, with nothing but the definition's files.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            architecture,
            rootfs: None,
        }
    }
}

/// Writes the image of `definition` as an OCI layout into the empty or missing directory `layout`, and returns the digest of
/// its manifest; for several platforms that of an index of their manifests.
///
/// # Errors
/// The definition is malformed, or files cannot be read or written.
pub fn make(definition: &str, platforms: Vec<Platform<'_>>, layout: &Path) -> io::Result<String> {
    let definition: Table = definition
        .parse()
        .map_err(|error: toml::de::Error| malformed(error.message()))?;
    let entries = entries(&definition)?;
    let writer = layout::Writer::create(layout)?;
    let mut manifests = Vec::new();
    for platform in platforms {
        let mut layers = Vec::new();
        let mut packages = Vec::new();
        if let Some(rootfs) = platform.rootfs {
            packages = sbom::packages(File::open(rootfs)?)?;
            let mut rootfs = File::open(rootfs)?;
            layers.push(writer.layer(|tar| io::copy(&mut rootfs, tar).map(drop))?);
        }
        layers.push(writer.layer(|tar| write_tar(tar, &entries))?);
        let mut config = config(&definition, platform.architecture)?;
        let bom = sbom::document(&config["config"]["Labels"], &packages).to_string();
        let bom = BTreeMap::from([(sbom::PATH.to_owned(), Entry::file(bom.into()))]);
        let bom = writer.layer(|tar| write_tar(tar, &bom))?;
        config["config"]["Labels"][sbom::LABEL] = bom.diff_id().into();
        layers.push(bom);
        manifests.push((platform.architecture, writer.manifest(&layers, config)?));
    }
    writer.finish(&manifests)
}

/// One path of the image.
struct Entry<'a> {
    kind: Kind<'a>,
    mode: u32,
    uid: u64,
    gid: u64,
}

impl<'a> Entry<'a> {
    /// A file that everybody can read.
    fn file(content: Cow<'a, str>) -> Self {
        Self {
            kind: Kind::File(content),
            mode: 0o644,
            uid: 0,
            gid: 0,
        }
    }
}

enum Kind<'a> {
    Directory,
    File(Cow<'a, str>),
    /// A symbolic link and where it points.
    Link(&'a str),
}

/// Every entry by its path without the leading slash, parents included.
fn entries(definition: &Table) -> io::Result<BTreeMap<String, Entry<'_>>> {
    let mut entries = BTreeMap::new();
    for (list, mode) in [("directories", 0o755), ("files", 0o644), ("links", 0o777)] {
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
            let text = |key| item.get(key).and_then(Value::as_str);
            let kind = match list {
                "directories" => Kind::Directory,
                "files" => match text("generated") {
                    Some("root certificates") => Kind::File(roots::pem().into()),
                    Some(other) => {
                        return Err(malformed(format!("/{path} cannot be generated: {other}")));
                    }
                    None => Kind::File(text("content").unwrap_or_default().into()),
                },
                _ => Kind::Link(
                    text("target")
                        .ok_or_else(|| malformed(format!("link /{path} has no target")))?,
                ),
            };
            let (uid, gid) = (number("uid", 0)?.into(), number("gid", 0)?.into());
            for (slash, _) in path.match_indices('/') {
                let parent = path.get(..slash).unwrap_or_default();
                entries.entry(parent.to_owned()).or_insert(Entry {
                    kind: Kind::Directory,
                    mode: 0o755,
                    uid: 0,
                    gid: 0,
                });
            }
            entries.insert(
                path.to_owned(),
                Entry {
                    kind,
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
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.gid);
        header.set_mtime(TIME);
        header.set_size(0);
        match &entry.kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, path, io::empty())?;
            }
            Kind::File(content) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_bytes())?;
            }
            Kind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                tar.append_link(&mut header, path, target)?;
            }
        }
    }
    tar.finish()
}

/// The image configuration without its layers.
fn config(definition: &Table, architecture: &str) -> io::Result<serde_json::Value> {
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
        let make = |layout: &Path| make(definition, vec![Platform::host()], layout).unwrap();
        let digest = make(first.path());
        assert_eq!(make(second.path()), digest);
        let index = fs::read_to_string(first.path().join("index.json")).unwrap();
        assert!(index.contains(&digest), "{index}");
        assert_eq!(
            fs::read_dir(first.path().join("blobs/sha256"))
                .unwrap()
                .count(),
            4
        );
    }

    #[test]
    fn several_platforms_are_an_index() {
        let layout = tempfile::tempdir().unwrap();
        let platform = |architecture| Platform {
            architecture,
            rootfs: None,
        };
        let platforms = vec![platform("amd64"), platform("arm64")];
        let digest = make("user = \"1\"", platforms, layout.path()).unwrap();
        let blob = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").unwrap();
            let text = fs::read_to_string(layout.path().join("blobs/sha256").join(hex)).unwrap();
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let index = blob(&digest);
        for (number, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
            let descriptor = &index["manifests"][number];
            assert_eq!(descriptor["platform"]["architecture"], architecture);
            let manifest = blob(descriptor["digest"].as_str().unwrap());
            let config = blob(manifest["config"]["digest"].as_str().unwrap());
            assert_eq!(config["architecture"], architecture);
        }
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
            ("[[links]]\npath = \"/a\"", "link /a has no target"),
            (
                "[[files]]\npath = \"/a\"\ngenerated = \"x\"",
                "/a cannot be generated: x",
            ),
        ];
        for (definition, message) in rows {
            let layout = tempfile::tempdir().unwrap();
            let error = make(definition, vec![Platform::host()], layout.path())
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{definition}: {error}");
            assert!(!layout.path().join("index.json").exists(), "{definition}");
        }
    }
}
