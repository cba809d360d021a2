//! The one table of flags. Parsing, defaults, environment variables and both usage listings derive from it.

mod parse;
mod table;
#[cfg(test)]
mod tests;
mod usage;

pub use parse::{Parsed, Stop, parse};
pub use table::FLAGS;

use super::Program;
use super::inputs::Inputs;
use super::number;
use crate::duration;
use lifecycle_core::api::{Feature, PlatformApi};
use lifecycle_core::env::Env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that flags set: the inputs of the phases, and what only the common sequence needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What phases get.
    pub inputs: Inputs,
    /// The log level as given.
    pub log_level: String,
    /// Whether colours are off.
    pub no_color: bool,
    /// Whether to print the version and stop.
    pub version: bool,
}

/// One row of the table.
pub struct Flag {
    /// The name without dashes; an input with no flag in any program has one for documentation only.
    pub name: &'static str,
    /// Where its value goes, and thereby its type.
    pub kind: Kind,
    /// The environment variables that set it; the first that is neither unset nor empty counts.
    pub env: &'static [&'static str],
    /// The default, in the text form of its type.
    pub default: &'static str,
    /// The heading under which `-h` lists it.
    pub group: Group,
    /// What it is, in the words of the contract's listing.
    pub help: &'static str,
    /// The programs that have it.
    pub uses: &'static [Use],
}

/// That a program has a flag, in some Platform APIs.
#[derive(Clone, Copy)]
pub struct Use {
    program: Program,
    when: When,
}

#[derive(Clone, Copy)]
enum When {
    Always,
    /// Always, but not of the contract: its listing leaves the flag out.
    Own,
    Since(Feature),
    Before(Feature),
}

/// The headings of `-h`, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// References of images, and how they are reached.
    Images,
    /// Directories.
    Directories,
    /// Documents.
    Files,
    /// What is kept between builds.
    Caches,
    /// How the phase works.
    Behaviour,
    /// The user to run as.
    User,
    /// The log and the program itself.
    General,
}

impl Group {
    const ALL: [Self; 7] = [
        Self::Images,
        Self::Directories,
        Self::Files,
        Self::Caches,
        Self::Behaviour,
        Self::User,
        Self::General,
    ];
}

type Field<T> = fn(&mut Settings) -> &mut T;

/// A flag's type, with the access to the field that it sets.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A path.
    Path(Field<PathBuf>),
    /// A path that may be absent.
    OptionalPath(Field<Option<PathBuf>>),
    /// A text.
    Text(Field<String>),
    /// A text that may be absent.
    OptionalText(Field<Option<String>>),
    /// On or off.
    Switch(Field<bool>),
    /// A user or group id.
    Id(Field<u32>),
    /// A length of time.
    Duration(Field<Duration>),
    /// A text each time that the flag is given.
    List(Field<Vec<String>>),
}

impl Flag {
    /// Whether `program` has the flag at `api`.
    pub fn exists(&self, program: Program, api: PlatformApi) -> bool {
        self.uses.iter().any(|used| {
            used.program == program
                && match used.when {
                    When::Always | When::Own => true,
                    When::Since(feature) => api.has(feature),
                    When::Before(feature) => !api.has(feature),
                }
        })
    }

    /// Whether `program` has the flag by the contract.
    fn is_contract(&self, program: Program) -> bool {
        let own = |used: &Use| used.program == program && matches!(used.when, When::Own);
        !self.uses.iter().any(own)
    }

    /// Sets the field from the text of a flag or default.
    fn assign(&self, settings: &mut Settings, value: &OsStr) -> Result<(), number::Invalid> {
        let text = value.to_string_lossy();
        match self.kind {
            Kind::Path(field) => *field(settings) = PathBuf::from(value),
            Kind::OptionalPath(field) => {
                *field(settings) = (!value.is_empty()).then(|| PathBuf::from(value))
            }
            Kind::Text(field) => *field(settings) = text.into_owned(),
            Kind::OptionalText(field) => {
                *field(settings) = (!value.is_empty()).then(|| text.into_owned())
            }
            Kind::Switch(field) => {
                *field(settings) = number::parse_bool(&text).ok_or(number::Invalid::Syntax)?
            }
            Kind::Id(field) => *field(settings) = number::parse_id(&text)?,
            Kind::Duration(field) => {
                *field(settings) = duration::parse(&text).ok_or(number::Invalid::Syntax)?
            }
            Kind::List(field) => field(settings).push(text.into_owned()),
        }
        Ok(())
    }

    /// Sets the field from the environment; a value of the wrong form counts as unset (FACTS 1.6).
    fn assign_env(&self, settings: &mut Settings, env: &Env) {
        let set = |name: &&str| {
            env.get(*name)
                .filter(|value| !value.is_empty())
                .map(OsStr::to_os_string)
        };
        let values: Vec<OsString> = self.env.iter().filter_map(set).collect();
        let Some(value) = values.first() else { return };
        match self.kind {
            Kind::Switch(field) => {
                let on =
                    |value: &OsString| number::parse_bool(&value.to_string_lossy()) == Some(true);
                *field(settings) = values.iter().any(on);
            }
            Kind::Id(field) => {
                *field(settings) = number::parse_decimal_id(&value.to_string_lossy()).unwrap_or(0)
            }
            Kind::List(field) => {
                *field(settings) = value
                    .to_string_lossy()
                    .split(',')
                    .map(str::to_owned)
                    .collect()
            }
            _ => {
                // A malformed duration keeps the default; the other kinds take any text.
                let _ = self.assign(settings, value);
            }
        }
    }
}

impl Settings {
    /// The settings before any flag: defaults, overridden by the environment. The environment counts even where a
    /// program has no such flag (FACTS 1.7).
    pub fn from_env(api: PlatformApi, env: Env) -> Self {
        let mut settings = Self {
            inputs: Inputs::blank(api),
            log_level: String::new(),
            no_color: false,
            version: false,
        };
        for flag in FLAGS {
            if !flag.default.is_empty() {
                let assigned = flag.assign(&mut settings, flag.default.as_ref());
                debug_assert!(assigned.is_ok(), "default of -{}", flag.name);
            }
            flag.assign_env(&mut settings, &env);
        }
        settings.inputs.adopt_env(env);
        settings
    }
}
