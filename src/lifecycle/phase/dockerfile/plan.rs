//! Which stages of a Dockerfile are needed, and what they begin with.

use crate::dockerfile::{Copy, Dockerfile, Flag, Instruction, Run, Stage, expand};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::oci::Platform;
use std::collections::{BTreeMap, BTreeSet};

/// The stages that are made, in order; the last is the one that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Positions in [`Dockerfile::stages`], and what each begins with.
    pub stages: BTreeMap<usize, Source>,
    /// Images of which only files are copied.
    pub copied: BTreeSet<String>,
}

/// What a stage begins with, or files are copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing.
    Scratch,
    /// Another stage, by its position.
    Stage(usize),
    /// An image, by its name.
    Image(String),
}

impl Plan {
    /// What the stage called `target` needs, or the last one. `args` are the build arguments, of which the last of a name
    /// counts.
    ///
    /// # Errors
    /// There is no such stage, or a `FROM` is malformed; the text names the line.
    pub fn new(file: &Dockerfile, args: &[(String, String)], target: Option<&str>) -> Result<Self> {
        let last = file.stages.len().checked_sub(1);
        let last = last.ok_or_else(|| Error::other("there is no FROM"))?;
        let target = match target {
            Some(name) => stage_called(file, name, file.stages.len())
                .ok_or_else(|| Error::other(format!("there is no stage {name}")))?,
            None => last,
        };
        let globals = globals(file, args)?;
        let mut plan = Self::default();
        plan.add(file, target, &globals)?;
        Ok(plan)
    }

    /// Every image that is needed.
    pub fn images(&self) -> BTreeSet<&str> {
        let bases = self.stages.values().filter_map(|source| match source {
            Source::Image(name) => Some(name),
            Source::Scratch | Source::Stage(_) => None,
        });
        bases.chain(&self.copied).map(String::as_str).collect()
    }

    /// Adds a stage and what it needs: stages before it, so that this ends.
    fn add(&mut self, file: &Dockerfile, at: usize, globals: &[(String, String)]) -> Result<()> {
        let Some(stage) = file
            .stages
            .get(at)
            .filter(|_| !self.stages.contains_key(&at))
        else {
            return Ok(());
        };
        let base = base(file, at, stage, globals);
        let base = base.context(|| format!("line {} (FROM {})", stage.line, stage.image))?;
        if let Source::Stage(base) = base {
            self.add(file, base, globals)?;
        }
        self.stages.insert(at, base);
        for step in &stage.steps {
            for name in origins(&step.instruction) {
                let origin = origin(file, at, name);
                let place = || format!("line {} ({})", step.line, step.text);
                match origin.context(place)? {
                    Source::Stage(other) => self.add(file, other, globals)?,
                    Source::Image(name) => drop(self.copied.insert(name)),
                    Source::Scratch => {}
                }
            }
        }
        Ok(())
    }
}

/// What `--from=name` means in the stage at `at`: an earlier stage by its name or number, else an image.
///
/// # Errors
/// The name is none.
pub(super) fn origin(file: &Dockerfile, at: usize, name: &str) -> Result<Source> {
    if let Some(stage) = stage_called(file, name, at) {
        return Ok(Source::Stage(stage));
    }
    let text = match name {
        "" => "--from has no value".to_owned(),
        name if name.contains('$') => {
            "--from takes no variables: give the image a stage of its own".to_owned()
        }
        name if name.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("--from={name}: there is no such stage before this one")
        }
        name => return Ok(Source::Image(name.to_owned())),
    };
    Err(Error::other(text))
}

/// The arguments that count before the first stage, with those that the platform gives (Dockerfile reference, "Automatic
/// platform ARGs in the global scope").
pub(super) fn platform_args() -> Vec<(String, String)> {
    let Platform { os, architecture } = Platform::host();
    let both = format!("{os}/{architecture}");
    let values = [
        ("PLATFORM", both),
        ("OS", os),
        ("ARCH", architecture),
        ("VARIANT", String::new()),
    ];
    let named = |side: &str| {
        let named = values
            .iter()
            .map(|(name, value)| (format!("{side}{name}"), value.clone()));
        named.collect::<Vec<_>>()
    };
    [named("TARGET"), named("BUILD")].concat()
}

fn globals(file: &Dockerfile, given: &[(String, String)]) -> Result<Vec<(String, String)>> {
    let mut globals = platform_args();
    for step in &file.global_args {
        let Instruction::Arg(args) = &step.instruction else {
            return Err(Error::other(format!(
                "line {} ({}): only ARG may come before the first FROM",
                step.line, step.text
            )));
        };
        for (name, default) in args {
            let value = match (find(given, name), default) {
                (Some(value), _) => Some(value),
                (None, Some(default)) => Some(filled(default, file.escape, &globals)?),
                (None, None) => None,
            };
            globals.extend(value.map(|value| (name.clone(), value)));
        }
    }
    Ok(globals)
}

fn base(
    file: &Dockerfile,
    at: usize,
    stage: &Stage,
    globals: &[(String, String)],
) -> Result<Source> {
    let name = filled(&stage.image, file.escape, globals)?;
    if let Some(platform) = &stage.platform {
        let platform = filled(platform, file.escape, globals)?;
        let Platform { os, architecture } = Platform::host();
        let own = format!("{os}/{architecture}");
        let is_own = platform == own
            || platform
                .strip_prefix(&own)
                .is_some_and(|rest| rest.starts_with('/'));
        if !is_own {
            return Err(Error::other(format!(
                "--platform={platform} is not supported on {own}"
            )));
        }
    }
    let named = |stage: &Stage| stage.name.as_deref() == Some(&*name.to_lowercase());
    Ok(match file.stages.iter().take(at).rposition(named) {
        Some(stage) => Source::Stage(stage),
        None if name == "scratch" => Source::Scratch,
        None if name.is_empty() => return Err(Error::other("the base image's name is empty")),
        None => Source::Image(name),
    })
}

/// The stage of that name or number before `end`.
fn stage_called(file: &Dockerfile, name: &str, end: usize) -> Option<usize> {
    let name = name.to_lowercase();
    let mut stages = file.stages.iter().take(end);
    let named = stages.rposition(|stage| stage.name.as_deref() == Some(&*name));
    named.or_else(|| name.parse().ok().filter(|number| *number < end))
}

/// What `COPY --from=` and `RUN --mount=from=` name.
fn origins(instruction: &Instruction) -> Vec<&str> {
    match instruction {
        Instruction::Copy(Copy { flags, .. }) => values(flags, "from").collect(),
        Instruction::Run(Run { flags, .. }) => {
            let options = values(flags, "mount").flat_map(|mount| mount.split(','));
            options
                .filter_map(|option| option.strip_prefix("from="))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn values<'f>(flags: &'f [Flag], name: &'f str) -> impl Iterator<Item = &'f str> {
    let named = flags.iter().filter(move |flag| flag.name == name);
    named.map(|flag| flag.value.as_deref().unwrap_or_default())
}

fn filled(text: &str, escape: char, values: &[(String, String)]) -> Result<String> {
    expand::word(text, escape, &|name| find(values, name))
}

fn find(values: &[(String, String)], wanted: &str) -> Option<String> {
    let found = values.iter().rev().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile;

    /// The stages and images that are needed, or the error.
    fn check(text: &str, target: Option<&str>, expected: &str) {
        let file = dockerfile::parse(text).unwrap();
        let args = [("given".to_owned(), "yes".to_owned())];
        let found = match Plan::new(&file, &args, target) {
            Ok(plan) => {
                let stages = plan.stages.iter().map(|(at, source)| match source {
                    Source::Scratch => format!("{at}"),
                    Source::Stage(base) => format!("{at}<{base}"),
                    Source::Image(name) => format!("{at}<{name}"),
                });
                let copied = plan.copied.iter().map(|name| format!("+{name}"));
                stages.chain(copied).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn stages_need_their_bases_and_origins() {
        check("FROM scratch", None, "0");
        check("FROM a\nFROM b", None, "1<b");
        check("FROM a\nFROM b", Some("0"), "0<a");
        check("FROM a AS x\nFROM b AS Y\nFROM X", None, "0<a 2<0");
        check("FROM a AS x\nFROM b AS Y\nFROM X", Some("y"), "1<b");
        check(
            "FROM a AS x\nFROM b\nCOPY --from=x /f /\nCOPY --from=c:1 /f /",
            None,
            "0<a 1<b +c:1",
        );
        check("FROM a\nFROM b\nCOPY --from=0 /f /", None, "0<a 1<b");
        check(
            "FROM a\nFROM b AS unused\nFROM a\nCOPY --from=0 /f /",
            None,
            "0<a 2<a",
        );
        check("FROM a AS a\nFROM a", None, "0<a 1<0");
    }

    #[test]
    fn names_have_variables() {
        let own = Platform::host().architecture;
        check("ARG a=b\nFROM $a:${given:-no}", None, "0<b:no");
        check("ARG given=no\nARG a=${given}x\nFROM $a", None, "0<yesx");
        check("FROM x-${TARGETARCH}", None, &format!("0<x-{own}"));
        check("FROM --platform=$BUILDPLATFORM x", None, "0<x");
    }

    #[test]
    fn mistakes_name_their_line() {
        check(
            "FROM a\nFROM $none",
            None,
            "line 2 (FROM $none): the base image's name is empty",
        );
        check("FROM a", Some("x"), "there is no stage x");
        check("FROM a", Some("1"), "there is no stage 1");
        check(
            "FROM a\nFROM b\nCOPY --from=1 / /",
            None,
            "line 3 (COPY --from=1 / /): --from=1: there is no such stage before this one",
        );
        check(
            "FROM a\nCOPY --from=$x / /",
            None,
            "line 2 (COPY --from=$x / /): --from takes no variables: give the image a stage of its own",
        );
        let own = Platform::host().architecture;
        check(
            "FROM --platform=linux/s390x a",
            None,
            &format!("line 1 (FROM a): --platform=linux/s390x is not supported on linux/{own}"),
        );
    }
}
