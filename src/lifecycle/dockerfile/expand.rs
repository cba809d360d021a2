//! Quotes and variables in a word, as BuildKit handles them in every instruction but `RUN`, `CMD`, `ENTRYPOINT`, `SHELL` and
//! `HEALTHCHECK`.

use lifecycle_core::error::{Error, Result};
use std::iter::Peekable;
use std::str::Chars;

/// The word without quotes and escapes, with the values of its variables; unset ones are empty.
///
/// # Errors
/// A quote or brace is not closed, a modifier is unknown, or `${name:?text}` finds the name unset.
pub fn word(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String> {
    let mut expander = Expander::new(text, escape, lookup, Keeps::Nothing);
    expander.until(None)
}

/// As [`word`], but split at white space that is not quoted (`EXPOSE`).
///
/// # Errors
/// Those of [`word`].
pub fn words(text: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>> {
    let mut expander = Expander::new(text, escape, lookup, Keeps::Nothing);
    let mut words = Vec::new();
    while expander.skip_space() {
        words.push(expander.until(Some(Stop::Space))?);
    }
    // Values may hold several words as well.
    let split = |word: String| {
        word.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    Ok(words.into_iter().flat_map(split).collect())
}

/// As [`word`], but quotes stay (here-documents).
///
/// # Errors
/// Those of [`word`].
pub fn document(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String> {
    Expander::new(text, escape, lookup, Keeps::Quotes).until(None)
}

/// Gives a variable's value.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which characters lose their meaning but stay.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    Nothing,
    Quotes,
    /// Escapes: they mean something in a pattern.
    Escapes,
}

#[derive(Clone, Copy, PartialEq)]
enum Stop {
    At(char),
    Space,
}

struct Expander<'a> {
    chars: Peekable<Chars<'a>>,
    text: &'a str,
    escape: char,
    lookup: Lookup<'a>,
    keeps: Keeps,
}

impl<'a> Expander<'a> {
    fn new(text: &'a str, escape: char, lookup: Lookup<'a>, keeps: Keeps) -> Self {
        Self {
            chars: text.chars().peekable(),
            text,
            escape,
            lookup,
            keeps,
        }
    }

    fn error(&self, what: &str) -> Error {
        Error::other(format!("failed to process \"{}\": {what}", self.text))
    }

    /// Whether anything but white space is left.
    fn skip_space(&mut self) -> bool {
        while self.chars.next_if(|c| c.is_whitespace()).is_some() {}
        self.chars.peek().is_some()
    }

    fn until(&mut self, stop: Option<Stop>) -> Result<String> {
        let mut result = String::new();
        loop {
            let Some(&c) = self.chars.peek() else {
                return match stop {
                    Some(Stop::At(c)) => Err(self.error(&format!("syntax error: missing '{c}'"))),
                    _ => Ok(result),
                };
            };
            if stop == Some(Stop::At(c)) {
                self.chars.next();
                return Ok(result);
            }
            if stop == Some(Stop::Space) && c.is_whitespace() {
                return Ok(result);
            }
            match c {
                '\'' if self.keeps != Keeps::Quotes => self.single_quoted(&mut result)?,
                '"' if self.keeps != Keeps::Quotes => self.double_quoted(&mut result)?,
                '$' => result.push_str(&self.variable()?),
                c if c == self.escape => self.escaped(&mut result),
                c => {
                    self.chars.next();
                    result.push(c);
                }
            }
        }
    }

    fn escaped(&mut self, result: &mut String) {
        self.chars.next();
        let next = self.chars.next();
        let keeps_escape = match self.keeps {
            Keeps::Nothing => false,
            Keeps::Escapes => true,
            Keeps::Quotes => !next.is_some_and(|c| c == '$' || c == self.escape),
        };
        if keeps_escape {
            result.push(self.escape);
        }
        result.extend(next);
    }

    fn single_quoted(&mut self, result: &mut String) -> Result<()> {
        self.chars.next();
        loop {
            match self.chars.next() {
                Some('\'') => return Ok(()),
                Some(c) => {
                    if self.keeps == Keeps::Escapes && is_special(c) {
                        result.push(self.escape);
                    }
                    result.push(c);
                }
                None => {
                    return Err(self.error(
                        "unexpected end of statement while looking for matching single-quote",
                    ));
                }
            }
        }
    }

    fn double_quoted(&mut self, result: &mut String) -> Result<()> {
        self.chars.next();
        loop {
            match self.chars.peek() {
                Some('"') => {
                    self.chars.next();
                    return Ok(());
                }
                Some('$') => result.push_str(&self.variable()?),
                Some(&c) if c == self.escape => {
                    self.chars.next();
                    match self.chars.next() {
                        Some(next) => {
                            let escapable = matches!(next, '"' | '$') || next == self.escape;
                            if !escapable || self.keeps == Keeps::Escapes {
                                result.push(c);
                            }
                            result.push(next);
                        }
                        None => result.push(c),
                    }
                }
                Some(&c) => {
                    self.chars.next();
                    result.push(c);
                }
                None => {
                    return Err(self.error(
                        "unexpected end of statement while looking for matching double-quote",
                    ));
                }
            }
        }
    }

    /// From the dollar sign on.
    fn variable(&mut self) -> Result<String> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(match name.as_str() {
                "" => "$".to_owned(),
                name => (self.lookup)(name).unwrap_or_default(),
            });
        }
        if matches!(self.chars.peek(), Some('{' | '}' | ':')) {
            return Err(self.error("syntax error: bad substitution"));
        }
        let name = self.name();
        let value = (self.lookup)(&name);
        let modifier = self.chars.next();
        match modifier {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => {
                let modifier = self.chars.next();
                let value = value.filter(|value| !value.is_empty());
                match modifier {
                    Some(c @ ('-' | '+' | '?')) => self.conditional(c, &name, value),
                    other => Err(self.unsupported(":", other)),
                }
            }
            Some(c @ ('-' | '+' | '?')) => self.conditional(c, &name, value),
            Some(c @ ('#' | '%')) => {
                let greedy = self.chars.next_if_eq(&c).is_some();
                let pattern = self.operand(Keeps::Escapes, '}')?;
                let pattern = pattern::parse(&pattern, self.escape);
                let value = value.unwrap_or_default();
                Ok(match c {
                    '#' => pattern::without_prefix(&value, &pattern, greedy),
                    _ => pattern::without_suffix(&value, &pattern, greedy),
                })
            }
            Some('/') => {
                let every = self.chars.next_if_eq(&'/').is_some();
                let pattern = self.operand(Keeps::Escapes, '/')?;
                let replacement = self.operand(Keeps::Nothing, '}')?;
                let pattern = pattern::parse(&pattern, self.escape);
                Ok(pattern::replaced(
                    &value.unwrap_or_default(),
                    &pattern,
                    &replacement,
                    every,
                ))
            }
            other => Err(self.unsupported("", other)),
        }
    }

    fn unsupported(&self, before: &str, modifier: Option<char>) -> Error {
        match modifier {
            None => self.error("syntax error: missing '}'"),
            Some(c) => self.error(&format!(
                "unsupported modifier ({before}{c}) in substitution"
            )),
        }
    }

    /// The text up to `end`, expanded.
    fn operand(&mut self, keeps: Keeps, end: char) -> Result<String> {
        let before = std::mem::replace(&mut self.keeps, keeps);
        let operand = self.until(Some(Stop::At(end)));
        self.keeps = before;
        operand
    }

    fn conditional(&mut self, modifier: char, name: &str, value: Option<String>) -> Result<String> {
        let keeps = self.keeps;
        let word = self.operand(keeps, '}')?;
        match (modifier, value) {
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', None) => {
                let why = match word.as_str() {
                    "" => "is not allowed to be unset",
                    word => word,
                };
                Err(self.error(&format!("{name}: {why}")))
            }
            (_, value) => Ok(value.unwrap_or_default()),
        }
    }

    /// A name: letters, digits and underscores, or digits alone, or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.chars.peek() {
            Some(c) if c.is_ascii_digit() => {
                name.extend(std::iter::from_fn(|| {
                    self.chars.next_if(char::is_ascii_digit)
                }));
            }
            Some('@' | '*' | '#' | '?' | '-' | '!') => name.extend(self.chars.next()),
            _ => name.extend(std::iter::from_fn(|| {
                self.chars.next_if(|c| c.is_alphanumeric() || *c == '_')
            })),
        }
        name
    }
}

fn is_special(c: char) -> bool {
    matches!(c, '*' | '?' | '\\')
}

mod pattern;

#[cfg(test)]
mod tests;
