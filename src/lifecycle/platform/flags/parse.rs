//! The flag grammar that platforms write: Go's `flag` package (FACTS 1.5).

use super::usage::{help, listing};
use super::{FLAGS, Flag, Kind, Settings};
use crate::platform::{Program, number};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What a command line says.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The settings, flags included.
    pub settings: Settings,
    /// What follows the flags.
    pub operands: Vec<String>,
}

/// Why a command line ends the program before it does anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `-h` or `-help`: the text for standard error, exit code 0.
    Help(String),
    /// A flag is wrong: the text for standard error, exit code 2.
    Misuse(String),
}

/// Reads the flags at the start of `args` into `settings`. Flags stop at the first other argument and after `--`; of
/// repeated flags the last one counts.
///
/// # Errors
/// [`Stop`], with the contract's texts.
pub fn parse(program: Program, mut settings: Settings, args: &[OsString]) -> Result<Parsed, Stop> {
    let initial = settings.clone();
    let misuse =
        |message: String| Stop::Misuse(format!("{message}\n{}", listing(program, &initial)));
    let mut args = args.iter();
    let mut operands = Vec::new();
    while let Some(arg) = args.next() {
        let Some(dashed) = flag_text(arg) else {
            operands.push(text(arg));
            break;
        };
        if dashed.is_empty() {
            break;
        }
        let (name, mut value) = split_value(dashed);
        if name.is_empty() || name.starts_with('-') {
            return Err(misuse(format!("bad flag syntax: {}", text(arg))));
        }
        let Some(flag) = find(program, &settings, &name) else {
            return Err(match name.as_str() {
                "h" | "help" => Stop::Help(help(program, &initial)),
                _ => misuse(format!("flag provided but not defined: -{name}")),
            });
        };
        if value.is_none() {
            value = match flag.kind {
                Kind::Switch(_) => Some("true".into()),
                _ => args.next().cloned(),
            };
        }
        let Some(value) = value else {
            return Err(misuse(format!("flag needs an argument: -{name}")));
        };
        flag.assign(&mut settings, &value)
            .map_err(|invalid| misuse(refusal(flag, &value, invalid)))?;
    }
    operands.extend(args.map(|arg| text(arg)));
    Ok(Parsed { settings, operands })
}

fn text(arg: &OsStr) -> String {
    arg.to_string_lossy().into_owned()
}

/// What follows the one or two dashes of a flag, `--` alone being empty; nothing when `arg` is no flag.
fn flag_text(arg: &OsStr) -> Option<&[u8]> {
    let rest = arg
        .as_bytes()
        .strip_prefix(b"-")
        .filter(|rest| !rest.is_empty())?;
    Some(rest.strip_prefix(b"-").unwrap_or(rest))
}

fn split_value(dashed: &[u8]) -> (String, Option<OsString>) {
    let mut parts = dashed.splitn(2, |byte| *byte == b'=');
    let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    (
        name,
        parts.next().map(|value| OsString::from_vec(value.to_vec())),
    )
}

fn find(program: Program, settings: &Settings, name: &str) -> Option<&'static Flag> {
    FLAGS
        .iter()
        .find(|flag| flag.name == name && flag.exists(program, settings.inputs.platform_api))
}

fn refusal(flag: &Flag, value: &OsStr, invalid: number::Invalid) -> String {
    let (name, value, reason) = (flag.name, value.to_string_lossy(), invalid.reason());
    match flag.kind {
        Kind::Switch(_) => format!("invalid boolean value {value:?} for -{name}: {reason}"),
        _ => format!("invalid value {value:?} for flag -{name}: {reason}"),
    }
}
