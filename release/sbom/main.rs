//! `sbom PACKAGE TARGET BINARY DIRECTORY`: writes what a binary of this workspace is made of, as
//! `DIRECTORY/PACKAGE.sbom.{cdx,spdx,syft}.json`: the three files that a lifecycle has beside each of its binaries.
//!
//! The same sources and the same binary give the same bytes. The time in SPDX is `SOURCE_DATE_EPOCH`, or 1980.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr)]

mod closure;
mod cyclonedx;
mod spdx;
mod syft;
#[cfg(test)]
mod tests;

use closure::Closure;
use lifecycle_core::time;
use serde_json::Value;
use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Buildpacks give files this time, a second after 1980 begins.
const DEFAULT_EPOCH: i64 = 315_532_801;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [package, target, binary, directory] => write(package, target, binary, directory),
        _ => Err("usage: sbom PACKAGE TARGET BINARY DIRECTORY".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sbom: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(package: &str, target: &str, binary: &str, directory: &str) -> Result<()> {
    let epoch = match env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => epoch
            .parse()
            .map_err(|_| format!("SOURCE_DATE_EPOCH: {epoch}"))?,
        Err(_) => DEFAULT_EPOCH,
    };
    let binary = fs::read(binary).map_err(|error| format!("{binary}: {error}"))?;
    let closure = Closure::of(package, target, &binary)?;
    fs::create_dir_all(directory)?;
    for (format, document) in documents(&closure, epoch) {
        let path = Path::new(directory).join(format!("{package}.sbom.{format}.json"));
        fs::write(path, format!("{document:#}\n"))?;
    }
    Ok(())
}

/// The documents by the name of their format.
fn documents(closure: &Closure, epoch: i64) -> [(&'static str, Value); 3] {
    [
        ("cdx", cyclonedx::document(closure)),
        ("spdx", spdx::document(closure, &time::rfc3339(epoch))),
        ("syft", syft::document(closure)),
    ]
}
