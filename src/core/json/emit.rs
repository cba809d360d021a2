//! The emitter with the reference's bytes (FACTS 3.3).

use crate::decimal::Decimal;
use crate::time::datetime_instant_text;
use crate::value::Value;

/// The value in the reference's form, compact, keys in the table's order. Dates and times become RFC 3339 texts;
/// numbers that are not finite, which JSON lacks, become `null`.
pub fn to_string(value: &Value) -> String {
    let mut text = String::new();
    push_value(&mut text, value);
    text
}

fn push_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => text.push_str(&value.to_string()),
        Value::Float(value) => text.push_str(&float(*value)),
        Value::String(value) => push_string(text, value),
        Value::Datetime(value) => push_string(text, &datetime_instant_text(value)),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                push_separator(text, index);
                push_value(text, item);
            }
            text.push(']');
        }
        Value::Table(table) => {
            text.push('{');
            for (index, (key, value)) in table.iter().enumerate() {
                push_separator(text, index);
                push_string(text, key);
                text.push(':');
                push_value(text, value);
            }
            text.push('}');
        }
    }
}

fn push_separator(text: &mut String, index: usize) {
    if index > 0 {
        text.push(',');
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
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

fn float(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    let decimal = Decimal::of(value);
    if (-6..21).contains(&decimal.exponent()) || value == 0.0 {
        decimal.plain()
    } else {
        decimal.scientific(1)
    }
}
