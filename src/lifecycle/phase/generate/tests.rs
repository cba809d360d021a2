use super::*;
use crate::log::Level;
use lifecycle_core::data::plan::{PlanEntry, Provider, Require};
use lifecycle_core::data::run::RunImageMirrors;
use lifecycle_core::data::target::Target;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A directory with extensions `e1`, `e2`, ...; each script is the `bin/generate` of one, with `$1` as output directory.
struct World {
    dir: tempfile::TempDir,
    extensions: Vec<GroupElement>,
}

impl World {
    fn new(scripts: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["app", "tmp", "platform"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let world = Self {
            dir,
            extensions: (1..=scripts.len())
                .map(|index| element(&format!("e{index}")))
                .collect(),
        };
        for (index, script) in scripts.iter().enumerate() {
            let root = format!("extensions/e{}/1", index + 1);
            world.write(
                &format!("{root}/extension.toml"),
                &format!(
                    "api = '0.10'\n[extension]\nid = 'e{}'\nversion = '1'\n",
                    index + 1
                ),
            );
            if !script.is_empty() {
                world.write(
                    &format!("{root}/bin/generate"),
                    &format!("#!/bin/sh\n{script}\n"),
                );
            }
        }
        world
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn generate(&self, layout: Layout, plan: Plan) -> Result<(Analyzed, Plan)> {
        let root = self.dir.path();
        let store = Store::new(root.join("buildpacks"), root.join("extensions"));
        let analyzed = Analyzed {
            run_image: Some(AnalyzedRunImage {
                reference: "old@sha256:1".into(),
                image: "old".into(),
                extend: false,
                target: Some(Target::default()),
            }),
            ..Analyzed::default()
        };
        let run_images = RunImages {
            images: vec![RunImageMirrors {
                image: "old".into(),
                mirrors: Vec::new(),
            }],
        };
        let job = Job {
            extensions: &self.extensions,
            plan,
            analyzed,
            run_images: &run_images,
            store: &store,
            surroundings: &Surroundings::for_test(root, &[("PATH", "/usr/bin:/bin")]),
            generated_dir: &root.join("generated"),
            layout,
            compares_names: true,
        };
        let result = generate(job, &Log::to(std::io::sink(), Level::Debug, false));
        assert_eq!(
            fs::read_dir(root.join("tmp")).unwrap().count(),
            0,
            "temporary files are left"
        );
        result
    }

    /// The files below `<generated>`, sorted.
    fn files(&self) -> String {
        let root = self.dir.path().join("generated");
        let (mut found, mut directories) = (Vec::new(), vec![root.clone()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => found.push(path.strip_prefix(&root).unwrap().display().to_string()),
                }
            }
        }
        found.sort();
        found.join(" ")
    }
}

fn element(id: &str) -> GroupElement {
    GroupElement {
        kind: ModuleKind::Extension,
        id: id.into(),
        version: "1".into(),
        api: "0.10".into(),
        homepage: None,
        optional: true,
    }
}

/// What analyzed.toml says about the run image, or the error.
fn summary(result: Result<(Analyzed, Plan)>) -> String {
    match result.map(|(analyzed, _)| analyzed.run_image.unwrap()) {
        Ok(image) => {
            let target = if image.target.is_some() {
                ", target"
            } else {
                ""
            };
            format!("{} {}{target}", image.reference, image.extend)
        }
        Err(error) => error.to_string(),
    }
}

fn check(scripts: &[&str], expected: &str, by_kind: &str, by_extension: &str) {
    for (layout, files) in [
        (Layout::ByKind, by_kind),
        (Layout::ByExtension, by_extension),
    ] {
        let world = World::new(scripts);
        assert_eq!(
            summary(world.generate(layout, Plan::default())),
            expected,
            "{scripts:?}"
        );
        assert_eq!(world.files(), files, "{scripts:?} {layout:?}");
    }
}

const SAME: &str = "printf 'ARG base_image\\nFROM ${base_image}\\n' > $1/run.Dockerfile";
const SAME_EXTENDED: &str = "printf 'FROM ${base_image}\\nRUN x\\n' > $1/run.Dockerfile";
const NEW: &str = "printf 'FROM new\\n' > $1/run.Dockerfile";
const NEW_EXTENDED: &str = "printf 'FROM new\\nRUN x\\n' > $1/run.Dockerfile";
const BUILD: &str = "printf 'ARG base_image\\nFROM ${base_image}\\nRUN x' > $1/build.Dockerfile; touch $1/extend-config.toml";

#[test]
fn the_last_switch_of_the_run_image_counts() {
    let one = "e1/run.Dockerfile";
    check(&["true"], "old@sha256:1 false, target", "", "");
    check(
        &[SAME],
        "old@sha256:1 false, target",
        "run/e1/Dockerfile",
        one,
    );
    check(
        &[SAME_EXTENDED],
        "old@sha256:1 true, target",
        "run/e1/Dockerfile",
        one,
    );
    check(&[NEW], "new false", "run/e1/Dockerfile", one);
    check(&[NEW_EXTENDED], "new true", "run/e1/Dockerfile", one);
    check(
        &[SAME_EXTENDED, NEW],
        "new false",
        "run/e1/Dockerfile.ignore run/e2/Dockerfile",
        "e1/run.Dockerfile.ignore e2/run.Dockerfile",
    );
    check(
        &[NEW, SAME_EXTENDED],
        "new true",
        "run/e1/Dockerfile run/e2/Dockerfile",
        "e1/run.Dockerfile e2/run.Dockerfile",
    );
    let old = "echo FROM old > $1/run.Dockerfile";
    check(
        &[old],
        "old@sha256:1 false, target",
        "run/e1/Dockerfile",
        one,
    );
    check(
        &[BUILD],
        "old@sha256:1 false, target",
        "build/e1/Dockerfile build/e1/extend-config.toml",
        "e1/build.Dockerfile e1/extend-config.toml",
    );
}

fn check_refused(script: &str, expected: &str) {
    let world = World::new(&[script]);
    let found = summary(world.generate(Layout::ByExtension, Plan::default()));
    let found = found.replace(world.dir.path().to_str().unwrap(), "DIR");
    assert!(found.starts_with(expected), "{script}: {found}");
}

#[test]
fn what_is_not_permitted_is_refused() {
    check_refused("exit 7", "exit status 7");
    check_refused(
        "echo FROM > $1/run.Dockerfile",
        "failed to parse run.Dockerfile for extension e1: ",
    );
    check_refused(
        "echo FROM a > $1/build.Dockerfile",
        "failed to parse build.Dockerfile for extension e1: build.Dockerfile did not start with required ARG command",
    );
    check_refused(
        "mkfifo $1/run.Dockerfile",
        "failed to parse run.Dockerfile for extension e1: open DIR/generated/e1/run.Dockerfile: not a regular file",
    );
    check_refused(
        "ln -s /dev/zero $1/build.Dockerfile",
        "failed to parse build.Dockerfile for extension e1: open ",
    );
    check_refused(
        "truncate -s 1G $1/run.Dockerfile",
        "failed to parse run.Dockerfile for extension e1: read ",
    );
    check_refused(
        "mkdir $1/extend-config.toml",
        "read DIR/generated/e1/extend-config.toml: is a directory",
    );
    check_refused(
        "printf '[[run.args]]\\nname = \"build_id\"' > $1/extend-config.toml",
        "validating extend config: invalid content",
    );
    check_refused(
        "mkdir $1/context $1/context.run",
        "image-specific context dir is provided together with a shared context",
    );
    check_refused(
        "rmdir $1; ln -s /tmp $1",
        "mkdir DIR/generated/e1: not a directory",
    );
}

#[test]
fn prepared_output_is_handed_on() {
    for (layout, files) in [
        (Layout::ByKind, "run/e1/Dockerfile"),
        (
            Layout::ByExtension,
            "e1/context/sub/script e1/link e1/run.Dockerfile",
        ),
    ] {
        let world = World::new(&[""]);
        world.write("extensions/e1/1/generate/run.Dockerfile", "FROM new");
        world.write("extensions/e1/1/generate/context/sub/script", "#!");
        let link = world.dir.path().join("extensions/e1/1/generate/link");
        std::os::unix::fs::symlink("nowhere", link).unwrap();
        for _ in 0..2 {
            assert_eq!(
                summary(world.generate(layout, Plan::default())),
                "new false"
            );
            assert_eq!(world.files(), files);
        }
        if layout == Layout::ByExtension {
            let script = world.dir.path().join("generated/e1/context/sub/script");
            assert_eq!(
                fs::metadata(script).unwrap().permissions().mode() & 0o777,
                0o755
            );
        }
    }
}

#[test]
fn what_extensions_met_leaves_the_plan() {
    let entry = |name: &str, provider: &str| PlanEntry {
        providers: vec![Provider {
            kind: ModuleKind::Extension,
            id: provider.into(),
            version: "1".into(),
        }],
        requires: vec![Require {
            name: name.into(),
            ..Require::default()
        }],
    };
    let plan = Plan {
        entries: vec![entry("a", "e1"), entry("b", "other"), entry("c", "e2")],
    };
    let wants = |name: &str| {
        format!(
            "grep -q '\"{name}\"' $3 && test $CNB_BP_PLAN_PATH = $3 && test $CNB_OUTPUT_DIR = $1"
        )
    };
    let world = World::new(&[&wants("a"), &wants("c")]);
    let (_, plan) = world.generate(Layout::ByExtension, plan).unwrap();
    assert_eq!(plan.entries, [entry("b", "other")]);
}

fn check_known(image: &str, expected: bool) {
    let known = RunImages {
        images: vec![RunImageMirrors {
            image: "ubuntu".into(),
            mirrors: vec!["localhost:5000/u:1".into()],
        }],
    };
    assert_eq!(is_known(image, &known), expected, "{image}");
}

#[test]
fn run_images_are_known_in_every_spelling() {
    let digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000000";
    check_known("index.docker.io/library/ubuntu:latest", true);
    check_known(&format!("ubuntu{digest}"), true);
    check_known("localhost:5000/u:1", true);
    check_known("localhost:5000/u", false);
    check_known("ubuntu:20.04", false);
    check_known("Not a reference", false);
}
