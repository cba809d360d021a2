//! Booleans and ids as platforms write them: the grammar of Go's `strconv` (FACTS 1.5, 1.6).

/// Why a text is no value of its kind. The texts are contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// Not of the grammar.
    Syntax,
    /// Too large or too small.
    Range,
}

impl Invalid {
    /// The reason in the words of a flag error.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Syntax => "parse error",
            Self::Range => "value out of range",
        }
    }
}

/// Reads a boolean.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Reads a user or group id in any base: `0x`, `0o` or `0`, and `0b` are prefixes, `_` may separate digits.
///
/// # Errors
/// [`Invalid::Range`] also for negative numbers and for the number that system calls take for "no change".
pub(super) fn parse_id(text: &str) -> Result<u32, Invalid> {
    let (negative, unsigned) = split_sign(text);
    let lower = unsigned.to_ascii_lowercase();
    let (base, digits, prefixed) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..], true),
        [b'0', b'o', ..] => (8, &lower[2..], true),
        [b'0', b'b', ..] => (2, &lower[2..], true),
        [b'0', _, ..] => (8, &lower[1..], true),
        _ => (10, lower.as_str(), false),
    };
    // An underscore must have a digit, or the prefix, before it and a digit behind it.
    let lone = |digits: &str| {
        digits.ends_with('_') || digits.contains("__") || (!prefixed && digits.starts_with('_'))
    };
    let plain = digits.replace('_', "");
    if lone(digits) || plain.is_empty() || !plain.chars().all(|c| c.is_digit(base)) {
        return Err(Invalid::Syntax);
    }
    let id = u32::from_str_radix(&plain, base).map_err(|_| Invalid::Range)?;
    checked_id(negative, id).ok_or(Invalid::Range)
}

/// Reads a decimal user or group id, as environment variables have it.
pub(super) fn parse_decimal_id(text: &str) -> Option<u32> {
    let (negative, digits) = split_sign(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .and_then(|id| checked_id(negative, id))
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn checked_id(negative: bool, id: u32) -> Option<u32> {
    (id != u32::MAX && !(negative && id != 0)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a, T: PartialEq + std::fmt::Debug>(
        read: impl Fn(&'a str) -> T,
        expected: &T,
        texts: &[&'a str],
    ) {
        for text in texts {
            assert_eq!(read(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn booleans() {
        rows(
            parse_bool,
            &Some(true),
            &["1", "t", "T", "TRUE", "true", "True"],
        );
        rows(
            parse_bool,
            &Some(false),
            &["0", "f", "F", "FALSE", "false", "False"],
        );
        rows(parse_bool, &None, &["", "yes", "tRUE", " true", "2", "01"]);
    }

    #[test]
    fn ids_in_any_base() {
        rows(
            parse_id,
            &Ok(1_000),
            &[
                "1000",
                "1_000",
                "+1000",
                "0x3e8",
                "0X_3E8",
                "0b1111101000",
                "0o1750",
                "01750",
                "0_1750",
            ],
        );
        rows(parse_id, &Ok(0), &["0", "-0", "00", "0x0"]);
        let syntax = [
            "", "abc", "0x", "08", "1__0", "1_", "_1", "0x1_", "-", "+", "1.5", " 1", "--1", "0b2",
        ];
        rows(parse_id, &Err(Invalid::Syntax), &syntax);
        rows(
            parse_id,
            &Err(Invalid::Range),
            &["-1", "4294967295", "4294967296", "99999999999999999999"],
        );
    }

    #[test]
    fn ids_in_decimal() {
        rows(parse_decimal_id, &Some(10), &["10", "+10", "010"]);
        rows(
            parse_decimal_id,
            &None,
            &["", "abc", "0x10", "1_0", "-1", "4294967295", "+"],
        );
    }
}
