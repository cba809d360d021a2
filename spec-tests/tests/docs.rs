//! The documentation holds together: links lead somewhere, pictures are what their data gives, and every command is run: those that
//! call make by `.ci/run`, others by the tests of what they belong to.
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

/// Where the commands of a page's blocks are run, by the number of the block.
const RUN: [(&str, usize, &str); 12] = [
    ("README.md", 1, "platforms/documents.rs"),
    ("builders/README.md", 0, "platforms/documents.rs"),
    ("builders/README.md", 1, "platforms/documents.rs"),
    ("docs/buildpack-authors.md", 1, "platforms/documents.rs"),
    ("docs/dockerfile.md", 0, "tests/dockerfile/main.rs"),
    ("docs/dockerfile.md", 1, "tests/dockerfile/main.rs"),
    ("docs/operators.md", 0, "platforms/documents.rs"),
    ("docs/platforms/README.md", 0, "platforms/main.rs"),
    ("docs/rebase.md", 0, "platforms/documents.rs"),
    ("docs/rebase.md", 1, "platforms/documents.rs"),
    ("docs/release.md", 1, "platforms/documents.rs"),
    ("stacks/README.md", 0, "platforms/documents.rs"),
];

#[test]
fn commands_are_run() {
    let root = repository();
    let ci = fs::read_to_string(root.join(".ci/run")).unwrap();
    let mut left: Vec<_> = RUN.iter().map(|(page, block, _)| (*page, *block)).collect();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(&root).unwrap().display().to_string();
        for (number, block) in text.split("```sh\n").skip(1).enumerate() {
            let lines = block.split("```").next().unwrap_or_default().lines();
            let (make, other): (Vec<_>, Vec<_>) = lines
                .filter(|line| !line.is_empty())
                .partition(|line| line.starts_with("make "));
            for line in make {
                let command = line.split('#').next().unwrap_or_default().trim();
                // A builder is made of stacks, see the Makefile.
                let builder = command.replace("make stacks", "make builder");
                assert!(
                    ci.lines().any(|line| line == command || line == builder),
                    "{name}: .ci/run has no {command:?}"
                );
            }
            let place = (name.as_str(), number);
            let known = left.iter().position(|known| *known == place);
            assert_eq!(
                known.is_some(),
                !other.is_empty(),
                "block {number} of {name}: {other:?}"
            );
            if let Some(index) = known {
                left.swap_remove(index);
            }
        }
    }
    assert_eq!(left, [], "there are no such blocks");
    for (page, _, test) in RUN {
        let test = fs::read_to_string(root.join("spec-tests").join(test)).unwrap();
        assert!(test.contains(page), "{page}");
    }
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
