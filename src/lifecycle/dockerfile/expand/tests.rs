use super::*;

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "x" => "value",
        "path" => "/usr/local/lib/a.tar.gz",
        "empty" => "",
        "two" => "a b",
        "quoted" => "\"q\"",
        "1" | "x1" => "one",
        _ => return None,
    };
    Some(value.to_owned())
}

fn check(text: &str, expected: &str) {
    let found = word(text, '\\', &variable).unwrap_or_else(|error| error.to_string());
    assert_eq!(found, expected, "{text}");
}

#[test]
fn variables_expand_as_docker_does() {
    let rows = [
        ("", ""),
        ("plain", "plain"),
        ("$x", "value"),
        ("${x}", "value"),
        ("a$x-b", "avalue-b"),
        ("a${x}b", "avalueb"),
        ("$xb", ""),
        ("$x1", "one"),
        ("$1", "one"),
        ("$12", ""),
        ("$", "$"),
        ("$ x", "$ x"),
        ("a$", "a$"),
        ("$.", "$."),
        ("$?", ""),
        ("$unset", ""),
        ("${unset}", ""),
        ("$empty", ""),
        ("${unset:-d}", "d"),
        ("${unset-d}", "d"),
        ("${empty:-d}", "d"),
        ("${empty-d}", ""),
        ("${x:-d}", "value"),
        ("${unset:-$x}", "value"),
        ("${unset:-${unset:-${x}}}", "value"),
        ("${unset:-}", ""),
        ("${x:+s}", "s"),
        ("${x+s}", "s"),
        ("${empty:+s}", ""),
        ("${empty+s}", "s"),
        ("${unset:+s}", ""),
        ("${unset+s}", ""),
        ("${x:?no}", "value"),
        ("${x?no}", "value"),
        ("${empty?no}", ""),
        ("'$x'", "$x"),
        ("\"$x\"", "value"),
        ("\"'$x'\"", "'value'"),
        ("'\"$x\"'", "\"$x\""),
        ("a\"b\"'c'd", "abcd"),
        ("\\$x", "$x"),
        ("\\${x}", "${x}"),
        ("\\\\$x", "\\value"),
        ("\"\\$x\"", "$x"),
        ("\"\\\"\"", "\""),
        ("\"\\a\"", "\\a"),
        ("\\a\\ b", "a b"),
        ("'\\'", "\\"),
        ("a\\", "a"),
        ("\"\"", ""),
        ("$quoted", "\"q\""),
        ("${unset:-\"a b\"}", "a b"),
        ("${unset:-'$x'}", "$x"),
        ("é$x", "évalue"),
        ("$xé", ""),
        ("${path#/usr}", "/local/lib/a.tar.gz"),
        ("${path#*/}", "usr/local/lib/a.tar.gz"),
        ("${path##*/}", "a.tar.gz"),
        ("${path%.gz}", "/usr/local/lib/a.tar"),
        ("${path%.*}", "/usr/local/lib/a.tar"),
        ("${path%%.*}", "/usr/local/lib/a"),
        ("${path%/*}", "/usr/local/lib"),
        ("${path%none}", "/usr/local/lib/a.tar.gz"),
        ("${x#?}", "alue"),
        ("${x%?}", "valu"),
        ("${x#\\*}", "value"),
        ("${x#'v'}", "alue"),
        ("${unset#a}", ""),
        ("${x/a/o}", "volue"),
        ("${path//\\//-}", "-usr-local-lib-a.tar.gz"),
        ("${path/l*/}", "/usr/"),
        ("${x//?/.}", "....."),
        ("${x/z/y}", "value"),
    ];
    rows.iter()
        .for_each(|(text, expected)| check(text, expected));
}

#[test]
fn malformed_words_are_errors() {
    let quote = "unexpected end of statement while looking for matching";
    let rows = [
        ("${x", "syntax error: missing '}'"),
        ("${", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:}", "syntax error: bad substitution"),
        ("${{x}", "syntax error: bad substitution"),
        ("${x:", "syntax error: missing '}'"),
        ("${x:-a", "syntax error: missing '}'"),
        ("${x:z}", "unsupported modifier (:z) in substitution"),
        ("${x^}", "unsupported modifier (^) in substitution"),
        ("${x/a}", "syntax error: missing '/'"),
        ("${unset:?}", "unset: is not allowed to be unset"),
        ("${unset?gone}", "unset: gone"),
        ("${empty:?gone}", "empty: gone"),
        ("'a", &format!("{quote} single-quote")),
        ("\"a", &format!("{quote} double-quote")),
    ];
    for (text, why) in rows {
        check(text, &format!("failed to process \"{text}\": {why}"));
    }
}

#[test]
fn another_escape_character() {
    let found = word("`$x \\$x `` \"`$x\"", '`', &variable).unwrap();
    assert_eq!(found, "$x \\value ` $x");
}

#[test]
fn several_words() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(words(text, '\\', &variable).unwrap(), expected, "{text}");
    };
    check("", &[]);
    check(" 80  $x ", &["80", "value"]);
    check("$two c", &["a", "b", "c"]);
    check("$unset", &[]);
}

#[test]
fn documents_keep_their_quotes() {
    let check = |text: &str, expected: &str| {
        assert_eq!(document(text, '\\', &variable).unwrap(), expected, "{text}");
    };
    check("a '$x' \"${x}\"\n", "a 'value' \"value\"\n");
    check("\\$x \\\\ \\n '", "$x \\ \\n '");
}
