use super::*;
use crate::log::Level;
use lifecycle_core::error::ErrorKind;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A build environment of shell-script buildpacks `bp0`, `bp1`... of version 1 below `root`.
struct Scene {
    root: tempfile::TempDir,
    group: Group,
}

impl Scene {
    /// `$1` and `$L` are the layers directory; `$R` is the scene's root, in which `out/kept` has to survive.
    fn new(scripts: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for dir in [
            "app",
            "layers",
            "platform/env",
            "build-config/env",
            "out",
            "tmp",
        ] {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        fs::write(root.path().join("out/kept"), "kept").unwrap();
        let mut group = Group::default();
        for (index, script) in scripts.iter().enumerate() {
            let id = format!("bp{index}");
            let dir = root.path().join(format!("buildpacks/{id}/1"));
            fs::create_dir_all(dir.join("bin")).unwrap();
            let formats = "['application/vnd.cyclonedx+json; version=1.4']";
            let toml = format!(
                "api = '0.12'\n[buildpack]\nid = '{id}'\nversion = '1'\nsbom-formats = {formats}\n"
            );
            fs::write(dir.join("buildpack.toml"), toml).unwrap();
            let text = format!(
                "#!/bin/sh\nset -e\nL=$1; R={}\n{script}\n",
                root.path().display()
            );
            fs::write(dir.join("bin/build"), text).unwrap();
            fs::set_permissions(dir.join("bin/build"), fs::Permissions::from_mode(0o755)).unwrap();
            group.buildpacks.push(GroupElement {
                kind: ModuleKind::Buildpack,
                id,
                version: "1".into(),
                api: "0.12".into(),
                homepage: None,
                optional: false,
            });
        }
        Self { root, group }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Builds; the result and all output, the scene's root left out.
    fn build(&self, plan: &str) -> (Result<BuildMetadata, (ErrorKind, String)>, String) {
        let root = self.root.path().to_str().unwrap();
        let env = [("PATH", "/usr/bin:/bin"), ("SECRET", "x")];
        let surroundings = Surroundings::for_test(self.root.path(), &env);
        let buffer = Buffer::default();
        let log = Log::to(buffer.clone(), Level::Info, true);
        let job = Job {
            group: &self.group,
            plan: &Plan::parse(plan).unwrap(),
            target: &Target {
                distro: Some(Default::default()),
                ..Target::default()
            },
            layers_dir: &self.path("layers"),
            sbom: SbomOutput::Files,
        };
        let modules = Store::new(self.path("buildpacks"), self.path("extensions"));
        let result = build(&job, &modules, &surroundings, &log);
        assert_eq!(fs::read_to_string(self.path("out/kept")).unwrap(), "kept");
        assert_eq!(fs::read_dir(self.path("out")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0);
        let result = result.map_err(|error| (error.kind(), error.to_string().replace(root, "")));
        let output = String::from_utf8(buffer.0.lock().unwrap().clone())
            .unwrap()
            .replace(root, "");
        (result, output)
    }
}

/// Expects a build to succeed and to leave exactly `files` (with contents) below `<layers>`; empty contents match any.
fn check(scene: &Scene, plan: &str, output: &str, files: &[(&str, &str)]) -> BuildMetadata {
    let (result, log) = scene.build(plan);
    let metadata = result.unwrap();
    assert_eq!(log, output);
    for (file, content) in files {
        let found = fs::read_to_string(scene.path("layers").join(file)).unwrap();
        assert!(content.is_empty() || found == *content, "{file}: {found}");
    }
    metadata
}

fn check_fails(script: &str, kind: ErrorKind, text: &str) {
    let (result, _) = Scene::new(&[script]).build("");
    let (found, message) = result.unwrap_err();
    assert_eq!((found, message.as_str()), (kind, text), "{script}");
}

#[test]
fn later_buildpacks_see_plan_and_environment_of_earlier_ones() {
    let scene = Scene::new(&[
        "mkdir -p $L/a/bin $L/a/env; printf v > $L/a/env/VAR; printf '[types]\nbuild = true' > $L/a.toml
         printf \"[[unmet]]\nname = 'two'\" > $L/build.toml; grep -c name $3",
        "grep name $3; echo $VAR $FROM_USER ${SECRET-none} ${PATH%%:*}; pwd",
        "cat $3",
    ]);
    fs::write(scene.path("platform/env/FROM_USER"), "user").unwrap();
    let provider = |id: &str| format!("[[entries.providers]]\nid = '{id}'\nversion = '1'\n");
    let entry = |name: &str| {
        let providers: String = ["bp0", "bp1", "bp2"].map(provider).concat();
        format!("[[entries]]\n{providers}[[entries.requires]]\nname = '{name}'\n")
    };
    let plan = entry("one") + &entry("two");
    let output = "2\n  name = \"two\"\nv user none /layers/bp0/a/bin\n/app\n";
    check(
        &scene,
        &plan,
        output,
        &[
            ("bp0/a.toml", ""),
            ("sbom/launch/sbom.legacy.json", "null\n"),
        ],
    );
}

#[test]
fn outputs_are_merged() {
    let scene = Scene::new(&[
        "printf \"[[processes]]\ntype = 'web'\ncommand = ['a']\ndefault = true\n[[labels]]\nkey = 'k'\nvalue = '1'\" > $L/launch.toml",
        "printf \"[[processes]]\ntype = 'web'\ncommand = ['b']\n[[labels]]\nkey = 'k'\nvalue = '2'\" > $L/launch.toml
         echo {} > $L/launch.sbom.cdx.json",
    ]);
    let warning = "\u{1b}[33;1mWarning: \u{1b}[0mWarning: redefining the following default process type with a process \
                   not marked as default: web\n";
    let metadata = check(
        &scene,
        "",
        warning,
        &[("sbom/launch/bp1/sbom.cdx.json", "{}\n")],
    );
    assert_eq!(metadata.default_process_type, "");
    assert_eq!(metadata.processes[0].buildpack_id, "bp1");
    assert_eq!(
        metadata
            .labels
            .iter()
            .map(|label| label.value.as_str())
            .collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(metadata.buildpacks.len(), 2);
}

#[test]
fn failures_say_what_happened() {
    let failed = ErrorKind::BuildpackFailed;
    check_fails("exit 3", failed, "exit status 3");
    check_fails("kill -9 $$", failed, "signal: killed");
    check_fails(
        "printf \"[[unmet]]\n\" > $L/build.toml",
        ErrorKind::Other,
        "unmet.name is required",
    );
    check_fails(
        "mkfifo $L/launch.toml.d; ln -s launch.toml.d $L/launch.toml",
        ErrorKind::Other,
        "failed to process buildpack layer: failed to decode layer metadata file: open /layers/bp0/launch.toml: not a regular file",
    );
    check_fails(
        "head -c 9000000 /dev/zero > $L/x.toml",
        ErrorKind::Corrupt,
        "failed to process buildpack layer: failed to decode layer metadata file: read /layers/bp0/x.toml: larger than the limit of 8388608 bytes",
    );
}

#[test]
fn missing_programs_and_buildpacks_are_told_apart() {
    let scene = Scene::new(&[""]);
    fs::remove_file(scene.path("buildpacks/bp0/1/bin/build")).unwrap();
    let (result, _) = scene.build("");
    let text = "fork/exec /buildpacks/bp0/1/bin/build: no such file or directory";
    assert_eq!(
        result.unwrap_err(),
        (ErrorKind::BuildpackFailed, text.into())
    );
    fs::remove_dir_all(scene.path("buildpacks/bp0")).unwrap();
    let (result, _) = scene.build("");
    let text = "open /buildpacks/bp0/1/buildpack.toml: no such file or directory";
    assert_eq!(result.unwrap_err(), (ErrorKind::NotFound, text.into()));
}

/// What hostile buildpacks put in the way; [`Scene::build`] checks that nothing outside `<layers>` changes.
#[test]
fn nothing_outside_the_layers_is_touched() {
    let other = ErrorKind::Other;
    for (script, text) in [
        (
            "ln -s $R/out $R/layers/sbom",
            "mkdir /layers/sbom: not a directory",
        ),
        (
            "mkdir $R/layers/sbom; ln -s $R/out $R/layers/sbom/launch",
            "mkdir /layers/sbom/launch: not a directory",
        ),
        (
            "rmdir $L; ln -s $R/out $L",
            "mkdir /layers/bp0: not a directory",
        ),
        (
            "echo > $L/...toml",
            "failed to process buildpack layer: /layers/bp0/...toml does not name a layer",
        ),
        (
            "mkfifo $L/launch.sbom.cdx.json",
            "open /layers/bp0/launch.sbom.cdx.json: not a regular file",
        ),
    ] {
        check_fails(script, other, text);
    }
    let scene = Scene::new(&["ln -s $R/out $R/layers/bp1", "echo never"]);
    assert_eq!(
        scene.build("").0.unwrap_err(),
        (other, "mkdir /layers/bp1: not a directory".into())
    );
    for script in [
        "ln -s $R/out $L/x; ln -s $R/out $L/x.ignore; echo > $L/x.toml",
        "mkdir -p $R/layers/sbom/launch; ln -s $R/out/kept $R/layers/sbom/launch/sbom.legacy.json",
        "mkdir -p $R/layers/sbom/launch/bp0; ln -s $R/out/kept $R/layers/sbom/launch/bp0/sbom.cdx.json; echo {} > $L/launch.sbom.cdx.json",
        "rm -rf $L",
    ] {
        let (result, _) = Scene::new(&[script]).build("");
        assert!(result.is_ok(), "{script}: {result:?}");
    }
}

#[test]
fn what_earlier_builds_left_is_removed() {
    let scene = Scene::new(&[""]);
    symlink(scene.path("out"), scene.path("layers/sbom")).unwrap();
    check(&scene, "", "", &[("sbom/build/sbom.legacy.json", "null\n")]);
    fs::write(scene.path("layers/sbom/launch/old"), "").unwrap();
    check(&scene, "", "", &[]);
    assert!(!scene.path("layers/sbom/launch/old").exists());
}

#[test]
fn background_processes_do_not_hold_the_build() {
    let start = Instant::now();
    let (result, output) = Scene::new(&["sleep 60 & echo done"]).build("");
    assert!(result.is_ok());
    assert_eq!(output, "done\n");
    assert!(start.elapsed() < Duration::from_secs(20));
}
