//! The SBOM files that a buildpack wrote (FACTS 7.5; buildpack.md, Software-Bill-of-Materials).

use super::dir::Dir;
use super::layers::Layer;
use lifecycle_core::data::sbom::SbomFormat;
use lifecycle_core::error::{Error, Result};
use lifecycle_core::file;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What an SBOM file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbomKind {
    /// Contents of the app image.
    Launch,
    /// Contents of the build environment.
    Build,
    /// Contents of the cache.
    Cache,
}

/// An SBOM file to be copied to its place below `<layers>/sbom`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SbomFile {
    /// Where the buildpack wrote it.
    pub path: PathBuf,
    /// What it describes.
    pub kind: SbomKind,
    /// Its layer; `None` for files of the buildpack as a whole.
    pub layer: Option<OsString>,
    /// Its format.
    pub format: SbomFormat,
}

impl SbomKind {
    /// The name of its directory below `<layers>/sbom`.
    pub fn dir_name(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Build => "build",
            Self::Cache => "cache",
        }
    }
}

/// Names of SBOM files in a buildpack's layers directory, whatever their format.
pub(super) fn names(dir: &Dir) -> Result<Vec<OsString>> {
    let mut names = dir.names()?;
    names.retain(|name| is_sbom_name(name.as_bytes()));
    Ok(names)
}

/// Whether `name` matches `*.sbom.*.json`.
fn is_sbom_name(name: &[u8]) -> bool {
    name.strip_suffix(b".json")
        .is_some_and(|stem| stem.windows(6).any(|window| window == b".sbom."))
}

/// The SBOM files that count: those of the buildpack as a whole and those of its layers. Like in the reference, a
/// layer's name ends at the first dot of the file name.
///
/// # Errors
/// A file's format is unknown or not among the media types that the buildpack declared.
pub(super) fn find(
    dir: &Dir,
    names: &[OsString],
    layers: &[Layer],
    declared: &[String],
    buildpack: &str,
) -> Result<Vec<SbomFile>> {
    let mut files = Vec::new();
    for name in names {
        let owner = OsStr::from_bytes(
            name.as_bytes()
                .split(|&byte| byte == b'.')
                .next()
                .unwrap_or_default(),
        );
        let (kinds, layer) = match (
            owner.as_bytes(),
            layers.iter().find(|layer| layer.name == owner),
        ) {
            (b"launch", _) => (vec![SbomKind::Launch], None),
            (b"build", _) => (vec![SbomKind::Build], None),
            (_, Some(layer)) => (kinds(layer), Some(owner.to_owned())),
            (_, None) => continue,
        };
        let path = dir.path().join(name);
        let format = format(&path, name, declared, buildpack)?;
        files.extend(kinds.into_iter().map(|kind| SbomFile {
            path: path.clone(),
            kind,
            layer: layer.clone(),
            format,
        }));
    }
    Ok(files)
}

fn kinds(layer: &Layer) -> Vec<SbomKind> {
    let main = if layer.types.launch {
        SbomKind::Launch
    } else {
        SbomKind::Build
    };
    std::iter::once(main)
        .chain(layer.types.cache.then_some(SbomKind::Cache))
        .collect()
}

fn format(
    path: &std::path::Path,
    name: &OsStr,
    declared: &[String],
    buildpack: &str,
) -> Result<SbomFormat> {
    let path = path.display();
    let format = SbomFormat::of_file_name(&name.to_string_lossy())
        .ok_or_else(|| Error::other(format!("unsupported SBOM file format: '{path}'")))?;
    let media_type = format.media_type();
    // Parameters such as `;version=1.4` do not count.
    let declares = |declared: &String| {
        declared
            .split(';')
            .next()
            .is_some_and(|declared| declared.trim().eq_ignore_ascii_case(media_type))
    };
    if declared.iter().any(declares) {
        return Ok(format);
    }
    Err(
        Error::other(format!("undeclared SBOM media type: '{media_type}'")).in_context(format!(
            "validating SBOM file '{path}' for buildpack: '{buildpack}'"
        )),
    )
}

/// Copies a buildpack's SBOM files to `<layers>/sbom/<kind>/<buildpack>[/<layer>]/sbom.<format>.json`.
///
/// # Errors
/// A file cannot be read or written, or something other than directories is in the way.
pub fn copy(layers_dir: &Dir, escaped_id: &str, files: &[SbomFile]) -> Result<()> {
    for sbom in files {
        let mut target = layers_dir
            .make_dir(OsStr::new("sbom"))?
            .make_dir(OsStr::new(sbom.kind.dir_name()))?
            .make_dir(OsStr::new(escaped_id))?;
        if let Some(layer) = &sbom.layer {
            target = target.make_dir(layer)?;
        }
        target.write(OsStr::new(sbom.format.file_name()), file::open(&sbom.path)?)?;
    }
    Ok(())
}
