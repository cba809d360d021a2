//! The words of `ARG`, `ENV` and `LABEL`, still with their quotes, as BuildKit's parser splits them.

use lifecycle_core::error::{Error, Result};

/// `a=b c="d e"`, or the old form `a b c`, in which everything behind the name is the value.
///
/// # Errors
/// A pair has no `=` or no name.
pub(super) fn pairs(keyword: &str, text: &str, escape: char) -> Result<Vec<(String, String)>> {
    let words = split(text, escape);
    if words.first().is_some_and(|word| !word.contains('=')) {
        let (name, value) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| Error::other(format!("{keyword} must have two arguments")))?;
        return Ok(vec![(name.to_owned(), value.trim_start().to_owned())]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) => Err(Error::other(format!("{keyword} names can not be blank"))),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(Error::other(format!(
            "can't find = in '{word}': must be of the form name=value"
        ))),
    };
    words.iter().map(pair).collect()
}

/// `a b=c`.
///
/// # Errors
/// One has no name.
pub(super) fn args(text: &str, escape: char) -> Result<Vec<(String, Option<String>)>> {
    let arg = |word: String| match word.split_once('=') {
        Some(("", _)) => Err(Error::other("ARG names can not be blank")),
        Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
        None => Ok((word, None)),
    };
    split(text, escape).into_iter().map(arg).collect()
}

/// The words between white space that is neither quoted nor escaped.
fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        if c == escape && quote != Some('\'') {
            // An escape character at the very end says nothing.
            if let Some(next) = chars.next() {
                word.extend([c, next]);
            }
            continue;
        }
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        word.push(c);
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match pairs("ENV", text, '\\') {
            Ok(pairs) => pairs.iter().map(|(k, v)| format!("[{k}|{v}]")).collect(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn pairs_are_split_as_docker_does() {
        check("a=b", "[a|b]");
        check("a=b  c=\"d e\"\tf='g h'", "[a|b][c|\"d e\"][f|'g h']");
        check("a=b\\ c d=e", "[a|b\\ c][d|e]");
        check("a=\"b\\\" c\" d=", "[a|\"b\\\" c\"][d|]");
        check("a='b\\' c=d", "[a|'b\\'][c|d]");
        check("a=b=c", "[a|b=c]");
        check("a b c", "[a|b c]");
        check("a   b=c \"d\"", "[a|b=c \"d\"]");
        check("a", "ENV must have two arguments");
        check(
            "a=b c",
            "can't find = in 'c': must be of the form name=value",
        );
        check("=b", "ENV names can not be blank");
        check("a=b\\", "[a|b]");
        check("a=\"open", "[a|\"open]");
    }
}
