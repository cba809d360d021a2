//! The two listings of flags: the contract's, which follows an error, and the grouped one of `-h`.

use super::{FLAGS, Flag, Group, Kind, Settings};
use crate::duration;
use crate::platform::Program;
use std::fmt::Write as _;

/// The listing that follows a flag error (FACTS 1.5); `settings` are those before any flag.
pub(super) fn listing(program: Program, settings: &Settings) -> String {
    let mut text = String::from("Usage of lifecycle:\n");
    for flag in defined(program, settings).filter(|flag| flag.is_contract(program)) {
        let default = match flag.value_text(settings) {
            None => String::new(),
            Some(value) => format!(" (default {value})"),
        };
        let _ = writeln!(
            text,
            "  -{}{}\n    \t{}{default}",
            flag.name,
            flag.type_text(),
            flag.help
        );
    }
    text
}

/// The text of `-h`: flags by group, each with its environment variable and default.
pub(super) fn help(program: Program, settings: &Settings) -> String {
    let api = settings.inputs.platform_api;
    let mut text = format!("Usage: {} [flags] {}", program.name(), program.operands());
    text.truncate(text.trim_end().len());
    let _ = writeln!(
        text,
        "\nFlags at Platform API {api}; a flag wins over its environment variable."
    );
    let name = |flag: &Flag| format!("  -{}{}", flag.name, flag.type_text());
    let width = defined(program, settings)
        .map(|flag| name(flag).len())
        .max()
        .unwrap_or_default();
    for group in Group::ALL {
        let mut flags = defined(program, settings)
            .filter(|flag| flag.group == group)
            .peekable();
        if flags.peek().is_some() {
            let _ = writeln!(text, "\n{group:?}:");
        }
        for flag in flags {
            let _ = writeln!(text, "{:width$}  {}", name(flag), flag.help);
            let _ = writeln!(text, "{:width$}  {}", "", flag.origin(settings));
        }
    }
    text
}

fn defined(program: Program, settings: &Settings) -> impl Iterator<Item = &'static Flag> {
    let api = settings.inputs.platform_api;
    FLAGS.iter().filter(move |flag| flag.exists(program, api))
}

impl Flag {
    /// The type's name behind the flag's, as listings have it; switches have none.
    fn type_text(&self) -> &'static str {
        match self.kind {
            Kind::Path(_) | Kind::OptionalPath(_) | Kind::Text(_) | Kind::OptionalText(_) => {
                " string"
            }
            Kind::Switch(_) => "",
            Kind::Id(_) => " int",
            Kind::Duration(_) => " duration",
            Kind::List(_) => " value",
        }
    }

    /// The value in `settings`, quoted where it is text; nothing for the type's empty value.
    fn value_text(&self, settings: &Settings) -> Option<String> {
        let settings = &mut settings.clone();
        let quoted = |text: &str| (!text.is_empty()).then(|| format!("{text:?}"));
        match self.kind {
            Kind::Path(field) => quoted(&field(settings).to_string_lossy()),
            Kind::OptionalPath(field) => field(settings)
                .as_ref()
                .and_then(|path| quoted(&path.to_string_lossy())),
            Kind::Text(field) => quoted(field(settings)),
            Kind::OptionalText(field) => field(settings).as_ref().and_then(|text| quoted(text)),
            Kind::Switch(field) => field(settings).then(|| "true".to_owned()),
            Kind::Id(field) => Some(*field(settings))
                .filter(|id| *id != 0)
                .map(|id| id.to_string()),
            Kind::Duration(field) => Some(*field(settings))
                .filter(|time| !time.is_zero())
                .map(duration::format),
            Kind::List(field) => Some(field(settings))
                .filter(|list| !list.is_empty())
                .map(|l| format!("[{}]", l.join(" "))),
        }
    }

    /// Where a value comes from without the flag: variables, with what they say now, and the default.
    fn origin(&self, settings: &Settings) -> String {
        let env = &settings.inputs.process_env;
        let variable = |name: &&str| match env.get(*name).filter(|value| !value.is_empty()) {
            Some(value) => format!("env {name}={}", value.to_string_lossy()),
            None => format!("env {name}"),
        };
        let default = match (self.default, self.kind) {
            ("", Kind::Switch(_)) => "default false".to_owned(),
            ("", _) => "no default".to_owned(),
            (default, _) => format!("default {default}"),
        };
        self.env
            .iter()
            .map(variable)
            .chain([default])
            .collect::<Vec<_>>()
            .join(", ")
    }
}
