//! What the compiler doesn't check: imports against docs/ARCHITECTURE.md, file sizes, banned calls and names, and that the
//! documentation names things which exist.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn modules_import_only_downwards() {
    let order = import_order();
    let mut wrong = Vec::new();
    for file in rust_files() {
        let Some((directory, modules)) = order
            .iter()
            .find(|(directory, _)| file.path.starts_with(directory))
        else {
            continue;
        };
        let Some(module) = module_of(&file.path, directory) else {
            continue;
        };
        let Some(rank) = modules.get(&module) else {
            wrong.push(format!(
                "{}: module {module} is missing from the import table",
                file.path.display()
            ));
            continue;
        };
        for (number, line) in file.code() {
            for imported in crate_paths(line) {
                let allowed =
                    imported == module || modules.get(imported).is_some_and(|other| other > rank);
                // Other names behind `crate::` are items of the crate's root.
                if !allowed && is_module(directory, imported) {
                    wrong.push(format!(
                        "{}:{number}: {module} imports {imported}",
                        file.path.display()
                    ));
                }
            }
        }
    }
    check("imports point down only", &wrong);
}

#[test]
fn crates_use_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (directory, name, may_use) in crate_table() {
        let Ok(manifest) = fs::read_to_string(root().join(&directory).join("Cargo.toml")) else {
            wrong.push(format!("{directory} has no Cargo.toml"));
            continue;
        };
        if !manifest.contains(&format!("name = \"{name}\"")) {
            wrong.push(format!(
                "{directory}/Cargo.toml does not name the package {name}"
            ));
        }
        let ours: Vec<String> = crate_table().into_iter().map(|(_, name, _)| name).collect();
        for line in manifest.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_dependency = line.contains("workspace = true") || line.contains("path = ");
            if is_dependency
                && ours.iter().any(|ours| ours == dependency)
                && !may_use.iter().any(|name| name == dependency)
            {
                wrong.push(format!("{directory} depends on {dependency}"));
            }
        }
    }
    check("crates depend on what docs/ARCHITECTURE.md allows", &wrong);
}

#[test]
fn files_stay_short() {
    let wrong = rust_files().into_iter().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > 500).then(|| format!("{}: {lines} lines", file.path.display()))
    });
    check("at most 500 lines per file", &wrong.collect::<Vec<_>>());
}

#[test]
fn modules_are_named_after_what_they_hold() {
    let wrong = rust_files().into_iter().filter(|file| {
        let mut names = file.path.iter().filter_map(|part| part.to_str());
        names.any(|name| {
            matches!(
                name.trim_end_matches(".rs"),
                "util" | "utils" | "helpers" | "common" | "misc"
            )
        })
    });
    check(
        "no module for everything",
        &wrong
            .map(|file| file.path.display().to_string())
            .collect::<Vec<_>>(),
    );
}

#[test]
fn banned_calls() {
    // What is banned, and below which paths it is allowed.
    let rules: [(&[&str], &[&str], &str); 4] = [
        (
            &["Api::V", ".has("],
            &[
                "src/core",
                "src/lifecycle/platform",
                "src/lifecycle/buildpack",
                "src/lifecycle/command",
                "src/launcher",
            ],
            "versions",
        ),
        (&["process::exit"], &["src/launcher"], "process::exit"),
        (
            &["env::var", "env::vars", "env::set_var", "env::args"],
            &["src/lifecycle/platform", "src/launcher"],
            "the environment",
        ),
        (
            &["println!", "eprintln!", "dbg!"],
            &["src/launcher", "src/lifecycle/log.rs"],
            "printing past the log",
        ),
    ];
    let mut wrong = Vec::new();
    for file in rust_files()
        .iter()
        .filter(|file| file.path.starts_with("src"))
    {
        for (calls, allowed, what) in rules {
            if allowed.iter().any(|path| file.path.starts_with(path)) {
                continue;
            }
            for (number, line) in file.code() {
                if calls.iter().any(|call| line.contains(call)) {
                    wrong.push(format!(
                        "{}:{number}: {what}: {}",
                        file.path.display(),
                        line.trim()
                    ));
                }
            }
        }
    }
    check("banned calls", &wrong);
}

#[test]
fn no_traces_of_one_machine() {
    // Written in pieces, so that this file is not found itself.
    let traces = [
        ["/ro", "ot/."].concat(),
        ["/work/", "shared"].concat(),
        ["/work/", "main"].concat(),
        ["bash_", "jobs"].concat(),
        ["/tmp/", "w/"].concat(),
    ];
    let mut wrong = Vec::new();
    for path in files(&["rs", "toml", "md", "sh", "json", "yml"]) {
        // Vectors and golden rows are recordings.
        if path.starts_with("src/core/vectors") || path.to_string_lossy().contains("testdata") {
            continue;
        }
        let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
        for trace in &traces {
            if text.contains(trace.as_str()) {
                wrong.push(format!("{}: {trace}", path.display()));
            }
        }
    }
    check("paths of one machine", &wrong);
}

#[test]
fn every_difference_is_documented() {
    let rules: toml::Table = read("spec-tests/differences.toml").parse().unwrap();
    let rules = rules
        .get("difference")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let ids: BTreeSet<String> = rules
        .iter()
        .map(|rule| rule["id"].as_str().unwrap().to_owned())
        .collect();
    let page = read("docs/DIFFERENCES.md");
    let mended = page
        .split("## Mended")
        .nth(1)
        .and_then(|rest| rest.split("## ").next())
        .unwrap();
    let documented: BTreeSet<String> = rows(mended)
        .into_iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let missing = ids
        .difference(&documented)
        .map(|id| format!("{id}: no row in docs/DIFFERENCES.md"));
    let stale = documented
        .difference(&ids)
        .map(|id| format!("{id}: no rule in spec-tests/differences.toml"));
    check("differences", &missing.chain(stale).collect::<Vec<_>>());
}

#[test]
fn documented_commands_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let mut wrong = Vec::new();
    for path in files(&["md"]) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for command in text.split('`').skip(1).step_by(2).flat_map(str::lines) {
            let Some(target) = command
                .trim()
                .strip_prefix("make ")
                .and_then(|rest| rest.split_whitespace().next())
            else {
                continue;
            };
            if !targets.contains(target) {
                wrong.push(format!("{}: make {target}", path.display()));
            }
        }
    }
    check("documented commands", &wrong);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in files(&["md"]) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().unwrap_or_default();
            let there = root().join(&path).parent().unwrap().join(file);
            if !file.is_empty() && !file.contains("://") && !there.exists() {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
    }
    check("links", &wrong);
}

#[test]
fn crate_paths_are_found() {
    for (line, expected) in [
        ("use crate::error::{Error, Result};", vec!["error"]),
        (
            "use crate::{api, data::{group, plan}, log::Log};",
            vec!["api", "data", "log"],
        ),
        (
            "    let x = crate::toml::write(&crate::value::Table::new());",
            vec!["toml", "value"],
        ),
        ("use crate::Error;", vec!["Error"]),
        ("pub(crate) fn f()", vec![]),
    ] {
        assert_eq!(crate_paths(line), expected, "{line}");
    }
}

/// A source file, its path relative to the repository.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines of code with their numbers: no comments, and nothing from the tests at the end of the file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self
            .text
            .lines()
            .take_while(|line| !line.trim_start().starts_with("#[cfg(test)]"));
        let is_test_file = self.path.file_name().is_some_and(|name| name == "tests.rs");
        lines
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(move |(_, line)| !is_test_file && !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Every file of the repository with one of the extensions, build output excepted.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !matches!(name.as_str(), "target" | "dist" | ".git" | "node_modules") {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.retain(|path| {
        path.extension()
            .is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
    });
    found.sort();
    found
        .into_iter()
        .map(|path| path.strip_prefix(root()).unwrap().to_owned())
        .collect()
}

fn rust_files() -> Vec<Source> {
    let sources = files(&["rs"])
        .into_iter()
        .filter(|path| !path.starts_with("buildpacks"));
    sources
        .map(|path| Source {
            text: fs::read_to_string(root().join(&path)).unwrap(),
            path,
        })
        .collect()
}

/// The rows of the tables in a piece of Markdown, header rows excepted.
fn rows(markdown: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = markdown.lines().collect();
    let is_rule = |line: &str| line.starts_with("|-");
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_header = lines.get(index + 1).is_some_and(|next| is_rule(next));
        if line.starts_with('|') && !is_rule(line) && !is_header {
            rows.push(
                line.trim_matches('|')
                    .split('|')
                    .map(|cell| cell.trim().to_owned())
                    .collect(),
            );
        }
    }
    rows
}

fn section(title: &str) -> Vec<Vec<String>> {
    let page = read("docs/ARCHITECTURE.md");
    let text = page
        .split(&format!("## {title}\n"))
        .nth(1)
        .unwrap_or_else(|| panic!("docs/ARCHITECTURE.md has no section {title}"));
    rows(text.split("\n## ").next().unwrap())
}

/// Directory, name and permitted crates of every crate.
fn crate_table() -> Vec<(String, String, Vec<String>)> {
    let list = |cell: &str| {
        cell.split(", ")
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    section("Crates")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), list(&row[3])))
        .collect()
}

/// For every crate's directory the rank of each module; a module may import those of a higher rank.
fn import_order() -> Vec<(String, BTreeMap<String, usize>)> {
    let ranks = |cell: &str| {
        let levels = cell.split('→').enumerate();
        levels
            .flat_map(|(rank, level)| {
                level
                    .split(',')
                    .map(move |module| (module.trim().to_owned(), rank))
            })
            .collect()
    };
    section("Imports")
        .into_iter()
        .map(|row| (row[0].clone(), ranks(&row[1])))
        .collect()
}

/// The top-level module that a file belongs to; `None` for the crate's root, binaries and tests.
fn module_of(path: &Path, directory: &str) -> Option<String> {
    let inside = path.strip_prefix(directory).ok()?;
    let first = inside.iter().next()?.to_str()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    let is_root = matches!(module, "lib" | "main" | "bin" | "tests" | "tidy");
    (!is_root).then(|| module.to_owned())
}

fn is_module(directory: &str, name: &str) -> bool {
    let place = root().join(directory).join(name);
    place.is_dir() || place.with_extension("rs").is_file()
}

/// The names right behind each `crate::` of a line; of `crate::{a, b::c}` both.
fn crate_paths(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for rest in line.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.push(rest.split(|c| !is_name(c)).next().unwrap_or_default());
            continue;
        };
        let mut depth = 0;
        let mut expected = true;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => expected = true,
                _ if expected && is_name(c) => {
                    names.push(
                        group[index..]
                            .split(|c| !is_name(c))
                            .next()
                            .unwrap_or_default(),
                    );
                    expected = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn check(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}
