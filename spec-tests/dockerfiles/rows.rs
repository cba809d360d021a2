//! The table: rows.txt.

use std::env;

/// A Dockerfile, and what it is built with.
#[derive(Debug, Default)]
pub(crate) struct Row {
    number: usize,
    pub(crate) name: String,
    /// Whole, with `FROM` and a user that is not root.
    pub(crate) dockerfile: String,
    pub(crate) ignored: String,
    pub(crate) args: Vec<(String, String)>,
    pub(crate) fails: bool,
}

impl Row {
    /// What its image is called.
    pub(crate) fn tag(&self) -> String {
        format!("row-{}", self.number)
    }

    /// The image that its `FROM` names; only the tables' own images have other contents.
    pub(crate) fn base(&self) -> &str {
        let named = self
            .dockerfile
            .lines()
            .find_map(|line| line.strip_prefix("FROM "));
        named
            .filter(|name| !name.contains('$'))
            .unwrap_or("base")
            .trim()
    }
}

/// The rows; those whose name has the text in `ROW` in it, if that is set.
pub(crate) fn chosen() -> Vec<Row> {
    let wanted = env::var("ROW").unwrap_or_default();
    let rows = include_str!("rows.txt").split("=== ").skip(1);
    rows.enumerate()
        .map(|(number, text)| row(number, text))
        .filter(|row| row.name.contains(&wanted))
        .collect()
}

fn row(number: usize, text: &str) -> Row {
    let mut parts = text.split("\n--- ");
    let (name, dockerfile) = parts.next().unwrap().split_once('\n').unwrap();
    let mut row = Row {
        number,
        name: name.to_owned(),
        dockerfile: complete(dockerfile),
        ..Row::default()
    };
    for part in parts {
        let (kind, content) = part.split_once('\n').unwrap_or((part, ""));
        match kind {
            "dockerignore" => row.ignored = content.to_owned(),
            "args" => {
                let pairs = content.lines().map(|line| line.split_once('=').unwrap());
                row.args = pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect();
            }
            "fails" => row.fails = true,
            "crlf" => row.dockerfile = row.dockerfile.replace('\n', "\r\n"),
            "bom" => row.dockerfile = format!("\u{feff}{}", row.dockerfile),
            other => panic!("{name}: {other}"),
        }
    }
    row
}

/// With a `FROM`, and a user at the end: an extended run image has to have one.
fn complete(dockerfile: &str) -> String {
    let has = |keyword: &str| dockerfile.lines().any(|line| line.starts_with(keyword));
    let from = if has("FROM ") { "" } else { "FROM base\n" };
    let user = if has("USER ") { "" } else { "\nUSER 1234:1000" };
    format!("{from}{}{user}\n", dockerfile.trim_end_matches('\n'))
}
