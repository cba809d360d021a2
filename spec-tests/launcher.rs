//! The launcher ships in every app image: what it is made of changes only on purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn dependency_closure_is_the_documented_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .current_dir(&root)
        .args([
            "tree",
            "--locked",
            "--package",
            "launcher",
            "--edges",
            "normal",
        ])
        .args(["--target", &target, "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    // A line is `name version (path)`.
    let found: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();

    let document = std::fs::read_to_string(root.join("docs/PERFORMANCE.md")).unwrap();
    let (_, list) = document
        .split_once("dependency closure")
        .expect("a section on the closure");
    let list = list.split("```").nth(1).expect("a list");
    let documented: BTreeSet<&str> = list.split_whitespace().collect();
    assert_eq!(found, documented);
}
