//! From text to tables: drives the tokenizer and gives errors their place in the text.

use super::build::Builder;
use super::{MAX_LENGTH, MAX_TOKENS};
use crate::error::{Error, ErrorKind, Result};
use crate::value::{Datetime, Table, Value};
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

/// Parses a TOML 1.1 document; tables come out sorted by key. [`MAX_LENGTH`], [`MAX_TOKENS`] and
/// [`MAX_DEPTH`] bound it.
///
/// # Errors
/// The text is not TOML, is too long or nests too deeply; the message starts with `toml: ` and has line and column.
/// The kind is [`ErrorKind::Corrupt`].
pub fn parse(text: &str) -> Result<Table> {
    if text.len() > MAX_LENGTH {
        return Err(error(&format!(
            "document is longer than {MAX_LENGTH} bytes"
        )));
    }
    let source = Source::new(text);
    let tokens: Vec<_> = source.lex().take(MAX_TOKENS + 1).collect();
    if tokens.len() > MAX_TOKENS {
        return Err(error(&format!(
            "document has more than {MAX_TOKENS} tokens"
        )));
    }
    let mut receiver = Receiver {
        source,
        builder: Builder::default(),
        failed: false,
    };
    let mut first_error: Option<ParseError> = None;
    parse_document(&tokens, &mut receiver, &mut first_error);
    match first_error {
        None => Ok(receiver.builder.finish()),
        Some(failure) => {
            let (line, column) = position(text, failure.unexpected().or(failure.context()));
            Err(error(&format!(
                "line {line}, column {column}: {}",
                failure.description()
            )))
        }
    }
}

fn error(text: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format_args!("toml: {text}"))
}

/// Line and column of the start of `span`, counted from 1, the column in characters.
fn position(text: &str, span: Option<Span>) -> (usize, usize) {
    let mut start = span.map_or(0, |span| span.start()).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let before = text.get(..start).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Feeds the tokenizer's events to the builder. After the first error of its own it ignores everything.
struct Receiver<'t> {
    source: Source<'t>,
    builder: Builder,
    failed: bool,
}

impl Receiver<'_> {
    fn report(
        &mut self,
        outcome: Result<(), &'static str>,
        span: Span,
        errors: &mut dyn ErrorSink,
    ) -> bool {
        if let Err(message) = outcome {
            self.failed = true;
            errors.report_error(ParseError::new(message).with_unexpected(span));
        }
        !self.failed
    }
}

impl EventReceiver for Receiver<'_> {
    fn std_table_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        if !self.failed {
            let outcome = self.builder.open_table();
            self.report(outcome, span, errors);
        }
    }

    fn array_table_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        if !self.failed {
            let outcome = self.builder.open_array_element();
            self.report(outcome, span, errors);
        }
    }

    fn std_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.builder.begin_header();
    }

    fn array_table_open(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.builder.begin_header();
    }

    fn inline_table_open(&mut self, span: Span, errors: &mut dyn ErrorSink) -> bool {
        !self.failed && {
            let outcome = self.builder.begin_inline_table();
            self.report(outcome, span, errors)
        }
    }

    fn array_open(&mut self, span: Span, errors: &mut dyn ErrorSink) -> bool {
        !self.failed && {
            let outcome = self.builder.begin_array();
            self.report(outcome, span, errors)
        }
    }

    fn inline_table_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        if !self.failed {
            let outcome = self.builder.end_container();
            self.report(outcome, span, errors);
        }
    }

    fn array_close(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        self.inline_table_close(span, errors);
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let Some(raw) = raw(self.source, span, encoding) else {
            return;
        };
        let mut key = String::new();
        raw.decode_key(&mut key, errors);
        if !self.failed {
            let outcome = self.builder.key(key);
            self.report(outcome, span, errors);
        }
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, errors: &mut dyn ErrorSink) {
        let Some(raw) = raw(self.source, span, encoding) else {
            return;
        };
        let mut text = String::new();
        let kind = raw.decode_scalar(&mut text, errors);
        if !self.failed {
            let outcome = scalar(kind, text).and_then(|value| self.builder.value(value));
            self.report(outcome, span, errors);
        }
    }

    fn comment(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        if let Some(raw) = self.source.get(span) {
            raw.decode_comment(errors);
        }
    }

    fn newline(&mut self, span: Span, errors: &mut dyn ErrorSink) {
        if let Some(raw) = self.source.get(span) {
            raw.decode_newline(errors);
        }
    }
}

fn raw(source: Source<'_>, span: Span, encoding: Option<Encoding>) -> Option<Raw<'_>> {
    Some(Raw::new_unchecked(
        source.get(span)?.as_str(),
        encoding,
        span,
    ))
}

fn scalar(kind: ScalarKind, text: String) -> Result<Value, &'static str> {
    match kind {
        ScalarKind::String => Ok(Value::String(text)),
        ScalarKind::Boolean(value) => Ok(Value::Bool(value)),
        ScalarKind::DateTime => text
            .parse::<Datetime>()
            .map(Value::Datetime)
            .map_err(|_| "invalid date or time"),
        ScalarKind::Integer(radix) => i64::from_str_radix(&text, radix.value())
            .map(Value::Integer)
            .map_err(|_| "integer is out of range"),
        ScalarKind::Float => match text.parse::<f64>() {
            Ok(value) if value.is_infinite() && !text.ends_with("inf") => {
                Err("float is out of range")
            }
            Ok(value) => Ok(Value::Float(value)),
            Err(_) => Err("invalid float"),
        },
    }
}
