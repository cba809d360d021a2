//! The emitter with the reference's bytes (FACTS 3.1).

use crate::decimal::Decimal;
use crate::time::datetime_text;
use crate::value::{Table, Value};
use std::fmt::Write as _;

/// The document in the reference's form.
///
/// Entries keep the table's order, except that plain values come before tables and arrays of tables; free maps are to
/// be sorted by the caller ([`Table::sorted`]). [`Value::Null`] has no form in TOML: such entries and elements are left
/// out.
pub fn to_string(table: &Table) -> String {
    let mut writer = Writer {
        text: String::new(),
        path: Vec::new(),
    };
    writer.body(table);
    writer.text
}

struct Writer {
    text: String,
    /// Keys from the root to the table being written, in their written form.
    path: Vec<String>,
}

impl Writer {
    fn body(&mut self, table: &Table) {
        for (key, value) in plain_entries(table) {
            self.indent(self.path.len());
            push_key(&mut self.text, key);
            self.text.push_str(" = ");
            push_inline(&mut self.text, value);
            self.text.push('\n');
        }
        for (key, value) in table.iter() {
            match value {
                Value::Table(table) => self.table(key, table),
                Value::Array(items) if is_table_like(value) => {
                    for table in items.iter().filter_map(Value::as_table) {
                        self.array_element(key, table);
                    }
                }
                _ => {}
            }
        }
    }

    fn table(&mut self, key: &str, table: &Table) {
        self.push(key);
        if self.path.len() == 1 {
            self.blank_line();
        }
        self.header("[", "]");
        self.body(table);
        self.path.pop();
    }

    fn array_element(&mut self, key: &str, table: &Table) {
        self.push(key);
        self.blank_line();
        self.header("[[", "]]");
        self.body(table);
        self.path.pop();
    }

    fn push(&mut self, key: &str) {
        let mut written = String::new();
        push_key(&mut written, key);
        self.path.push(written);
    }

    fn blank_line(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn header(&mut self, open: &str, close: &str) {
        self.indent(self.path.len() - 1);
        self.text.push_str(open);
        self.text.push_str(&self.path.join("."));
        self.text.push_str(close);
        self.text.push('\n');
    }

    fn indent(&mut self, levels: usize) {
        self.text.extend(std::iter::repeat_n("  ", levels));
    }
}

/// Whether the value is written under headers of its own.
fn is_table_like(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => {
            !items.is_empty() && items.iter().all(|item| item.as_table().is_some())
        }
        _ => false,
    }
}

fn plain_entries(table: &Table) -> impl Iterator<Item = (&str, &Value)> {
    table
        .iter()
        .filter(|(_, value)| !is_table_like(value) && **value != Value::Null)
}

fn push_key(text: &mut String, key: &str) {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare {
        text.push_str(key);
    } else {
        push_string(text, key);
    }
}

fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                push_display(text, format_args!("\\u{:04x}", u32::from(character)))
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

fn push_inline(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(value) => push_display(text, format_args!("{value}")),
        Value::Integer(value) => push_display(text, format_args!("{value}")),
        Value::Float(value) => text.push_str(&float(*value)),
        Value::String(value) => push_string(text, value),
        Value::Datetime(value) => text.push_str(&datetime_text(value)),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items
                .iter()
                .filter(|item| **item != Value::Null)
                .enumerate()
            {
                push_separator(text, index);
                push_inline(text, item);
            }
            text.push(']');
        }
        Value::Table(table) => {
            text.push('{');
            let tables = table.iter().filter(|(_, value)| is_table_like(value));
            for (index, (key, value)) in plain_entries(table).chain(tables).enumerate() {
                push_separator(text, index);
                push_key(text, key);
                text.push_str(" = ");
                push_inline(text, value);
            }
            text.push('}');
        }
    }
}

fn push_separator(text: &mut String, index: usize) {
    if index > 0 {
        text.push_str(", ");
    }
}

fn push_display(text: &mut String, value: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(value);
}

fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let decimal = Decimal::of(value);
    if (-4..6).contains(&decimal.exponent()) || value == 0.0 {
        let plain = decimal.plain();
        if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        }
    } else {
        decimal.scientific(2)
    }
}
