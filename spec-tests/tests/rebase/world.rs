//! An app image in a registry, on a run image that gets new versions.

use serde_json::Value;
use sha2::{Digest, Sha256};
use spec_tests::builder;
use spec_tests::net::proxy::{Fault, Head, Proxy};
use spec_tests::net::registry::Registry;
use spec_tests::site::{Site, work_directory};
use spec_tests::subject::{Outcome, Subject};
use stacks::Platform;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The app says which version of the run image it runs on.
const BUILD: &str = r#"
mkdir -p "$1/noise"
head -c 200000 /dev/urandom >"$1/noise/file"
printf '[types]\nlaunch = true\n' >"$1/noise.toml"
printf '[[processes]]\ntype = "web"\ncommand = ["/bin/cat", "/etc/os-release"]\ndefault = true\n' >"$1/launch.toml"
"#;

type Rule = Box<dyn Fn(&Head) -> Option<Fault> + Send + Sync>;

/// Two registries, and a proxy before the first, by whose address everything in it is called.
pub(crate) struct World {
    pub(crate) subject: Subject,
    pub(crate) near: Registry,
    pub(crate) far: Registry,
    pub(crate) proxy: Proxy,
    pub(crate) work: TempDir,
    rule: Arc<Mutex<Option<Rule>>>,
}

impl World {
    /// With `app`, built on version 1 of `run`, beside it.
    pub(crate) fn new() -> Self {
        Self::with_run_images(|near, _| vec![format!("{near}/run")])
    }

    /// With the names under which run.toml has the run image, by the addresses of both registries. Version 1 is at the first.
    pub(crate) fn with_run_images(names: impl Fn(&str, &str) -> Vec<String>) -> Self {
        let (near, far) = (Registry::open().unwrap(), Registry::open().unwrap());
        let rule: Arc<Mutex<Option<Rule>>> = Arc::default();
        let of_proxy = Arc::clone(&rule);
        let proxy = Proxy::start(near.address(), move |head| {
            of_proxy
                .lock()
                .unwrap()
                .as_ref()
                .and_then(|rule| rule(head))
        });
        let world = Self {
            subject: Subject::under_test().unwrap(),
            near,
            far,
            proxy: proxy.unwrap(),
            work: work_directory().unwrap(),
            rule,
        };
        let (near, far) = (world.name(""), world.far.address().to_string());
        let names = names(near.trim_end_matches('/'), &far);
        world.publish(&names[0], "1", |definition| definition);
        world.build(&names);
        world
    }

    fn build(&self, run_images: &[String]) {
        let work = self.work.path();
        let builder = builder::scripted(&work.join("cnb"), "exit 0", BUILD).unwrap();
        let site = Site::new(work, builder).unwrap();
        fs::write(site.app.join("app.txt"), "app").unwrap();
        let (image, mirrors) = run_images.split_first().unwrap();
        let text = format!("[[images]]\nimage = {image:?}\nmirrors = {mirrors:?}\n");
        fs::write(&site.builder.run, text).unwrap();
        let owner = fs::metadata(&site.layers).unwrap();
        let mut command = self.subject.command("creator");
        command.env("CNB_PLATFORM_API", "0.15");
        for (flag, value) in [
            ("-app", site.app.display().to_string()),
            ("-buildpacks", site.builder.buildpacks.display().to_string()),
            ("-gid", owner.gid().to_string()),
            ("-launcher", self.launcher().display().to_string()),
            ("-layers", site.layers.display().to_string()),
            ("-order", site.builder.order.display().to_string()),
            ("-platform", site.platform.display().to_string()),
            ("-report", work.join("built.toml").display().to_string()),
            ("-run", site.builder.run.display().to_string()),
            ("-uid", owner.uid().to_string()),
        ] {
            command.args([flag, &value]);
        }
        let outcome = Outcome::of(command.arg(self.name("app"))).unwrap();
        assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    }

    fn launcher(&self) -> PathBuf {
        self.subject.directory().join("launcher")
    }

    /// What an image at `path` of the near registry is called.
    pub(crate) fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.proxy.address())
    }

    /// Makes `version` of the run image, its definition `change`d, and pushes it. All versions share their lower layer.
    pub(crate) fn publish(&self, name: &str, version: &str, change: impl Fn(String) -> String) {
        let definition = builder::repository().join("stacks/tiny/image.toml");
        let definition = fs::read_to_string(definition).unwrap();
        let definition = definition.replace("VERSION_ID=1", &format!("VERSION_ID={version}"));
        let layout = TempDir::new().unwrap();
        let platform = Platform {
            rootfs: Some(&self.rootfs()),
            ..Platform::host()
        };
        stacks::make(&change(definition), vec![platform], layout.path()).unwrap();
        let from = format!("oci:{}", layout.path().display());
        skopeo(&[
            "copy",
            "--dest-tls-verify=false",
            &from,
            &format!("docker://{name}"),
        ]);
    }

    /// A tar of what the launcher and the app's program need to start: the machine's own libraries.
    fn rootfs(&self) -> PathBuf {
        let path = self.work.path().join("rootfs.tar");
        if !path.exists() {
            let mut tar = tar::Builder::new(File::create(&path).unwrap());
            for program in [self.launcher(), "/bin/cat".into()] {
                let output = Command::new("ldd").arg(&program).output().unwrap();
                let text = String::from_utf8(output.stdout).unwrap();
                let words = text.split_whitespace().filter(|word| word.starts_with('/'));
                for library in words.filter(|word| !word.ends_with(':')) {
                    tar.append_path_with_name(library, library.trim_start_matches('/'))
                        .unwrap();
                }
            }
            tar.append_path_with_name("/bin/cat", "bin/cat").unwrap();
            tar.finish().unwrap();
        }
        path
    }

    /// The rebaser with its report in [`World::report`].
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.subject.command("rebaser");
        command.env("CNB_PLATFORM_API", "0.15");
        command.arg("-report").arg(self.report()).args(args);
        command
    }

    pub(crate) fn rebase(&self, args: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(args)).unwrap()
    }

    /// A rebase that has to end well.
    pub(crate) fn rebased(&self, args: &[&str]) -> String {
        let outcome = self.rebase(args);
        assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.text);
        outcome.text
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.work.path().join("report.toml")
    }

    /// Breaks what `rule` says until [`World::mend`].
    pub(crate) fn break_by(&self, rule: impl Fn(&Head) -> Option<Fault> + Send + Sync + 'static) {
        *self.rule.lock().unwrap() = Some(Box::new(rule));
    }

    pub(crate) fn mend(&self) {
        *self.rule.lock().unwrap() = None;
    }

    /// `name:tag` of every tag of the near registry with the digest that it leads to, as they are on its disk.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        let repositories = self.near.blobs().with_file_name("repositories");
        let mut tags = BTreeMap::new();
        for repository in fs::read_dir(repositories).unwrap() {
            let repository = repository.unwrap();
            let directory = repository.path().join("_manifests/tags");
            for tag in fs::read_dir(directory).into_iter().flatten() {
                let tag = tag.unwrap();
                let name = format!(
                    "{}:{}",
                    repository.file_name().display(),
                    tag.file_name().display()
                );
                let link = tag.path().join("current/link");
                tags.insert(name, fs::read_to_string(link).unwrap());
            }
        }
        tags
    }

    /// The manifest of an image.
    pub(crate) fn manifest(&self, name: &str) -> Value {
        let text = skopeo(&[
            "inspect",
            "--raw",
            "--tls-verify=false",
            &format!("docker://{name}"),
        ]);
        serde_json::from_str(&text).unwrap()
    }

    /// The configuration of an image.
    pub(crate) fn config(&self, name: &str) -> Value {
        let name = format!("docker://{name}");
        let text = skopeo(&["inspect", "--config", "--raw", "--tls-verify=false", &name]);
        serde_json::from_str(&text).unwrap()
    }

    /// Pushes the image at `from` as `to` with another configuration.
    pub(crate) fn edit(&self, from: &str, to: &str, change: impl FnOnce(&mut Value)) {
        let work = TempDir::new().unwrap();
        let layout = work.path().join("layout");
        self.fetch(from, &layout);
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap().replace(':', "/");
            layout.join("blobs").join(digest)
        };
        let read =
            |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let write = |descriptor: &mut Value, document: &Value| {
            let bytes = serde_json::to_vec(document).unwrap();
            let digest = Sha256::digest(&bytes);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            descriptor["digest"] = format!("sha256:{digest}").into();
            descriptor["size"] = bytes.len().into();
            fs::write(blob(&descriptor["digest"]), bytes).unwrap();
        };
        let mut index = read(&layout.join("index.json"));
        let mut manifest = read(&blob(&index["manifests"][0]["digest"]));
        let mut config = read(&blob(&manifest["config"]["digest"]));
        change(&mut config);
        write(&mut manifest["config"], &config);
        write(&mut index["manifests"][0], &manifest);
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        let from = format!("oci:{}", layout.display());
        skopeo(&[
            "copy",
            "--dest-tls-verify=false",
            &from,
            &format!("docker://{to}"),
        ]);
    }

    /// Gives the image at `from` another name.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let (from, to) = (format!("docker://{from}"), format!("docker://{to}"));
        let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        skopeo(&["copy", plain[0], plain[1], &from, &to]);
    }

    /// The image as a layout in the directory `to`.
    pub(crate) fn fetch(&self, name: &str, to: &Path) {
        let (from, to) = (format!("docker://{name}"), format!("oci:{}", to.display()));
        skopeo(&["copy", "--src-tls-verify=false", &from, &to]);
    }
}

/// The digests of a manifest's configuration and layers.
pub(crate) fn blobs(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().unwrap().iter();
    let blobs = layers.chain([&manifest["config"]]);
    blobs
        .map(|blob| blob["digest"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").args(args).output().expect("skopeo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
