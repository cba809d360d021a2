//! From JSON text to values.

use super::MAX_DEPTH;
use crate::error::{Error, ErrorKind, Result};
use crate::value::{Table, Value};

/// How JSON numbers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Every number is a float, as the reference reads labels.
    Floats,
    /// Whole numbers that fit stay integers (image configurations, manifests).
    Exact,
}

/// Parses a JSON document. Numbers become floats unless `numbers` is [`Numbers::Exact`]. Of several entries of an
/// object with one name the last counts. [`MAX_DEPTH`] bounds the nesting; the caller bounds the length.
///
/// # Errors
/// The text is not JSON, or nests too deeply; the message starts with `json: ` and has the byte offset. The kind is
/// [`ErrorKind::Corrupt`].
pub fn parse(text: &str, numbers: Numbers) -> Result<Value> {
    let mut parser = Parser {
        text,
        offset: 0,
        numbers,
    };
    parser.document().map_err(|message| {
        Error::new(
            ErrorKind::Corrupt,
            format_args!("json: offset {}: {message}", parser.offset),
        )
    })
}

type Parsed<T> = Result<T, &'static str>;

struct Parser<'t> {
    text: &'t str,
    offset: usize,
    numbers: Numbers,
}

impl Parser<'_> {
    fn document(&mut self) -> Parsed<Value> {
        self.skip_space();
        let value = self.value(0)?;
        self.skip_space();
        match self.peek() {
            None => Ok(value),
            Some(_) => Err("unexpected text after the value"),
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        match self.peek() {
            None => Err("unexpected end"),
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err("nests too deeply"),
            Some(b'{') => self.object(depth + 1).map(Value::Table),
            Some(b'[') => self.array(depth + 1).map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Parsed<Table> {
        let mut entries = Vec::new();
        self.list(b'}', |parser| {
            let key = parser.string()?;
            parser.skip_space();
            parser.expect(b':', "expected a colon")?;
            parser.skip_space();
            entries.push((key, parser.value(depth)?));
            Ok(())
        })?;
        Ok(entries.into_iter().collect())
    }

    fn array(&mut self, depth: usize) -> Parsed<Vec<Value>> {
        let mut items = Vec::new();
        self.list(b']', |parser| {
            items.push(parser.value(depth)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// Comma-separated items up to `close`, from the opening bracket on.
    fn list(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.offset += 1;
        self.skip_space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_space();
            if self.take(close) {
                return Ok(());
            }
            self.expect(b',', "expected a comma or the end of the list")?;
            self.skip_space();
        }
    }

    fn string(&mut self) -> Parsed<String> {
        self.expect(b'"', "expected a string")?;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest
                .find(|c: char| c == '"' || c == '\\' || c < ' ')
                .ok_or("unterminated string")?;
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.offset += plain;
            match self.next() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err("control character in a string"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        Ok(match self.next() {
            Some(quoted @ (b'"' | b'\\' | b'/')) => char::from(quoted),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unicode_escape()?,
            _ => return Err("unknown escape"),
        })
    }

    /// A UTF-16 code unit, or a pair; half a pair reads as U+FFFD, as the reference has it.
    fn unicode_escape(&mut self) -> Parsed<char> {
        let unit = self.hex4()?;
        let after_first = self.offset;
        if (0xd800..0xdc00).contains(&unit) && self.take(b'\\') && self.take(b'u') {
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.offset = after_first;
        Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or("malformed \\u escape")?;
        self.offset += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.offset;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            whole = false;
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let text = self.text.get(start..self.offset).unwrap_or_default();
        // No integer is written as `-0`.
        if whole
            && self.numbers == Numbers::Exact
            && text != "-0"
            && let Ok(value) = text.parse()
        {
            return Ok(Value::Integer(value));
        }
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Float(value)),
            _ => Err("number is out of range"),
        }
    }

    fn digits(&mut self) -> Parsed<()> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.offset += count;
        if count == 0 {
            Err("expected a digit")
        } else {
            Ok(())
        }
    }

    fn word(&mut self) -> Parsed<Value> {
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ] {
            if self.rest().starts_with(word) {
                self.offset += word.len();
                return Ok(value);
            }
        }
        Err("expected a value")
    }

    fn rest(&self) -> &str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.offset += 1;
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.offset += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, message: &'static str) -> Parsed<()> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(message)
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.offset += 1;
        }
    }
}
