//! Lays a builder's files out: buildpacks by id and version, order, run images.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the files of a builder are; in a builder image this is `/cnb`.
pub struct Builder {
    /// `<id>/<version>/` per buildpack, `/` in ids as `_`.
    pub buildpacks: PathBuf,
    /// order.toml.
    pub order: PathBuf,
    /// run.toml.
    pub run: PathBuf,
}

/// The repository this kit was built from.
pub fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Lays the sample builder out in the directory `to`, which must not hold one yet.
///
/// # Errors
/// A file cannot be read or written, or a buildpack.toml has no id and version.
pub fn sample(to: &Path) -> io::Result<Builder> {
    let source = repository();
    let buildpacks = to.join("buildpacks");
    for entry in fs::read_dir(source.join("buildpacks"))? {
        let directory = entry?.path();
        if directory.join("buildpack.toml").is_file() {
            install(&directory, &buildpacks)?;
        }
    }
    let (order, run) = (to.join("order.toml"), to.join("run.toml"));
    fs::copy(source.join("builders/sample/order.toml"), &order)?;
    fs::copy(source.join("builders/sample/run.toml"), &run)?;
    Ok(Builder {
        buildpacks,
        order,
        run,
    })
}

/// Lays out a builder of one buildpack, `test/scripted`, from the bodies of two shell scripts.
///
/// # Errors
/// A file cannot be written.
pub fn scripted(to: &Path, detect: &str, build: &str) -> io::Result<Builder> {
    let buildpacks = to.join("buildpacks");
    let directory = buildpacks.join("test_scripted/1");
    fs::create_dir_all(directory.join("bin"))?;
    let descriptor = "api = \"0.12\"\n\n[buildpack]\nid = \"test/scripted\"\nversion = \"1\"\n";
    fs::write(directory.join("buildpack.toml"), descriptor)?;
    for (name, body) in [("detect", detect), ("build", build)] {
        let program = directory.join("bin").join(name);
        fs::write(&program, format!("#!/bin/sh\nset -eu\n{body}\n"))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    }
    let (order, run) = (to.join("order.toml"), to.join("run.toml"));
    fs::write(
        &order,
        "[[order]]\n[[order.group]]\nid = \"test/scripted\"\nversion = \"1\"\n",
    )?;
    fs::copy(repository().join("builders/sample/run.toml"), &run)?;
    Ok(Builder {
        buildpacks,
        order,
        run,
    })
}

/// Copies a buildpack to its place below `buildpacks`.
///
/// # Errors
/// A file cannot be read or written, or buildpack.toml has no id and version.
pub fn install(directory: &Path, buildpacks: &Path) -> io::Result<()> {
    let file = directory.join("buildpack.toml");
    let malformed = |message: String| io::Error::other(format!("{}: {message}", file.display()));
    let descriptor: toml::Table = fs::read_to_string(&file)?
        .parse()
        .map_err(|error: toml::de::Error| malformed(error.message().to_owned()))?;
    let text = |key: &str| {
        let value = descriptor.get("buildpack").and_then(|table| table.get(key));
        value
            .and_then(toml::Value::as_str)
            .ok_or_else(|| malformed(format!("no buildpack.{key}")))
    };
    let place = buildpacks
        .join(text("id")?.replace('/', "_"))
        .join(text("version")?);
    copy(directory, &place)
}

/// Copies a directory: files with their modes, symbolic links as they are.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
