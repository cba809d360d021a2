use super::{MAX_DEPTH, Numbers, parse, to_string};
use crate::value::Value;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, numbers: Numbers, expected: Result<&str, &str>) {
    let found = parse(text, numbers)
        .map(|value| to_string(&value))
        .map_err(|error| error.to_string());
    assert_eq!(
        found,
        expected
            .map(str::to_owned)
            .map_err(|message| format!("json: {message}")),
        "{text}"
    );
}

#[test]
fn vectors_of_the_reference() {
    let vectors = include_str!("../../../spec-tests/vectors/json.jsonl");
    let mut count = 0;
    for line in vectors.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let value = parse(vector["in"].as_str().unwrap(), Numbers::Floats).unwrap();
        assert_eq!(to_string(&value.sorted()), vector["out"].as_str().unwrap());
        count += 1;
    }
    assert_eq!(count, 3000);
}

#[test]
fn numbers() {
    use Numbers::{Exact, Floats};
    check(
        "[12345678901234567, 1.50, -0]",
        Floats,
        Ok("[12345678901234568,1.5,-0]"),
    );
    check(
        "[12345678901234567, 1.50, 1e2, -0]",
        Exact,
        Ok("[12345678901234567,1.5,100,-0]"),
    );
    check(
        "[1e21, 1e-7, 123456e-7]",
        Floats,
        Ok("[1e+21,1e-7,0.0123456]"),
    );
    check("1e999", Floats, Err("offset 5: number is out of range"));
    check(
        "01",
        Floats,
        Err("offset 1: unexpected text after the value"),
    );
    check("-", Floats, Err("offset 1: expected a digit"));
    assert_eq!(parse("7", Floats).unwrap(), Value::Float(7.0));
    assert_eq!(parse("7", Exact).unwrap(), Value::Integer(7));
}

#[test]
fn strings_and_structure() {
    let ok = |text, expected| check(text, Numbers::Exact, Ok(expected));
    let fails = |text, message| check(text, Numbers::Exact, Err(message));
    ok(
        r#""\ud83d\ude00 \ud83d \ude00 \/""#,
        "\"😀 \u{fffd} \u{fffd} /\"",
    );
    ok(r#""\ud83d\u0041""#, "\"\u{fffd}A\"");
    ok(
        " { \"b\" : [ ] , \"a\" : { } , \"b\" : null } ",
        r#"{"b":null,"a":{}}"#,
    );
    fails("{\"a\":1,}", "offset 7: expected a string");
    fails("[1 2]", "offset 3: expected a comma or the end of the list");
    fails("\"a\nb\"", "offset 3: control character in a string");
    fails("nul", "offset 0: expected a value");
    fails("", "offset 0: unexpected end");
    fails("\"a", "offset 1: unterminated string");
    fails(&"[".repeat(100_000), "offset 100: nests too deeply");
    assert!(
        parse(
            &format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)),
            Numbers::Exact
        )
        .is_ok()
    );
}

#[test]
fn values_from_toml() {
    let table =
        crate::toml::parse("d = 2020-01-02\nf = 1.0\nn = 12345678\nt = 2020-01-02T03:04:05+01:00")
            .unwrap();
    let json = r#"{"d":"2020-01-02T00:00:00Z","f":1,"n":12345678,"t":"2020-01-02T03:04:05+01:00"}"#;
    assert_eq!(to_string(&table.into()), json);
    assert_eq!(to_string(&Value::Float(f64::NAN)), "null");
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 64, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|entries| Value::Table(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_reads_back(value in values()) {
        let text = to_string(&value);
        prop_assert_eq!(parse(&text, Numbers::Exact).unwrap(), value);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn floats_read_back(value in any::<f64>().prop_filter("finite", |value| value.is_finite())) {
        prop_assert_eq!(parse(&to_string(&Value::Float(value)), Numbers::Floats).unwrap(), Value::Float(value));
    }

    #[test]
    fn agrees_with_another_parser(text in "([\\[\\]{},:0-9.eE+ -]|\"a\"|null|true|\\\\u|\"\\\\){0,12}") {
        let other = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(parse(&text, Numbers::Floats).is_ok(), other);
    }
}
