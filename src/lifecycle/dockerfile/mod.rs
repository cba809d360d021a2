//! Dockerfiles: instructions with their line numbers, and variables in them. Nothing here touches files.

pub mod expand;
pub mod heredoc;
mod lines;
mod words;

pub use heredoc::HereDocument;

use heredoc::Blanked;
use lifecycle_core::error::{Error, Result};
use lines::Lines;
use parse_dockerfile as syntax;

/// A Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The `ARG` instructions before the first stage.
    pub global_args: Vec<Step>,
    /// The stages, each with its base.
    pub stages: Vec<Stage>,
    /// What escapes a character: a backslash or a backtick.
    pub escape: char,
}

/// What one `FROM` begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The line of `FROM`, from one.
    pub line: usize,
    /// The base image as written.
    pub image: String,
    /// What the stage is called, in lower case.
    pub name: Option<String>,
    /// What `--platform` says.
    pub platform: Option<String>,
    /// What follows.
    pub steps: Vec<Step>,
}

/// An instruction, its variables not yet expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of its keyword, from one.
    pub line: usize,
    /// The instruction as written, its lines joined, without comments and here-documents.
    pub text: String,
    /// What it does.
    pub instruction: Instruction,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `ADD`.
    Add(Copy),
    /// `ARG`: names, with their defaults.
    Arg(Vec<(String, Option<String>)>),
    /// `CMD`.
    Cmd(Words),
    /// `COPY`.
    Copy(Copy),
    /// `ENTRYPOINT`.
    Entrypoint(Words),
    /// `ENV`.
    Env(Vec<(String, String)>),
    /// `EXPOSE`.
    Expose(Vec<String>),
    /// `HEALTHCHECK`; no words for `NONE`.
    Healthcheck {
        /// `--interval` and others.
        flags: Vec<Flag>,
        /// The check.
        test: Option<Words>,
    },
    /// `LABEL`.
    Label(Vec<(String, String)>),
    /// `MAINTAINER`.
    Maintainer(String),
    /// `ONBUILD`: the instruction behind it.
    Onbuild(String),
    /// `RUN`.
    Run(Run),
    /// `SHELL`.
    Shell(Vec<String>),
    /// `STOPSIGNAL`.
    Stopsignal(String),
    /// `USER`.
    User(String),
    /// `VOLUME`.
    Volume(Vec<String>),
    /// `WORKDIR`.
    Workdir(String),
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// For the shell.
    Shell(String),
    /// As it is.
    Exec(Vec<String>),
}

/// `RUN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// `--mount` and others.
    pub flags: Vec<Flag>,
    /// What is run.
    pub command: Words,
    /// Its here-documents.
    pub documents: Vec<HereDocument>,
}

/// `COPY` or `ADD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// `--chown` and others.
    pub flags: Vec<Flag>,
    /// What is copied.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
}

/// What `COPY` or `ADD` copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A path or pattern in the context.
    Path(String),
    /// A file whose content is in the Dockerfile.
    Document(HereDocument),
}

/// `--name` or `--name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The name without dashes.
    pub name: String,
    /// What follows `=`.
    pub value: Option<String>,
}

/// Reads a Dockerfile.
///
/// # Errors
/// It is malformed; the text names the line.
pub fn parse(text: &str) -> Result<Dockerfile> {
    let blanked = heredoc::blank(text.trim_start_matches('\u{feff}'))?;
    let lines = Lines::new(&blanked);
    let mut file = Dockerfile {
        global_args: Vec::new(),
        stages: Vec::new(),
        escape: blanked.escape,
    };
    let readable = with_readable_entrypoints(&blanked.text);
    for parsed in syntax::parse_iter(&readable).map_err(Error::other)? {
        let reader = Reader {
            blanked: &blanked,
            lines: &lines,
        };
        match parsed {
            Ok(syntax::Instruction::From(from)) => file.stages.push(reader.stage(from)?),
            Ok(parsed) => {
                let step = reader.step(&parsed)?;
                match file.stages.last_mut() {
                    Some(stage) => stage.steps.push(step),
                    None => file.global_args.push(step),
                }
            }
            // Without a place in the file it is the parser's complaint that there is no stage.
            Err(error) if error.line() == 0 => {}
            Err(error) => return Err(Error::other(error)),
        }
    }
    Ok(file)
}

const ENTRYPOINT: &str = "ENTRYPOINT";

/// The parser refuses `ENTRYPOINT []`, which takes the base's entrypoint away; it reads `CMD []` in its place. Positions stay.
fn with_readable_entrypoints(text: &str) -> String {
    let line = |line: &str| {
        let words: String = line.split_whitespace().collect();
        match words.eq_ignore_ascii_case("ENTRYPOINT[]")
            && begins_with(line.trim_start(), ENTRYPOINT)
        {
            true => {
                let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
                let rest = rest.get(ENTRYPOINT.len()..).unwrap_or_default();
                format!("{indent}{:width$}{rest}", "CMD", width = ENTRYPOINT.len())
            }
            false => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(line).collect()
}

fn begins_with(text: &str, keyword: &str) -> bool {
    let start = text.get(..keyword.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(keyword))
}

/// Turns the parser's instructions into ours.
struct Reader<'a> {
    blanked: &'a Blanked,
    lines: &'a Lines,
}

impl Reader<'_> {
    fn stage(&self, from: syntax::FromInstruction<'_>) -> Result<Stage> {
        let line = self.lines.number(from.from.span.start);
        let (platform, others): (Vec<_>, Vec<_>) = flags(&from.options)
            .into_iter()
            .partition(|flag| flag.name == "platform");
        if let Some(flag) = others.first() {
            let text = format!("line {line}: FROM --{} is not supported", flag.name);
            return Err(Error::other(text));
        }
        Ok(Stage {
            line,
            image: from.image.value.into_owned(),
            name: from.as_.map(|(_, name)| name.value.to_lowercase()),
            platform: platform.into_iter().find_map(|flag| flag.value),
            steps: Vec::new(),
        })
    }

    fn step(&self, parsed: &syntax::Instruction<'_>) -> Result<Step> {
        let start = start(parsed)?;
        let (line, text) = (self.lines.number(start), self.lines.logical(start));
        let instruction = self
            .instruction(parsed, &text)
            .map_err(|error| error.in_context(format!("line {line}")))?;
        Ok(Step {
            line,
            text,
            instruction,
        })
    }

    fn instruction(&self, parsed: &syntax::Instruction<'_>, text: &str) -> Result<Instruction> {
        use syntax::Instruction as Parsed;
        let pairs = |name, arguments| words::pairs(name, arguments, self.blanked.escape);
        Ok(match parsed {
            Parsed::Add(i) => Instruction::Add(self.copy(&i.options, &i.src, &i.dest)),
            Parsed::Copy(i) => Instruction::Copy(self.copy(&i.options, &i.src, &i.dest)),
            Parsed::Arg(i) => {
                Instruction::Arg(words::args(&i.arguments.value, self.blanked.escape)?)
            }
            Parsed::Env(i) => Instruction::Env(pairs("ENV", &i.arguments.value)?),
            Parsed::Label(i) => Instruction::Label(pairs("LABEL", &i.arguments.value)?),
            Parsed::Cmd(_) if begins_with(text, ENTRYPOINT) => {
                Instruction::Entrypoint(Words::Exec(Vec::new()))
            }
            Parsed::Cmd(i) => Instruction::Cmd(self.words(&i.arguments)),
            Parsed::Entrypoint(i) => Instruction::Entrypoint(self.words(&i.arguments)),
            Parsed::Expose(i) => Instruction::Expose(owned(&i.arguments)),
            Parsed::Healthcheck(i) => Instruction::Healthcheck {
                flags: flags(&i.options),
                test: match &i.arguments {
                    syntax::HealthcheckArguments::Cmd { arguments, .. } => {
                        Some(self.words(arguments))
                    }
                    _ => None,
                },
            },
            Parsed::Maintainer(i) => Instruction::Maintainer(i.name.value.clone().into_owned()),
            Parsed::Onbuild(_) => {
                let (_, rest) = text.split_once(char::is_whitespace).unwrap_or_default();
                Instruction::Onbuild(rest.trim_start().to_owned())
            }
            Parsed::Run(i) => {
                let start = i.run.span.start;
                let within = start..start + self.lines.extent(start);
                let documents = self.blanked.documents.iter();
                Instruction::Run(Run {
                    flags: flags(&i.options),
                    command: self.words(&i.arguments),
                    documents: documents
                        .filter(|document| within.contains(&document.position))
                        .cloned()
                        .collect(),
                })
            }
            Parsed::Shell(i) => Instruction::Shell(owned(&i.arguments)),
            Parsed::Stopsignal(i) => Instruction::Stopsignal(i.arguments.value.clone().into()),
            Parsed::User(i) => Instruction::User(i.arguments.value.clone().into()),
            Parsed::Volume(i) => Instruction::Volume(match &i.arguments {
                syntax::JsonOrStringArray::Json(words) => owned(&words.value),
                syntax::JsonOrStringArray::String(words) => owned(words),
            }),
            Parsed::Workdir(i) => Instruction::Workdir(i.arguments.value.clone().into()),
            _ => return Err(Error::other("instruction is not supported")),
        })
    }

    fn words(&self, command: &syntax::Command<'_>) -> Words {
        match command {
            syntax::Command::Exec(words) => Words::Exec(owned(&words.value)),
            syntax::Command::Shell(text) => Words::Shell(self.lines.logical(text.span.start)),
            _ => Words::Exec(Vec::new()),
        }
    }

    fn copy(
        &self,
        options: &[syntax::Flag<'_>],
        sources: &[syntax::Source<'_>],
        destination: &syntax::UnescapedString<'_>,
    ) -> Copy {
        let documents = &self.blanked.documents;
        let source = |source: &syntax::Source<'_>| {
            let syntax::Source::Path(path) = source else {
                return None;
            };
            let document = documents
                .iter()
                .find(|document| document.position == path.span.start);
            Some(match document {
                Some(document) => Source::Document(document.clone()),
                None => Source::Path(path.value.clone().into_owned()),
            })
        };
        Copy {
            flags: flags(options),
            sources: sources.iter().filter_map(source).collect(),
            destination: destination.value.clone().into_owned(),
        }
    }
}

fn owned(words: &[syntax::UnescapedString<'_>]) -> Vec<String> {
    words
        .iter()
        .map(|word| word.value.clone().into_owned())
        .collect()
}

fn flags(options: &[syntax::Flag<'_>]) -> Vec<Flag> {
    let flag = |flag: &syntax::Flag<'_>| Flag {
        name: flag.name.value.clone().into_owned(),
        value: flag.value.as_ref().map(|value| value.value.clone().into()),
    };
    options.iter().map(flag).collect()
}

/// Where the instruction's keyword begins.
fn start(parsed: &syntax::Instruction<'_>) -> Result<usize> {
    use syntax::Instruction as Parsed;
    let keyword = match parsed {
        Parsed::Add(i) => &i.add,
        Parsed::Arg(i) => &i.arg,
        Parsed::Cmd(i) => &i.cmd,
        Parsed::Copy(i) => &i.copy,
        Parsed::Entrypoint(i) => &i.entrypoint,
        Parsed::Env(i) => &i.env,
        Parsed::Expose(i) => &i.expose,
        Parsed::From(i) => &i.from,
        Parsed::Healthcheck(i) => &i.healthcheck,
        Parsed::Label(i) => &i.label,
        Parsed::Maintainer(i) => &i.maintainer,
        Parsed::Onbuild(i) => &i.onbuild,
        Parsed::Run(i) => &i.run,
        Parsed::Shell(i) => &i.shell,
        Parsed::Stopsignal(i) => &i.stopsignal,
        Parsed::User(i) => &i.user,
        Parsed::Volume(i) => &i.volume,
        Parsed::Workdir(i) => &i.workdir,
        // The parser's list may grow.
        _ => return Err(Error::other("an instruction is not supported")),
    };
    Ok(keyword.span.start)
}

#[cfg(test)]
mod tests;
