//! `stack DEFINITION LAYOUT ARCHITECTURE[=ROOTFS.tar]...` makes a base image as an OCI layout and prints its digest.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use stacks::Platform;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [definition, layout, platforms @ ..] if !platforms.is_empty() => {
            make(definition, layout, platforms)
        }
        _ => Err(io::Error::other(
            "usage: stack DEFINITION LAYOUT ARCHITECTURE[=ROOTFS.tar]...",
        )),
    };
    match result {
        Ok(digest) => {
            println!("{digest}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("stack: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(definition: &str, layout: &str, platforms: &[String]) -> io::Result<String> {
    let named = |path: &str| {
        let path = path.to_owned();
        move |error: io::Error| io::Error::other(format!("{path}: {error}"))
    };
    let text = fs::read_to_string(definition).map_err(named(definition))?;
    let platforms = platforms.iter().map(|platform| {
        let (architecture, rootfs) = match platform.split_once('=') {
            Some((architecture, rootfs)) => (architecture, Some(Path::new(rootfs))),
            None => (platform.as_str(), None),
        };
        Platform {
            architecture,
            rootfs,
        }
    });
    stacks::make(&text, platforms.collect(), Path::new(layout)).map_err(named(definition))
}
