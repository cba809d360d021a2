//! `release DIRECTORY ARCHITECTURE...`: makes archives and the lifecycle image of what is in
//! `DIRECTORY/binaries/ARCHITECTURE` (`amd64`, `arm64`). The time of everything in them is `SOURCE_DATE_EPOCH`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_image::store::layout::save_index;
use release::{archive, descriptor, image};
use std::env;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [directory, architectures @ ..] if !architectures.is_empty() => {
            release(Path::new(directory), architectures)
        }
        _ => Err(usage("usage: release DIRECTORY ARCHITECTURE...")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error}");
            ExitCode::FAILURE
        }
    }
}

fn release(directory: &Path, architectures: &[String]) -> Result<()> {
    let epoch = env::var("SOURCE_DATE_EPOCH").ok();
    let epoch = epoch
        .and_then(|epoch| epoch.parse().ok())
        .ok_or_else(|| usage("SOURCE_DATE_EPOCH: no number of seconds"))?;
    let work = tempfile::tempdir()?;
    let mut images = Vec::new();
    for architecture in architectures {
        // Archives are named in the reference's words.
        let name = match architecture.as_str() {
            "amd64" => "x86-64",
            "arm64" => "arm64",
            other => return Err(usage(&format!("unknown architecture {other}"))),
        };
        let files = archive::files(&directory.join("binaries").join(architecture))?;
        let file = format!("lifecycle-v{}+linux.{name}.tgz", descriptor::VERSION);
        let size = archive::write(&files, epoch, &directory.join(&file))?;
        println!("{file}: {size} bytes");
        images.push(image::image(files, architecture, epoch, work.path())?);
    }
    let layout = directory.join("lifecycle-image");
    let digest = save_index(&layout, &images, descriptor::VERSION)?;
    println!("{}: {digest}", layout.display());
    Ok(())
}

fn usage(text: &str) -> Error {
    Error::new(ErrorKind::InvalidArguments, text)
}
