//! The documentation holds together: links lead somewhere, pictures are what their data gives, commands are shell and name targets
//! that exist. What commands do is tested where that is at home (`dockerfile`, `rebase`, `platforms`, `.ci/run`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use spec_tests::builder::repository;
use spec_tests::subject::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            let place = page.parent().unwrap().join(target);
            if !target.is_empty() && !target.contains("://") && !place.exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn pictures_show_their_data() {
    let mut draw = Command::new("python3");
    draw.arg(repository().join("docs/pictures/draw.py"));
    let outcome = Outcome::of(draw.arg("--check")).unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
}

#[test]
fn commands_are_shell_and_name_targets() {
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    let mut found = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```sh\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let outcome = Outcome::of(Command::new("sh").args(["-n", "-c", block])).unwrap();
            assert_eq!(
                outcome.code,
                Some(0),
                "{}: {}\n{block}",
                page.display(),
                outcome.text
            );
            for line in block.lines() {
                found += 1;
                let mut words = line.split_whitespace();
                if words.next() == Some("make") {
                    let target = words.next().unwrap_or_default();
                    let rule = format!("\n{target}: ");
                    assert!(
                        makefile.contains(&rule),
                        "{}: make {target}",
                        page.display()
                    );
                }
            }
        }
    }
    assert!(found > 20, "only {found} lines of commands were found");
}

/// Every page for people.
fn pages() -> Vec<PathBuf> {
    let root = repository();
    let mut pages = vec![root.join("README.md")];
    for directory in ["docs", "builders", "buildpacks", "stacks"] {
        collect(&root.join(directory), &mut pages);
    }
    pages
}

fn collect(directory: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}
