//! The pattern matcher of slices: Go's `filepath.Match`.

use crate::error::{Error, Result};

/// Whether the whole of `name` matches `pattern`; to match many names against one pattern, keep a [`Pattern`].
///
/// # Errors
/// The pattern is malformed.
pub fn matches(pattern: &str, name: impl AsRef<[u8]>) -> Result<bool> {
    Ok(Pattern::parse(pattern)?.matches(name))
}

/// A pattern: `*` and `?` stand for any text and any character but `/`, `[a-z]` and `[^a-z]` for a character in and
/// not in the ranges, `\` takes the next character literally. There is no `**` and no `{a,b}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    AnyText,
    AnyCharacter,
    Literal(char),
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A class is not closed or has an empty or half range, or the pattern ends in a backslash.
    pub fn parse(pattern: &str) -> Result<Self> {
        let mut rest = pattern.chars();
        let mut tokens = Vec::new();
        while let Some(character) = rest.next() {
            tokens.push(match character {
                '*' => Token::AnyText,
                '?' => Token::AnyCharacter,
                '[' => class(&mut rest).ok_or_else(malformed)?,
                '\\' => Token::Literal(rest.next().ok_or_else(malformed)?),
                literal => Token::Literal(literal),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether the whole of `name` matches. Bytes that are not UTF-8 count as one character U+FFFD each.
    pub fn matches(&self, name: impl AsRef<[u8]>) -> bool {
        let mut name = name.as_ref();
        let mut tokens = self.0.as_slice();
        // Where to go on after a mismatch: behind the last `*`, which then takes one character more.
        let mut retry: Option<(&[Token], &[u8])> = None;
        loop {
            let rest = match tokens.split_first() {
                Some((Token::AnyText, after)) => {
                    retry = Some((after, name));
                    tokens = after;
                    continue;
                }
                Some((token, after)) => token.strip(name).map(|rest| (after, rest)),
                None if name.is_empty() => return true,
                None => None,
            };
            (tokens, name) = match (rest, retry) {
                (Some(next), _) => next,
                (None, Some((after, from))) => match from.split_first() {
                    Some((taken, rest)) if *taken != b'/' => {
                        retry = Some((after, rest));
                        (after, rest)
                    }
                    _ => return false,
                },
                (None, None) => return false,
            };
        }
    }
}

fn malformed() -> Error {
    Error::other("syntax error in pattern")
}

/// What follows a `[`; `None` if it is no class.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Token> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.as_str().starts_with(']') {
            rest.next();
            return Some(Token::Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let high = if rest.as_str().starts_with('-') {
            rest.next();
            class_character(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        character => Some(character),
    }
}

impl Token {
    /// What remains of `name` behind this token's one character; `None` if it does not match.
    fn strip<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        if let Self::Literal(literal) = self {
            return name.strip_prefix(literal.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let (character, rest) = first_character(name)?;
        let matches = match self {
            Self::AnyCharacter => character != '/',
            Self::Class { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(low, high)| (low..=high).contains(&&character))
                    != *negated
            }
            Self::AnyText | Self::Literal(_) => false,
        };
        matches.then_some(rest)
    }
}

fn first_character(name: &[u8]) -> Option<(char, &[u8])> {
    let longest = name.get(..4).unwrap_or(name);
    let valid = match std::str::from_utf8(longest) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(longest.get(..error.valid_up_to())?).ok()?,
    };
    match valid.chars().next() {
        Some(character) => Some((character, name.get(character.len_utf8()..)?)),
        None => Some((char::REPLACEMENT_CHARACTER, name.get(1..)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vectors_of_the_reference() {
        let vectors = include_str!("../../spec-tests/vectors/glob.jsonl");
        let mut count = 0;
        for line in vectors.lines() {
            let vector: serde_json::Value = serde_json::from_str(line).unwrap();
            let (pattern, name) = (
                vector["pattern"].as_str().unwrap(),
                vector["name"].as_str().unwrap(),
            );
            match matches(pattern, name) {
                Ok(found) => assert_eq!(Some(found), vector["result"].as_bool(), "{vector}"),
                Err(_) => assert_eq!(vector["result"], "bad pattern", "{vector}"),
            }
            count += 1;
        }
        assert_eq!(count, 27);
    }

    #[test]
    fn further_cases() {
        for (pattern, name, expected) in [
            ("", &b""[..], true),
            ("*", b"", true),
            ("a*b*c", b"a1b2b3c", true),
            ("a*b*c", b"a1b2/3c", false),
            ("*/x", b"a/x", true),
            ("[\\]-a]", b"^", true),
            ("[^a]", b"/", true),
            ("?.txt", b"\xff.txt", true),
            ("*.txt", b"\xff\xfe.txt", true),
            ("??", b"\xc3\xa9\xff", true),
            ("*\u{e9}", b"\xc3\xc3\xa9", true),
        ] {
            assert_eq!(
                matches(pattern, name).unwrap(),
                expected,
                "{pattern} {name:?}"
            );
        }
        assert!(!matches("*a*a*a*a*a*a*a*a*b", "a".repeat(100_000)).unwrap());
    }

    proptest! {
        #[test]
        fn text_matches_itself_escaped(name in any::<String>()) {
            let pattern: String = name.chars().flat_map(|character| ['\\', character]).collect();
            prop_assert!(matches(&pattern, &name).unwrap());
        }

        #[test]
        fn never_panics(pattern in "[a-b*?\\[\\]^\\\\/é-]{0,12}", name in prop::collection::vec(any::<u8>(), 0..8)) {
            let _ = matches(&pattern, name);
        }
    }
}
