use super::{MAX_DEPTH, MAX_LENGTH, MAX_TOKENS, parse, to_string};
use crate::error::ErrorKind;
use crate::value::{Datetime, Table, Value};
use proptest::prelude::*;

/// `expected`: the document as the emitter writes it, or the error's text after `toml: `.
#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let found = parse(text).map(|table| to_string(&table)).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        error.to_string()
    });
    assert_eq!(
        found,
        expected
            .map(str::to_owned)
            .map_err(|message| format!("toml: {message}")),
        "{text}"
    );
}

#[test]
fn vectors_of_the_reference() {
    let vectors = include_str!("../../../spec-tests/vectors/toml.jsonl");
    let mut count = 0;
    for line in vectors.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        check(
            vector["in"].as_str().unwrap(),
            Ok(vector["out"].as_str().unwrap()),
        );
        count += 1;
    }
    assert_eq!(count, 301);
}

#[test]
fn version_1_1_syntax() {
    check(
        "a = {\n  b = 1, # comment\n  c = 2,\n}",
        Ok("\n[a]\n  b = 1\n  c = 2\n".trim_start()),
    );
    check(r#"a = "\e\x41""#, Ok("a = \"\\u001bA\"\n"));
    check(
        "a = 07:32\nb = 1979-05-27 07:32Z",
        Ok("a = 07:32:00\nb = 1979-05-27T07:32:00Z\n"),
    );
    check("\u{feff}a = 1\r\n", Ok("a = 1\n"));
    check("", Ok(""));
}

#[test]
fn tables_are_defined_once() {
    check(
        "[a.b]\nx = 1\n[a]\ny = 2",
        Ok("[a]\n  y = 2\n  [a.b]\n    x = 1\n"),
    );
    check(
        "[f]\na.c = 1\n[f.a.t]\nx = 1",
        Ok("[f]\n  [f.a]\n    c = 1\n    [f.a.t]\n      x = 1\n"),
    );
    check("[a]\n[a]", Err("line 2, column 3: table is defined twice"));
    check(
        "a = 1\na = 2",
        Err("line 2, column 5: key is defined twice"),
    );
    check(
        "a.b = 1\n[a]",
        Err("line 2, column 3: table is defined twice"),
    );
    check(
        "a = {b = 1}\n[a.c]",
        Err("line 2, column 5: key is already defined and is not a table"),
    );
    check(
        "a = {b = 1}\na.c = 1",
        Err("line 2, column 7: key is already defined and is not a table"),
    );
    check(
        "a = [{}]\n[[a]]",
        Err("line 2, column 4: key is defined twice"),
    );
    check(
        "[a.b]\n[a]\nb.c = 1",
        Err("line 3, column 7: dotted key extends a table that has a header"),
    );
    check(
        "a = {b = 1, b = 2}",
        Err("line 1, column 17: key is defined twice"),
    );
}

#[test]
fn errors_have_a_place() {
    check(
        "x = 1\n  [[",
        Err("line 2, column 5: unquoted keys cannot be empty"),
    );
    check(
        "\"é\" = 9223372036854775808",
        Err("line 1, column 7: integer is out of range"),
    );
    check("a = 1e999", Err("line 1, column 5: float is out of range"));
    check(
        "a = 2020-13-01",
        Err("line 1, column 5: invalid date or time"),
    );
    check(
        "a = 1 # \u{1}",
        Err("line 1, column 9: invalid comment character"),
    );
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| format!("a = {}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(&deep(MAX_DEPTH - 1)).is_ok());
    check(
        &deep(MAX_DEPTH),
        Err("line 1, column 104: nests too deeply"),
    );
    for hostile in ["[", "a = [", "a = {b=", "a.", "[[a."] {
        assert!(parse(&format!("a = {}", hostile.repeat(100_000))).is_err());
        assert!(parse(&hostile.repeat(100_000)).is_err());
    }
    let header = vec!["k"; MAX_DEPTH].join(".");
    assert!(parse(&format!("[{header}]")).is_ok());
    assert!(parse(&format!("[{header}]\na = 1")).is_err());
    check(
        &" ".repeat(MAX_LENGTH + 1),
        Err("document is longer than 8388608 bytes"),
    );
    check(
        &"\n".repeat(MAX_TOKENS + 1),
        Err("document has more than 1048576 tokens"),
    );
}

#[test]
fn null_is_left_out() {
    let inner = Table::new().with("n", Value::Null).with("b", 2);
    let array = Value::Array(vec![Value::Null, Value::Integer(1), inner.clone().into()]);
    let table = Table::new()
        .with("n", Value::Null)
        .with("a", array)
        .with("t", inner);
    assert_eq!(to_string(&table), "a = [1, {b = 2}]\n\n[t]\n  b = 2\n");
}

fn values() -> impl Strategy<Value = Value> {
    let dates = prop::sample::select(vec![
        "1979-05-27T07:32:00.5-07:00",
        "1979-05-27",
        "07:32:00",
        "1979-05-27T07:32:00Z",
    ]);
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("comparable", |value| !value.is_nan())
            .prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
        dates.prop_map(|text| Value::Datetime(text.parse::<Datetime>().unwrap())),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|entries| Value::Table(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_reads_back(entries in prop::collection::btree_map(any::<String>(), values(), 0..5)) {
        let table: Table = entries.into_iter().collect();
        prop_assert_eq!(parse(&to_string(&table)).unwrap(), table);
    }

    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn never_panics_on_near_toml(text in "([a-c.=\\[\\]{}\"'0-9 ,#\\n_+:TZ-]|\\[\\[|\"\"\"|a = |inf|0x|\\\\u){0,40}") {
        if let Ok(table) = parse(&text) {
            prop_assert!(parse(&to_string(&table)).is_ok(), "{}", to_string(&table));
        }
    }

    #[test]
    fn agrees_with_another_parser_on_what_is_defined_twice(
        lines in prop::collection::vec("(\\[[ab](\\.[abc]){0,2}\\]|\\[\\[[ab](\\.[abc]){0,2}\\]\\]|[ab](\\.[abc])? = (1|\\[\\{a = 1\\}\\]|\\{[ab] = 1, [ab](\\.a)? = 2\\}))", 0..7),
    ) {
        let text = lines.join("\n");
        let other = ::toml::de::DeTable::parse(&text);
        let found = parse(&text);
        prop_assert_eq!(found.is_ok(), other.is_ok(), "{}\n{:?}\n{:?}", text, found, other);
    }
}
