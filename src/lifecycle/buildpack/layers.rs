//! The layers that a buildpack declared in its layers directory (FACTS 7.3, 7.5; buildpack.md, Layer Types).

use super::build::in_document;
use super::dir::Dir;
use lifecycle_core::data::layer::{LayerMetadata, LayerTypes};
use lifecycle_core::env::{DefaultAction, Env};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A layer for which there is a `<layer>.toml`; its directory may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) name: OsString,
    pub(super) types: LayerTypes,
}

/// Every layer of the buildpack's layers directory, sorted by file name (`a-b.toml` comes before `a.toml`, which
/// decides whose environment comes first). Like in the reference, launch.toml, build.toml and store.toml declare
/// layers too, typeless ones.
///
/// # Errors
/// A `*.toml` cannot be read, is malformed, or its name cannot be that of a layer of its types.
pub(super) fn read(dir: &Dir) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for file_name in dir.names()? {
        let Some(name) = file_name.as_bytes().strip_suffix(b".toml") else {
            continue;
        };
        let path = dir.path().join(&file_name);
        if path.is_dir() {
            continue;
        }
        // `...toml` would be the layer `..`.
        if matches!(name, b"" | b"." | b"..") {
            return Err(Error::other(format!(
                "{} does not name a layer",
                path.display()
            )));
        }
        let types = file::read(&path, file::DOCUMENT_LIMIT)
            .and_then(|text| in_document(&path, LayerMetadata::parse(&text, &path)))
            .context(|| "failed to decode layer metadata file")?
            .types;
        // Labels and caches name layers in JSON: without this, export would not find the layer again and leave it out.
        if (types.launch || types.cache) && str::from_utf8(name).is_err() {
            return Err(Error::other(format!(
                "{} does not name a layer for launch or cache: the name is not UTF-8",
                path.display()
            )));
        }
        layers.push(Layer {
            name: OsStr::from_bytes(name).to_owned(),
            types,
        });
    }
    Ok(layers)
}

/// Renames the directories of layers without any type to `<layer>.ignore`, in place of what older builds left there
/// (buildpack.md, Ignored Layers).
///
/// # Errors
/// A directory cannot be renamed.
pub(super) fn ignore_typeless(dir: &Dir, layers: &[Layer]) -> Result<()> {
    for layer in layers {
        if layer.types == LayerTypes::default() {
            ignore(dir, &layer.name).context(|| "failed to rename layer directory")?;
        }
    }
    Ok(())
}

fn ignore(dir: &Dir, name: &OsStr) -> Result<()> {
    if !dir.contains(name)? {
        return Ok(());
    }
    let mut ignored = name.to_owned();
    ignored.push(".ignore");
    dir.remove(&ignored)?;
    dir.rename(name, &ignored)
}

/// Adds what the build layers give to later buildpacks, layer by layer: their directories to the path variables,
/// then the files of `env` and of `env.build`.
///
/// # Errors
/// An environment file cannot be read.
pub(super) fn add_to_env(dir: &Dir, layers: &[Layer], env: &mut Env) -> Result<()> {
    for layer in layers.iter().filter(|layer| layer.types.build) {
        let path = dir.path().join(&layer.name);
        env.add_build_paths(&path);
        env.apply_env_dir(&path.join("env"), DefaultAction::Override)?;
        env.apply_env_dir(&path.join("env.build"), DefaultAction::Override)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    /// What `read` and `ignore_typeless` make of a directory, as `name` or `name/` lines, or the error.
    fn check(prepare: impl FnOnce(&Path), expected: std::result::Result<&[&str], &str>) {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        prepare(root.path());
        let result = read(&dir).and_then(|layers| ignore_typeless(&dir, &layers));
        match expected {
            Ok(names) => {
                result.unwrap();
                assert_eq!(dir.names().unwrap(), names);
            }
            Err(text) => {
                let error = result.unwrap_err().to_string();
                let error = error.replace(root.path().to_str().unwrap(), "");
                assert!(error.starts_with(text), "{error}");
            }
        }
    }

    fn layer(dir: &Path, name: &str, types: &str) {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(
            dir.join(format!("{name}.toml")),
            format!("[types]\n{types}"),
        )
        .unwrap();
    }

    #[test]
    fn typeless_layers_are_renamed() {
        check(|dir| layer(dir, "a", "cache = true"), Ok(&["a", "a.toml"]));
        check(|dir| layer(dir, "a", ""), Ok(&["a.ignore", "a.toml"]));
        check(
            |dir| fs::write(dir.join("launch.toml"), "").unwrap(),
            Ok(&["launch.toml"]),
        );
        check(
            |dir| fs::create_dir(dir.join("dir.toml")).unwrap(),
            Ok(&["dir.toml"]),
        );
        check(
            |dir| symlink("/", dir.join("dir.toml")).unwrap(),
            Ok(&["dir.toml"]),
        );
    }

    #[test]
    fn what_an_older_build_ignored_is_replaced() {
        let prepare = |dir: &Path| {
            layer(dir, "a", "");
            fs::write(dir.join("a/new"), "").unwrap();
            fs::create_dir(dir.join("a.ignore")).unwrap();
            fs::write(dir.join("a.ignore/old"), "").unwrap();
        };
        check(prepare, Ok(&["a.ignore", "a.toml"]));
        let link = |dir: &Path| {
            fs::write(dir.join("a.toml"), "").unwrap();
            symlink("/etc", dir.join("a")).unwrap();
            symlink("/etc", dir.join("a.ignore")).unwrap();
        };
        check(link, Ok(&["a.ignore", "a.toml"]));
    }

    #[test]
    fn names_and_files_that_are_no_layers_are_refused() {
        for name in [".toml", "..toml", "...toml"] {
            let expected = format!("/{name} does not name a layer");
            check(|dir| fs::write(dir.join(name), "").unwrap(), Err(&expected));
        }
        let broken = |dir: &Path| fs::write(dir.join("x.toml"), "[[").unwrap();
        check(broken, Err("failed to decode layer metadata file: toml: "));
        let fifo = |dir: &Path| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                dir.join("x.toml"),
                rustix::fs::FileType::Fifo,
                0o600.into(),
                0,
            )
            .unwrap();
        };
        check(
            fifo,
            Err("failed to decode layer metadata file: open /x.toml: not a regular file"),
        );
        let long = |dir: &Path| layer(dir, &"n".repeat(250), "");
        check(long, Err("failed to rename layer directory: remove /nnn"));
    }

    #[test]
    fn names_need_not_be_text_unless_a_label_or_cache_has_to_hold_them() {
        let read = |types: &str| {
            let root = tempfile::tempdir().unwrap();
            let name = OsStr::from_bytes(b"\xff.toml");
            fs::write(root.path().join(name), format!("[types]\n{types} = true")).unwrap();
            read(&Dir::open(root.path()).unwrap())
        };
        assert_eq!(read("build").unwrap()[0].name.as_bytes(), b"\xff");
        for types in ["launch", "cache"] {
            let error = read(types).unwrap_err().to_string();
            assert!(error.ends_with("the name is not UTF-8"), "{error}");
        }
    }
}
