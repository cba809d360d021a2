use super::*;
use crate::buildpack::Store;
use std::fs;
use std::os::unix::fs::PermissionsExt;

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["app", "tmp", "platform"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a module of `kind` whose descriptor starts with `head` and whose `bin/detect` is `script`.
    fn run(&self, kind: ModuleKind, head: &str, script: Option<&str>) -> Detection {
        let (table, file) = match kind {
            ModuleKind::Buildpack => ("buildpack", "buildpack.toml"),
            ModuleKind::Extension => ("extension", "extension.toml"),
        };
        let text = format!("{head}\n[{table}]\nid = \"a/m\"\nversion = \"1\"\n");
        self.write(&format!("modules/a_m/1/{file}"), &text);
        if let Some(script) = script {
            self.write(
                "modules/a_m/1/bin/detect",
                &format!("#!/bin/sh\n{script}\n"),
            );
        }
        let modules = self.dir.path().join("modules");
        let module = Store::new(&modules, &modules)
            .find(kind, "a/m", "1")
            .unwrap();
        let root = self.dir.path();
        let surroundings =
            Surroundings::for_test(root, &[("PATH", "/usr/bin:/bin"), ("SECRET", "x")]);
        let target = Target {
            os: "linux".into(),
            ..Target::default()
        };
        let detection = detect(&module, &surroundings, &target);
        assert_eq!(
            fs::read_dir(root.join("tmp")).unwrap().count(),
            0,
            "temporary files are left"
        );
        detection
    }
}

fn check(kind: ModuleKind, head: &str, script: Option<&str>, expected: &str) {
    let Detection { output, outcome } = World::new().run(kind, head, script);
    let outcome = match outcome {
        Outcome::Passed(plan) => format!("pass {}", plan.options.len()),
        Outcome::Failed => "fail".into(),
        Outcome::Errored { code, reason } => {
            let code = code.map_or("-".into(), |code| code.to_string());
            format!("error {code} {}", reason.unwrap_or_default())
        }
    };
    let output = String::from_utf8(output).unwrap();
    let got = format!("{output}{outcome}");
    assert!(
        got.starts_with(expected),
        "{script:?}: {got:?} instead of {expected:?}"
    );
}

#[test]
fn buildpacks_decide_by_exit_code_and_plan() {
    let check = |script, expected| {
        check(
            ModuleKind::Buildpack,
            "api = '0.10'",
            Some(script),
            expected,
        )
    };
    check("echo out; echo err >&2", "out\nerr\npass 1");
    check("exit 100", "fail");
    check("exit 255", "error 255 ");
    check("kill -9 $$", "error - ");
    check("echo '[[provides]]\nname=\"x\"\n[[or]]' > $2", "pass 2");
    check("echo out; echo '[[x' > $2", "out\nerror - ");
    check("rm $2", "error - open ");
    check("rm $2; mkfifo $2", "error - open ");
    check("rm $2; ln -s /dev/zero $2", "error - open ");
    check(
        "echo '[[requires]]\nversion = \"1\"' > $2",
        "error - buildpack a/m has a \"version\" key which is not supported.",
    );
    check(
        "echo '[[or]]\n[[or.requires]]\nversion = \"1\"' > $2",
        "error - buildpack a/m has a \"version\" key",
    );
    check(
        "test \"$CNB_BUILD_PLAN_PATH\" = $2 && test -z \"$SECRET\" && test -O $2 && basename $PWD",
        "app\npass",
    );
    check("sleep 60 & echo started", "started\npass");
}

#[test]
fn a_module_that_cannot_start_errs() {
    check(
        ModuleKind::Buildpack,
        "api = '0.10'",
        None,
        "error - fork/exec ",
    );
    check(
        ModuleKind::Buildpack,
        "api = '0.3'",
        Some(""),
        "error - failed to set API for Buildpack 'a/m@1'",
    );
}

#[test]
fn extensions_need_no_program_and_require_nothing() {
    let api = "api = '0.10'";
    check(ModuleKind::Extension, api, None, "pass 1");
    check(
        ModuleKind::Extension,
        api,
        Some("echo $CNB_EXTENSION_DIR$CNB_BUILDPACK_DIR | grep -o a_m"),
        "a_m\npass 1",
    );
    let requires = "echo '[[or]]\n[[or.requires]]\nname = \"x\"' > $2";
    check(
        ModuleKind::Extension,
        api,
        Some(requires),
        "error - extension a/m outputs \"requires\" which is not allowed",
    );
    let world = World::new();
    world.write(
        "modules/a_m/1/detect/plan.toml",
        "[[provides]]\nname = \"x\"\n",
    );
    let detection = world.run(ModuleKind::Extension, api, None);
    let Outcome::Passed(plan) = detection.outcome else {
        panic!("{detection:?}")
    };
    assert_eq!(plan.options[0].provides, ["x"]);
}
