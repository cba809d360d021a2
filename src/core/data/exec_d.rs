//! What an exec.d program prints to file descriptor 3: variables for the launch environment (buildpack.md, exec.d;
//! FACTS 12.4).

use crate::error::{Error, ErrorKind, Result};
use crate::toml;
use crate::value::Value;

/// The longest output, in bytes. Linux passes at most 128 KiB per variable.
pub const MAX_LENGTH: usize = 1024 * 1024;

/// The variables that an output sets, sorted by name.
///
/// # Errors
/// The output is longer than [`MAX_LENGTH`], isn't TOML, sets something but texts, or a name or text has a NUL byte,
/// which no environment can hold. The kind is `Corrupt`.
pub fn parse(output: Vec<u8>) -> Result<Vec<(String, String)>> {
    if output.len() > MAX_LENGTH {
        return Err(corrupt(format!(
            "larger than the limit of {MAX_LENGTH} bytes"
        )));
    }
    let text = String::from_utf8(output).map_err(|_| corrupt("toml: not UTF-8".to_owned()))?;
    let variable = |(name, value): (String, Value)| match value {
        Value::String(value) if !name.contains('\0') && !value.contains('\0') => Ok((name, value)),
        Value::String(_) => Err(corrupt(format!("variable '{name}' contains a NUL byte"))),
        _ => Err(corrupt(format!("toml: value of '{name}' is not a string"))),
    };
    toml::parse(&text)?.into_iter().map(variable).collect()
}

fn corrupt(cause: String) -> Error {
    Error::new(ErrorKind::Corrupt, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &[u8], expected: Result<&[(&str, &str)], &str>) {
        let found = parse(output.to_vec()).map_err(|error| error.to_string());
        let owned = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(found, expected.map(owned).map_err(str::to_owned));
    }

    #[test]
    fn outputs() {
        check(b"", Ok(&[]));
        check(
            b"A = \"1\"\n\"odd key\" = '''x\ny'''\n",
            Ok(&[("A", "1"), ("odd key", "x\ny")]),
        );
        check(b"x = 1", Err("toml: value of 'x' is not a string"));
        check(b"[t]", Err("toml: value of 't' is not a string"));
        check(
            b"[[",
            Err("toml: line 1, column 3: unquoted keys cannot be empty"),
        );
        check(b"a = \"\xff\"", Err("toml: not UTF-8"));
        check(b"a = \"\\u0000\"", Err("variable 'a' contains a NUL byte"));
        check(
            &vec![b'\n'; MAX_LENGTH + 1],
            Err("larger than the limit of 1048576 bytes"),
        );
    }
}
