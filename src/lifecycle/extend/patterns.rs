//! `.dockerignore` and `--exclude`: patterns of which the last that matches decides.

use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::glob;

/// A list of patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    /// Whether it takes back what earlier ones matched.
    excepts: bool,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// `**`: any number of directories.
    Any,
    Name(glob::Pattern),
}

impl Patterns {
    /// Reads a `.dockerignore`.
    ///
    /// # Errors
    /// A pattern is malformed.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let lines = text.trim_start_matches('\u{feff}').lines();
        let lines = lines.filter(|line| !line.starts_with('#'));
        Self::new(lines)
    }

    /// The patterns given.
    ///
    /// # Errors
    /// A pattern is malformed.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self> {
        let patterns = patterns
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty());
        patterns
            .map(Pattern::parse)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Whether `path`, relative, or a directory that it is in is left out.
    pub(super) fn leave_out(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        self.0.iter().fold(false, |out, pattern| {
            let prefixes = (1..=parts.len()).filter_map(|length| parts.get(..length));
            match prefixes
                .into_iter()
                .any(|parts| matches(&pattern.parts, parts))
            {
                true => !pattern.excepts,
                false => out,
            }
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let (excepts, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        let mut parts = Vec::new();
        for part in pattern.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                "**" => parts.push(Part::Any),
                // Within a name two stars say no more than one.
                name => parts.push(Part::Name(
                    glob::Pattern::parse(name).context(|| format!("pattern '{text}'"))?,
                )),
            }
        }
        match parts.is_empty() && excepts {
            true => Err(Error::other(format!("pattern '{text}' excepts nothing"))),
            false => Ok(Self { excepts, parts }),
        }
    }
}

fn matches(pattern: &[Part], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((Part::Any, rest)), first) => {
            matches(rest, path) || first.is_some_and(|(_, deeper)| matches(pattern, deeper))
        }
        (Some((Part::Name(name), rest)), Some((first, deeper))) => {
            name.matches(first) && matches(rest, deeper)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, path: &str, expected: bool) {
        let patterns = Patterns::parse(text).unwrap();
        assert_eq!(patterns.leave_out(path), expected, "{text:?} {path}");
    }

    #[test]
    fn the_last_match_decides() {
        check("", "a", false);
        check("a", "a", true);
        check("a", "a/b/c", true);
        check("/a/", "a/b", true);
        check("a", "b/a", false);
        check("*/a", "b/a", true);
        check("*/a", "c/b/a", false);
        check("**/a", "a", true);
        check("**/a", "c/b/a", true);
        check("**", "x/y", true);
        check("a/**", "a", true);
        check("a/**/z", "a/z", true);
        check("a/**/z", "a/b/c/z", true);
        check("*.md\n!README.md", "README.md", false);
        check("*.md\n!README.md", "OTHER.md", true);
        check(
            "*.md\n!README*.md\nREADME-secret.md",
            "README-secret.md",
            true,
        );
        check("# a\n  b  \n\n", "b", true);
        check("# a", "# a", false);
        check("tmp?", "tmpa", true);
        check("[a-c]x", "bx", true);
        check("./a/../b", "b", true);
        check("a\n!a/keep", "a/keep", false);
        check("a\n!a/keep", "a/other", true);
    }

    #[test]
    fn malformed_patterns_are_errors() {
        assert!(Patterns::parse("[a").is_err());
        assert!(Patterns::parse("!").is_err());
    }
}
