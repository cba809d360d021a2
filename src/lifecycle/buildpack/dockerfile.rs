//! What extensions may write into Dockerfiles (FACTS 6.6; image_extension.md, Dockerfile Requirements).

use crate::dockerfile::heredoc;
use crate::log::Log;
use lifecycle_core::error::{Error, Result};
use parse_dockerfile::{ArgInstruction, Instruction};
use std::fmt;

/// How a Dockerfile names the image that it extends.
const BASE_IMAGE: &str = "${base_image}";

/// Which image a Dockerfile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DockerfileKind {
    /// The run image: `run.Dockerfile`.
    Run,
    /// The build image: `build.Dockerfile`.
    Build,
}

impl DockerfileKind {
    /// `run` or `build`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Build => "build",
        }
    }

    /// The name of the file that an extension writes.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Run => "run.Dockerfile",
            Self::Build => "build.Dockerfile",
        }
    }
}

/// What a `run.Dockerfile` does to the run image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunImageChange {
    /// The image that replaces the run image, if any.
    pub new_base: Option<String>,
    /// Whether there are instructions to apply.
    pub extends: bool,
}

/// Validates a `run.Dockerfile` and says what it does. Instructions that are not recommended are warned of.
///
/// # Errors
/// It is malformed, or has not exactly one stage.
pub(super) fn check_run(text: &str, log: &Log) -> Result<RunImageChange> {
    let text = heredoc::blank(text)?.text;
    let file = Parsed::new(&text, DockerfileKind::Run)?;
    let base = file.only_stage()?.ok_or_else(|| file.no_stage())?;
    file.warn(log);
    Ok(RunImageChange {
        new_base: (base != BASE_IMAGE).then(|| base.to_owned()),
        extends: !file.instructions.is_empty(),
    })
}

/// Validates a `build.Dockerfile`. Instructions that are not recommended are warned of.
///
/// # Errors
/// It is malformed, or does not begin with `ARG base_image` and `FROM ${base_image}` as its only stage.
pub(super) fn check_build(text: &str, log: &Log) -> Result<()> {
    let text = heredoc::blank(text)?.text;
    let file = Parsed::new(&text, DockerfileKind::Build)?;
    let base = file.only_stage()?;
    file.warn(log);
    match file.global_args.as_slice() {
        [argument] if names(argument).next() == Some("base_image") => {}
        _ => {
            return Err(Error::other(
                "build.Dockerfile did not start with required ARG command",
            ));
        }
    }
    match base {
        Some(BASE_IMAGE) => Ok(()),
        Some(_) => Err(Error::other(
            "build.Dockerfile did not contain required FROM ${base_image} command",
        )),
        None => Err(file.no_stage()),
    }
}

/// A Dockerfile, taken apart.
struct Parsed<'a> {
    text: &'a str,
    kind: DockerfileKind,
    /// `ARG` before the first stage.
    global_args: Vec<ArgInstruction<'a>>,
    /// The base images of the stages.
    bases: Vec<String>,
    /// What is in the stages.
    instructions: Vec<Instruction<'a>>,
}

impl<'a> Parsed<'a> {
    fn new(text: &'a str, kind: DockerfileKind) -> Result<Self> {
        let mut file = Self {
            text,
            kind,
            global_args: Vec::new(),
            bases: Vec::new(),
            instructions: Vec::new(),
        };
        for instruction in parse_dockerfile::parse_iter(text).map_err(Error::other)? {
            match instruction {
                Ok(Instruction::From(from)) => file.bases.push(from.image.value.into_owned()),
                Ok(Instruction::Arg(argument)) if file.bases.is_empty() => {
                    file.global_args.push(argument);
                }
                Ok(instruction) => file.instructions.push(instruction),
                // Without a place in the file it is the parser's complaint that there is no stage.
                Err(error) if error.line() == 0 => {}
                Err(error) => return Err(Error::other(error)),
            }
        }
        Ok(file)
    }

    /// The base image of the only stage, if there is a stage.
    fn only_stage(&self) -> Result<Option<&str>> {
        match self.bases.as_slice() {
            [] => Ok(None),
            [base] => Ok(Some(base)),
            _ => Err(Error::other(format!(
                "{} is not permitted to use multistage build",
                self.kind
            ))),
        }
    }

    fn no_stage(&self) -> Error {
        Error::other(format!("{} should have at least one stage", self.kind))
    }

    fn warn(&self, log: &Log) {
        for (name, position) in self.instructions.iter().filter_map(not_recommended) {
            let before = self.text.bytes().take(position);
            let line = before.filter(|byte| *byte == b'\n').count() + 1;
            log.warn(format_args!(
                "{} command {name} on line {line} is not recommended",
                self.kind
            ));
        }
    }
}

impl fmt::Display for DockerfileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// The names that an `ARG` declares.
fn names<'a>(argument: &'a ArgInstruction<'_>) -> impl Iterator<Item = &'a str> {
    let words = argument.arguments.value.split_whitespace();
    words.filter_map(|word| word.split('=').next())
}

/// Name and position of an instruction that extensions should not use.
fn not_recommended(instruction: &Instruction<'_>) -> Option<(&'static str, usize)> {
    let (name, keyword) = match instruction {
        Instruction::Cmd(i) => ("CMD", &i.cmd),
        Instruction::Entrypoint(i) => ("ENTRYPOINT", &i.entrypoint),
        Instruction::Expose(i) => ("EXPOSE", &i.expose),
        Instruction::Healthcheck(i) => ("HEALTHCHECK", &i.healthcheck),
        Instruction::Maintainer(i) => ("MAINTAINER", &i.maintainer),
        Instruction::Onbuild(i) => ("ONBUILD", &i.onbuild),
        Instruction::Stopsignal(i) => ("STOPSIGNAL", &i.stopsignal),
        Instruction::Volume(i) => ("VOLUME", &i.volume),
        _ => return None,
    };
    Some((name, keyword.span.start))
}

#[cfg(test)]
mod tests;
