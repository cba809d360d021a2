//! `stack DEFINITION LAYOUT [ROOTFS.tar]` makes a base image as an OCI layout and prints its digest.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.as_slice() {
        [definition, layout] => make(definition, layout, None),
        [definition, layout, rootfs] => make(definition, layout, Some(rootfs)),
        _ => Err(io::Error::other(
            "usage: stack DEFINITION LAYOUT [ROOTFS.tar]",
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

fn make(definition: &str, layout: &str, rootfs: Option<&String>) -> io::Result<String> {
    let named = |path: &str| {
        let path = path.to_owned();
        move |error: io::Error| io::Error::other(format!("{path}: {error}"))
    };
    let text = fs::read_to_string(definition).map_err(named(definition))?;
    let mut rootfs = rootfs
        .map(|path| File::open(path).map_err(named(path)))
        .transpose()?;
    let rootfs = rootfs.as_mut().map(|file| file as &mut dyn Read);
    stacks::make(&text, rootfs, Path::new(layout)).map_err(named(definition))
}
