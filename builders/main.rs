//! `builder-image DEFINITION BUILD_IMAGE LAYOUT ARCHITECTURE=ARCHIVE...`: makes a builder image, as an OCI layout, of a
//! builder.toml as `pack builder create` reads it, a layout with the build image, and for each architecture a release archive.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod definition;
mod image;
mod lifecycle;
mod module;
#[cfg(test)]
mod tests;

use definition::Definition;
use lifecycle::Lifecycle;
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_image::store::layout::save_index;
use release::image::open_layout;
use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [definition, build_image, layout, archives @ ..] if !archives.is_empty() => make(
            Path::new(definition),
            Path::new(build_image),
            Path::new(layout),
            archives,
        ),
        _ => Err(invalid(
            "usage: builder-image DEFINITION BUILD_IMAGE LAYOUT ARCHITECTURE=ARCHIVE...",
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("builder-image: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(definition: &Path, build_image: &Path, layout: &Path, archives: &[String]) -> Result<()> {
    let definition = Definition::read(definition)?;
    let work = tempfile::tempdir()?;
    let mut images = Vec::new();
    for platform in archives {
        let (architecture, archive) = platform
            .split_once('=')
            .ok_or_else(|| invalid(format!("{platform}: not of the form ARCHITECTURE=ARCHIVE")))?;
        let base = open_layout(build_image, architecture)?;
        let lifecycle = Lifecycle::read(Path::new(archive))?;
        images.push(image::builder(base, &definition, lifecycle, work.path())?);
    }
    let digest = save_index(layout, &images, "latest")?;
    println!("{}: {digest}", layout.display());
    Ok(())
}

/// An error of the definition or the arguments.
fn invalid(cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArguments, cause)
}
