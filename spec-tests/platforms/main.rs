//! Platforms drive a builder in containers (`make test-release`): the manifests of docs/platforms, every step with the
//! manifest's own image, command, arguments, variables, mounts and user; and `pack`.
//!
//! Builder, run image and lifecycle are what `make builder` left in `target`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod documents;
mod manifest;
mod pack;
mod place;

use manifest::{Step, Values};
use place::{PAGE, Place, USER, expect};
use spec_tests::builder;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `registry.example.com/` of pod.yaml stands for, and the image that is built there.
const POD_APP: &str = "pod/app";

#[test]
fn tekton_creator() {
    check_task("tekton-buildpacks.yaml", &["create"]);
}

#[test]
fn tekton_phases() {
    let phases = ["analyze", "detect", "restore", "build", "export"];
    check_task("tekton-buildpacks-phases.yaml", &phases);
}

/// Runs a task twice, as a pipeline would: workspaces stay, everything else is new. `phases` are its steps that start a program of
/// the lifecycle.
fn check_task(file: &str, phases: &[&str]) {
    let place = Place::new();
    let [document] = manifest::load(&docs().join(file))
        .unwrap()
        .try_into()
        .unwrap();
    let app = format!("tekton/{}", phases.len());
    let values = Values::from([
        ("APP_IMAGE", vec![place.name(&app)]),
        ("BUILDER_IMAGE", vec![place.name("builder")]),
        ("LIFECYCLE_IMAGE", vec![place.name("lifecycle")]),
        ("RUN_IMAGE", vec![place.name("run")]),
        (
            "ENV_VARS",
            vec!["GREETING=good morning".into(), "EMPTY=".into()],
        ),
        // Bound workspaces; their values are not looked at.
        ("source", vec![]),
        ("cache", vec![]),
    ]);
    let steps = manifest::task(&document, &values).unwrap();
    let started = steps.iter().filter(|step| step.script.is_none());
    assert!(started.map(|step| &step.name).eq(phases), "steps of {file}");
    let mut digests = Vec::new();
    for round in 0..2 {
        let pod = place.work.path().join(format!("tekton-{round}"));
        let workspaces = place.work.path().join("workspaces");
        let mut mounts = vec![
            (workspaces.join("source"), "/workspace/source"),
            (workspaces.join("cache"), "/workspace/cache"),
        ];
        for (name, path) in [
            ("home", "/tekton/home"),
            ("results", "/tekton/results"),
            ("scripts", "/tekton/scripts"),
        ] {
            mounts.push((pod.join(name), path));
        }
        for (directory, _) in &mounts {
            empty_dir(directory);
        }
        place.copy_app(&workspaces.join("source"));
        let mut log = String::new();
        for step in &steps {
            if let Some(script) = &step.script {
                let file = pod.join("scripts").join(&step.name);
                fs::write(&file, script).unwrap();
                fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
            }
            log += &run(&place, step, &pod, &mounts);
        }
        let result = |name: &str| fs::read_to_string(pod.join("results").join(name)).unwrap();
        assert_eq!(result("APP_IMAGE_URL"), place.name(&app));
        assert_eq!(result("APP_IMAGE_DIGEST"), place.digest(&app));
        assert_eq!(
            fs::read_to_string(pod.join("empty-dir/env/GREETING")).unwrap(),
            "good morning"
        );
        assert_eq!(
            log.contains("Reusing layer 'samples/static-site:server'"),
            round == 1,
            "{log}"
        );
        digests.push(place.digest(&app));
    }
    assert_eq!(
        digests.first(),
        digests.last(),
        "an unchanged app gave another image"
    );
    assert!(place.page(&app).contains(PAGE));
}

/// What kpack's build pod passes, in containers without any capability.
#[test]
fn pod() {
    let place = Place::new();
    let [document] = manifest::load(&docs().join("pod.yaml"))
        .unwrap()
        .try_into()
        .unwrap();
    let values = Values::from([
        ("registry.example.com/app", vec![place.name(POD_APP)]),
        ("registry.example.com/builder", vec![place.name("builder")]),
        ("registry.example.com/run", vec![place.name("run")]),
    ]);
    let steps = manifest::pod(&document, &values).unwrap();
    assert!(
        steps
            .iter()
            .all(|step| step.unprivileged && step.user == Some(i64::from(USER)))
    );
    for round in 0..2 {
        let pod = place.work.path().join(format!("pod-{round}"));
        let cache = (place.work.path().join("pod-cache"), "/cache");
        for name in ["layers", "workspace", "platform", "home", "report"] {
            empty_dir(&pod.join(name));
        }
        empty_dir(&cache.0);
        place.copy_app(&pod.join("workspace"));
        fs::write(pod.join("layers/project-metadata.toml"), "").unwrap();
        let log: String = steps
            .iter()
            .map(|step| run(&place, step, &pod, std::slice::from_ref(&cache)))
            .collect();
        assert_eq!(
            log.contains("Reusing layer 'samples/static-site:server'"),
            round == 1,
            "{log}"
        );
        let report = fs::read_to_string(pod.join("report/report.toml")).unwrap();
        assert!(report.contains(&place.digest(POD_APP)), "{report}");
        assert_eq!(place.digest(POD_APP), place.digest(&format!("{POD_APP}:2")));
    }
    assert!(place.page(POD_APP).contains(PAGE));
}

/// The commands of docs/platforms/README.md, with what they call `$BUILDER`, `$LIFECYCLE`, `$RUN`, `$APP` and `$build`.
#[test]
fn by_hand() {
    let place = Place::new();
    let page = fs::read_to_string(docs().join("README.md")).unwrap();
    let block = page
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let app = place.work.path().join("app");
    place.copy_app(&app);
    let copy = format!("{}:/from:ro", app.display());
    expect(&mut place.daemon.docker(&[
        "run",
        "--rm",
        "--network=host",
        "--user=0",
        "--volume",
        &copy,
        "--volume=hand-app:/to",
        "--entrypoint=/bin/sh",
        &place.name("builder"),
        "-c",
        "cp -a /from/. /to/ && chown -R 1000:1000 /to",
    ]));
    for round in 0..2 {
        let mut sh = Command::new("sh");
        sh.args(["-eu", "-c", block])
            .env("DOCKER_HOST", place.daemon.host());
        sh.env("CNB_REGISTRY_AUTH", "{}")
            .env("build", "hand")
            .env("APP", place.name("hand/app"));
        for (variable, image) in [
            ("BUILDER", "builder"),
            ("LIFECYCLE", "lifecycle"),
            ("RUN", "run"),
        ] {
            sh.env(variable, place.name(image));
        }
        let log = expect(&mut sh).text;
        assert_eq!(
            log.contains("Reusing layer 'samples/static-site:server'"),
            round == 1,
            "{log}"
        );
    }
    assert!(place.page("hand/app").contains(PAGE));
}

/// kpack reads these from the image that a ClusterLifecycle names, and puts its last layer into builders.
#[test]
fn kpack_lifecycle() {
    let place = Place::new();
    let documents = manifest::load(&docs().join("kpack.yaml")).unwrap();
    let [lifecycle, builder] = documents.try_into().unwrap();
    assert_eq!(lifecycle["kind"].as_str(), Some("ClusterLifecycle"));
    assert_eq!(
        builder["spec"]["lifecycle"]["name"],
        lifecycle["metadata"]["name"]
    );
    assert_eq!(builder["spec"]["lifecycle"]["kind"], lifecycle["kind"]);

    let labels = place.labels("lifecycle");
    let text = |name: &str| {
        labels
            .get(name)
            .and_then(|label| label.as_str())
            .unwrap_or_default()
    };
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(text(name)).unwrap();
    let metadata = json("io.buildpacks.builder.metadata");
    let apis = json("io.buildpacks.lifecycle.apis");
    assert_eq!(
        metadata["lifecycle"]["version"],
        text("io.buildpacks.lifecycle.version")
    );
    for api in ["0.7", "0.8", "0.9"] {
        let supported = apis["platform"]["supported"].as_array().unwrap();
        assert!(supported.iter().any(|supported| supported == api), "{apis}");
    }
    let files = place.last_layer("lifecycle");
    for program in [
        "analyzer", "detector", "restorer", "builder", "exporter", "launcher",
    ] {
        assert!(
            files.contains(&format!("cnb/lifecycle/{program}")),
            "{files:?}"
        );
    }
    assert!(files.contains("cnb/lifecycle.toml"), "{files:?}");
}

/// The builder over Debian (`make builder STACK=debian`) builds in containers of both architectures; the app answers.
#[test]
#[ignore = "needs what `make builder STACK=debian` makes"]
fn debian() {
    let place = Place::new();
    place.push("builders/debian", "debian/builder");
    place.push("stacks/debian/run", "debian/run");
    let app = place.work.path().join("app");
    builder::copy(&builder::repository().join("buildpacks/apps/go"), &app).unwrap();
    let run = format!("[[images]]\nimage = {:?}\n", place.name("debian/run"));
    let run_toml = place.work.path().join("run.toml");
    fs::write(&run_toml, run).unwrap();
    for architecture in ["amd64", "arm64"] {
        let image = format!("debian/{architecture}");
        let build = format!(
            "cp -r /app/. /workspace && exec /cnb/lifecycle/creator -run /run.toml {}",
            place.name(&image)
        );
        let log = expect(&mut place.daemon.docker(&[
            "run",
            "--rm",
            "--network=host",
            &format!("--platform=linux/{architecture}"),
            "--env=CNB_PLATFORM_API=0.15",
            &format!("--volume={}:/app:ro", app.display()),
            &format!("--volume={}:/run.toml:ro", run_toml.display()),
            "--entrypoint=/bin/sh",
            &place.name("debian/builder"),
            "-c",
            &build,
        ]));
        assert!(log.text.contains("samples/go"), "{}", log.text);
        assert_eq!(place.architecture(&image), architecture);
        let page = place.page(&image);
        assert!(page.contains("Hello from Go"), "{architecture}: {page}");
    }
}

/// Runs a step to its end with the pod's own volumes and `mounts` besides, and returns what it printed.
fn run(place: &Place, step: &Step, pod: &Path, mounts: &[(PathBuf, &str)]) -> String {
    let mut docker = place.daemon.docker(&["run", "--rm", "--network=host"]);
    for (name, value) in &step.env {
        docker.args(["--env", &format!("{name}={value}")]);
    }
    let mounts = mounts
        .iter()
        .map(|(from, to)| (from.clone(), PathBuf::from(to)));
    let volumes = step
        .mounts
        .iter()
        .map(|(name, to)| (pod.join(name), to.clone()));
    let mut taken = Vec::new();
    for (from, to) in mounts.chain(volumes) {
        if taken.contains(&to) {
            continue;
        }
        if !from.exists() {
            empty_dir(&from);
        }
        docker.args(["--volume", &format!("{}:{}", from.display(), to.display())]);
        taken.push(to);
    }
    if let Some(user) = step.user {
        let group = step.group.unwrap_or(user);
        docker.args(["--user", &format!("{user}:{group}")]);
    }
    if step.unprivileged {
        docker.args(["--cap-drop=ALL", "--security-opt=no-new-privileges"]);
    }
    let script = step
        .script
        .as_ref()
        .map(|_| format!("/tekton/scripts/{}", step.name));
    let mut command = script.iter().chain(&step.command);
    docker.args(["--entrypoint", command.next().unwrap(), &step.image]);
    expect(docker.args(command)).text
}

/// A volume as a kubelet makes it for a pod with `fsGroup`.
fn empty_dir(path: &Path) {
    fs::create_dir_all(path).unwrap();
    chown(path, None, Some(USER)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o2777)).unwrap();
}

fn docs() -> PathBuf {
    builder::repository().join("docs/platforms")
}
