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

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle_core::data::layer::LayerTypes;

    const ALL: [&str; 3] = [
        "application/vnd.cyclonedx+json",
        "Application/SPDX+json ; version=2",
        "application/vnd.syft+json",
    ];

    fn layer(name: &str, launch: bool, cache: bool) -> Layer {
        let types = LayerTypes {
            launch,
            cache,
            build: false,
        };
        Layer {
            name: name.into(),
            types,
        }
    }

    /// One file of this name: the places below `<layers>/sbom`, or the error.
    fn check(name: &str, declared: &[&str], expected: std::result::Result<&[&str], &str>) {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(name), "{}").unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let layers = [
            layer("ll", true, false),
            layer("lc", true, true),
            layer("none", false, false),
        ];
        let declared: Vec<_> = declared.iter().map(|&text| text.to_owned()).collect();
        let found = names(&dir).and_then(|names| find(&dir, &names, &layers, &declared, "a/b@1"));
        let place = |file: &SbomFile| {
            let layer = file
                .layer
                .as_ref()
                .map(|layer| format!("{}/", layer.display()));
            format!(
                "{}/{}{}",
                file.kind.dir_name(),
                layer.unwrap_or_default(),
                file.format.file_name()
            )
        };
        let found = found.map(|files| files.iter().map(place).collect::<Vec<_>>());
        let root = root.path().to_str().unwrap();
        assert_eq!(
            found.map_err(|error| error.to_string().replace(root, "")),
            expected
                .map(|places| places.iter().map(|&text| text.to_owned()).collect())
                .map_err(str::to_owned),
            "{name}"
        );
    }

    #[test]
    fn files_belong_to_layers_or_to_the_buildpack() {
        check("launch.sbom.cdx.json", &ALL, Ok(&["launch/sbom.cdx.json"]));
        check("build.sbom.spdx.json", &ALL, Ok(&["build/sbom.spdx.json"]));
        check("ll.sbom.syft.json", &ALL, Ok(&["launch/ll/sbom.syft.json"]));
        check(
            "lc.sbom.cdx.json",
            &ALL,
            Ok(&["launch/lc/sbom.cdx.json", "cache/lc/sbom.cdx.json"]),
        );
        check(
            "none.sbom.cdx.json",
            &ALL,
            Ok(&["build/none/sbom.cdx.json"]),
        );
        check("ll.x.sbom.cdx.json", &ALL, Ok(&["launch/ll/sbom.cdx.json"]));
        check("other.sbom.cdx.json", &ALL, Ok(&[]));
        check("x.ll.sbom.foo.json", &ALL, Ok(&[]));
        check(".sbom.cdx.json", &ALL, Ok(&[]));
        check("launch.sbom.json", &ALL, Ok(&[]));
        check("launch.sbom.cdx.xml", &ALL, Ok(&[]));
    }

    #[test]
    fn formats_have_to_be_declared() {
        let undeclared = "validating SBOM file '/launch.sbom.cdx.json' for buildpack: 'a/b@1': undeclared SBOM media \
                          type: 'application/vnd.cyclonedx+json'";
        check("launch.sbom.cdx.json", &[], Err(undeclared));
        check("launch.sbom.cdx.json", &ALL[1..], Err(undeclared));
        check(
            "ll.sbom.foo.json",
            &ALL,
            Err("unsupported SBOM file format: '/ll.sbom.foo.json'"),
        );
    }
}
