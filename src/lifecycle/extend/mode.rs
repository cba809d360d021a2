//! `--chmod`: a number, or what is to change (chmod(1)).

use lifecycle_core::error::{Error, Result};

/// What becomes of a file's permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Number(u32),
    Changes(Vec<Change>),
}

/// `u+x`, `go=rX`, `a-w`, `g=u`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The classes: three bits each for user, group and others.
    who: u32,
    operator: char,
    what: String,
}

impl Mode {
    /// Reads `755` or `u=rwX,go=rX`.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let malformed = || {
            Error::other(format!(
                "--chmod={text}: neither octal nor like u=rwX,go=rX"
            ))
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let number = u32::from_str_radix(text, 8).ok();
            let number = number.filter(|number| *number <= 0o7777);
            return Ok(Self::Number(number.ok_or_else(malformed)?));
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let start = clause.find(['+', '-', '=']).ok_or_else(malformed)?;
            let (classes, mut rest) = clause.split_at(start);
            let who = classes
                .chars()
                .try_fold(0, |who, class| Some(who | of_class(class)?));
            let who = who.ok_or_else(malformed)?;
            // `u=r+x` are two changes of the same classes.
            while let Some(operator) = rest.chars().next() {
                let (_, after) = rest.split_at(1);
                let end = after.find(['+', '-', '=']).unwrap_or(after.len());
                let (what, next) = after.split_at(end);
                if !what.chars().all(|c| "rwxXstugo".contains(c)) {
                    return Err(malformed());
                }
                changes.push(Change {
                    who: if who == 0 { 0o777 } else { who },
                    operator,
                    what: what.to_owned(),
                });
                rest = next;
            }
        }
        Ok(Self::Changes(changes))
    }

    /// The permissions after it.
    pub(super) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Number(number) => *number,
            Self::Changes(changes) => changes
                .iter()
                .fold(mode, |mode, change| change.apply(mode, is_directory)),
        }
    }
}

impl Change {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let bits = self
            .what
            .chars()
            .fold(0, |bits, what| bits | self.bits(what, mode, is_directory));
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => (mode & !self.who) | bits,
        }
    }

    fn bits(&self, what: char, mode: u32, is_directory: bool) -> u32 {
        let everybody = match what {
            'r' => 0o444,
            'w' => 0o222,
            'x' => 0o111,
            'X' if is_directory || mode & 0o111 != 0 => 0o111,
            'u' => ((mode >> 6) & 0o7) * 0o111,
            'g' => ((mode >> 3) & 0o7) * 0o111,
            'o' => (mode & 0o7) * 0o111,
            's' => return ((self.who & 0o100) * 0o40) | ((self.who & 0o10) * 0o200),
            't' => return 0o1000,
            _ => 0,
        };
        everybody & self.who
    }
}

fn of_class(class: char) -> Option<u32> {
    Some(match class {
        'u' => 0o700,
        'g' => 0o070,
        'o' => 0o007,
        'a' => 0o777,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, mode: u32, is_directory: bool, expected: u32) {
        let found = Mode::parse(text).unwrap().apply(mode, is_directory);
        assert_eq!(
            format!("{found:o}"),
            format!("{expected:o}"),
            "{text} {mode:o}"
        );
    }

    #[test]
    fn changes_are_those_of_chmod() {
        check("755", 0o600, false, 0o755);
        check("4755", 0o600, false, 0o4755);
        check("u+x", 0o644, false, 0o744);
        check("+x", 0o644, false, 0o755);
        check("a-w,u+w", 0o666, false, 0o644);
        check("go=", 0o777, false, 0o700);
        check("u=rwX,go=rX", 0o600, false, 0o644);
        check("u=rwX,go=rX", 0o700, false, 0o755);
        check("u=rwX,go=rX", 0o600, true, 0o755);
        check("g=u", 0o640, false, 0o660);
        check("u=r+x", 0o200, false, 0o500);
        check("u+s,g+s", 0o755, false, 0o6755);
        check("+t", 0o777, true, 0o1777);
    }

    #[test]
    fn what_is_neither_is_an_error() {
        for text in ["", "x", "888", "77777", "u+y", "z+x", "u"] {
            assert!(Mode::parse(text).is_err(), "{text}");
        }
    }
}
