//! A build of an app with one layer of noise, and its run image in a registry.

use spec_tests::builder;
use spec_tests::net::proxy::Proxy;
use spec_tests::net::registry::Registry;
use spec_tests::site::{Site, work_directory};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use tempfile::TempDir;

/// A layer of three megabytes that do not compress, for launch and cache. From the second build on it is the one of the
/// first, if that came back.
/// Its metadata has what is in app.txt.
pub(crate) const NOISE: &str = "mkdir -p $1/noise; \
    [ -e $1/noise/file ] || head -c 3000000 /dev/urandom >$1/noise/file; \
    printf '[types]\\nlaunch = true\\ncache = true\\n[metadata]\\napp = \"%s\"\\n' \
        \"$(cat app.txt)\" >$1/noise.toml";

pub(crate) struct Build {
    pub(crate) subject: Subject,
    pub(crate) site: Site,
    pub(crate) work: TempDir,
}

impl Build {
    pub(crate) fn with_run_image_in(registry: SocketAddr) -> Self {
        let build = Self::noisy();
        let run_image = format!("docker://{registry}/run");
        build.copy_run_image(&["--dest-tls-verify=false"], &run_image);
        build
    }

    /// Without a run image.
    pub(crate) fn noisy() -> Self {
        Self::with_script(NOISE)
    }

    /// Without a run image, by a build script of one's own.
    pub(crate) fn with_script(script: &str) -> Self {
        let work = work_directory().unwrap();
        let builder = builder::scripted(work.path(), "exit 0", script).unwrap();
        let site = Site::new(work.path(), builder).unwrap();
        fs::write(site.app.join("app.txt"), "app").unwrap();
        site.make_run_image().unwrap();
        Self {
            subject: Subject::under_test().unwrap(),
            site,
            work,
        }
    }

    pub(crate) fn copy_run_image(&self, options: &[&str], to: &str) {
        let layout = format!("oci:{}", self.site.run_layout().display());
        skopeo(&[&["copy"], options, &[&layout, to]].concat());
    }

    /// The command of a phase with what all of them take.
    pub(crate) fn command(&self, phase: &str) -> Command {
        let owner = fs::metadata(&self.site.layers).unwrap();
        let mut command = self.subject.command(phase);
        command
            .env("CNB_PLATFORM_API", "0.13")
            .env("CNB_NO_COLOR", "true");
        command.arg("-layers").arg(&self.site.layers);
        command.args(["-uid", &owner.uid().to_string()]);
        command.args(["-gid", &owner.gid().to_string()]);
        command
    }

    /// Analyzes `place/app`; `change` adds to the command before its operand.
    pub(crate) fn analyze(&self, place: &str, change: impl FnOnce(&mut Command)) -> Outcome {
        let mut command = self.command("analyzer");
        command.args(["-run-image", &format!("{place}/run")]);
        change(&mut command);
        Outcome::of(command.arg(format!("{place}/app"))).unwrap()
    }

    /// The creator over empty layers; its run image is `place/run`. The operands are for the caller.
    pub(crate) fn creator(&self, place: &str) -> Command {
        self.site.clear_layers().unwrap();
        let mut command = self.command("creator");
        for (flag, path) in [
            ("-app", &self.site.app),
            ("-buildpacks", &self.site.builder.buildpacks),
            ("-order", &self.site.builder.order),
            ("-platform", &self.site.platform),
            ("-report", &self.work.path().join("report.toml")),
            ("-launcher", &self.subject.directory().join("launcher")),
        ] {
            command.arg(flag).arg(path);
        }
        command.args(["-run-image", &format!("{place}/run")]);
        command
    }

    /// Creates `registry/app`.
    pub(crate) fn create(&self, registry: SocketAddr) -> Outcome {
        let mut command = self.creator(&registry.to_string());
        Outcome::of(command.arg(format!("{registry}/app"))).unwrap()
    }

    /// The digest of report.toml.
    pub(crate) fn reported(&self) -> String {
        let report = fs::read_to_string(self.work.path().join("report.toml")).unwrap();
        let report: toml::Table = report.parse().unwrap();
        report["image"]["digest"].as_str().unwrap().to_owned()
    }
}

/// An outcome that has to be good.
#[track_caller]
pub(crate) fn succeeded(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
}

pub(crate) fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").args(args).output().expect("skopeo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The digest that the tag of a repository leads to; `None` where there is none.
pub(crate) fn tagged(registry: &Registry, repository: &str) -> Option<String> {
    let name = format!("docker://{}/{repository}", registry.address());
    let output = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .arg(&name)
        .output()
        .expect("skopeo");
    let digest = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| digest.trim().to_owned())
}

/// The digests of blobs that were uploaded through `proxy`, by the request that ended each upload.
pub(crate) fn uploaded(proxy: &Proxy) -> Vec<String> {
    let seen = proxy.seen().into_iter();
    let ends = seen.filter(|head| head.method == "PUT" && head.target.contains("/uploads/"));
    let mut digests: Vec<_> = ends
        .filter_map(|head| Some(head.target.split_once("digest=")?.1.to_owned()))
        .collect();
    digests.sort();
    digests
}
