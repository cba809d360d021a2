//! SBOM files of the lifecycle itself and of the launcher (FACTS 9.1).

use crate::buildpack::dir::Dir;
use crate::log::Log;
use lifecycle_core::data::sbom::SbomFormat;
use lifecycle_core::error::{ErrorKind, Result, ResultExt};
use lifecycle_core::file;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;

const OWNER: &str = "buildpacksio_lifecycle";

/// Where the files are.
#[derive(Clone, Copy, Debug)]
pub struct LauncherSboms<'a> {
    /// The directory of the lifecycle: `lifecycle.sbom.*.json` and `launcher.sbom.*.json`.
    pub lifecycle_dir: &'a Path,
    /// Where the platform has files for another launcher; all that look like SBOMs are taken.
    pub launcher_dir: Option<&'a Path>,
}

/// Copies the files to `<layers>/sbom/build` and `<layers>/sbom/launch`.
///
/// # Errors
/// A file cannot be read or written. Missing ones are warnings.
pub(super) fn copy(sboms: &LauncherSboms<'_>, layers_dir: &Path, log: &Log) -> Result<()> {
    let build = ["sbom", "build", OWNER];
    let launch = ["sbom", "launch", OWNER, "launcher"];
    copy_known("lifecycle", sboms.lifecycle_dir, layers_dir, &build, log)?;
    match sboms.launcher_dir {
        Some(dir) => copy_all(dir, layers_dir, &launch),
        None => copy_known("launcher", sboms.lifecycle_dir, layers_dir, &launch, log),
    }
}

fn copy_known(
    component: &str,
    from: &Path,
    layers_dir: &Path,
    to: &[&str],
    log: &Log,
) -> Result<()> {
    for format in SbomFormat::ALL {
        let name = format!("{component}.{}", format.file_name());
        let source = match file::open(&from.join(&name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                log.warn(format_args!(
                    "Did not find SBOM {name} in {}",
                    from.display()
                ));
                continue;
            }
            source => source?,
        };
        let target = layers_dir.join(to.join("/")).join(format.file_name());
        log.debug(format_args!("Copying SBOM {name} to {}", target.display()));
        write(layers_dir, to, format.file_name().as_ref(), source)?;
    }
    Ok(())
}

fn copy_all(from: &Path, layers_dir: &Path, to: &[&str]) -> Result<()> {
    let context = || format!("read {}", from.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(from).context(context)? {
        names.push(entry.context(context)?.file_name());
    }
    names.sort();
    for name in names {
        let text = name.to_string_lossy();
        if SbomFormat::ALL
            .iter()
            .any(|format| text.ends_with(format.file_name()))
        {
            write(layers_dir, to, &name, file::open(&from.join(&name))?)?;
        }
    }
    Ok(())
}

/// Writes a file below `<layers>`, where a buildpack may have left links.
fn write(layers_dir: &Path, to: &[&str], name: &OsStr, source: File) -> Result<()> {
    let mut dir = Dir::open(layers_dir)?;
    for part in to {
        dir = dir.make_dir(part.as_ref())?;
    }
    dir.write(name, source)
}
