//! Phases against a registry, as platforms run them: certificates and proxies from the environment, a registry that
//! fails now and then, one that refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use spec_tests::builder;
use spec_tests::net::certificates::Authority;
use spec_tests::net::proxy::{Fault, Head, Proxy, first};
use spec_tests::net::registry::{Access, Registry, Transport};
use spec_tests::site::{Site, work_directory};
use spec_tests::subject::{Outcome, Subject};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use tempfile::TempDir;

/// A build of an app with one layer of noise, and its run image in a registry.
struct Build {
    subject: Subject,
    site: Site,
    work: TempDir,
}

impl Build {
    fn with_run_image_in(registry: SocketAddr) -> Self {
        let work = work_directory().unwrap();
        let script = "mkdir -p $1/noise; head -c 3000000 /dev/urandom >$1/noise/file; \
            printf '[types]\\nlaunch = true\\n' >$1/noise.toml";
        let builder = builder::scripted(work.path(), "exit 0", script).unwrap();
        let site = Site::new(work.path(), builder).unwrap();
        fs::write(site.app.join("app.txt"), "app").unwrap();
        site.make_run_image().unwrap();
        let run_image = format!("docker://{registry}/run");
        let layout = format!("oci:{}", site.run_layout().display());
        skopeo(&["copy", "--dest-tls-verify=false", &layout, &run_image]);
        Self {
            subject: Subject::under_test().unwrap(),
            site,
            work,
        }
    }

    fn command(&self, phase: &str, registry: &str) -> Command {
        let owner = fs::metadata(&self.site.layers).unwrap();
        let mut command = self.subject.command(phase);
        command.env("CNB_PLATFORM_API", "0.13");
        command.arg("-layers").arg(&self.site.layers);
        command.args([
            "-uid",
            &owner.uid().to_string(),
            "-gid",
            &owner.gid().to_string(),
        ]);
        command.args(["-run-image", &format!("{registry}/run")]);
        command
    }

    fn analyze(&self, registry: &str, change: impl FnOnce(&mut Command)) -> Outcome {
        let mut command = self.command("analyzer", registry);
        change(&mut command);
        Outcome::of(command.arg(format!("{registry}/app"))).unwrap()
    }

    fn create(&self, registry: SocketAddr) -> Outcome {
        self.site.clear_layers().unwrap();
        let mut command = self.command("creator", &registry.to_string());
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
        Outcome::of(command.arg(format!("{registry}/app"))).unwrap()
    }

    /// The digest of report.toml.
    fn reported(&self) -> String {
        let report = fs::read_to_string(self.work.path().join("report.toml")).unwrap();
        let report: toml::Table = report.parse().unwrap();
        report["image"]["digest"].as_str().unwrap().to_owned()
    }
}

fn skopeo(args: &[&str]) -> String {
    let output = Command::new("skopeo").args(args).output().expect("skopeo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The digest that the app's tag leads to.
fn tagged(registry: &Registry) -> String {
    let name = format!("docker://{}/app", registry.address());
    let args = [
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        &name,
    ];
    skopeo(&args).trim().to_owned()
}

#[test]
fn certificates_come_from_the_environment() {
    let authority = Authority::new().unwrap();
    let registry = Registry::start(Access::Open, Transport::Tls(&authority)).unwrap();
    let build = Build::with_run_image_in(registry.address());
    let place = registry.address().to_string();
    let outcome = build.analyze(&place, |command| {
        command.env("SSL_CERT_FILE", authority.certificate());
    });
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let outcome = build.analyze(&place, |_| {});
    assert_eq!(outcome.code, Some(32), "{}", outcome.text);
    assert!(outcome.text.contains("certificate"), "{}", outcome.text);
}

#[test]
fn proxies_come_from_the_environment() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let proxy = Proxy::start(registry.address(), |_| None).unwrap();
    let address = format!("http://{}", proxy.address());
    let outside = "registry.example.invalid:5000";
    for (no_proxy, code) in [
        ("elsewhere.example", Some(0)),
        ("example.invalid", Some(32)),
    ] {
        let outcome = build.analyze(outside, |command| {
            command
                .env("HTTP_PROXY", &address)
                .env("NO_PROXY", no_proxy);
            command.args(["-insecure-registry", outside]);
        });
        assert_eq!(outcome.code, code, "{no_proxy}: {}", outcome.text);
    }
    assert!(proxy.count("GET", &format!("http://{outside}/v2/")) > 0);
    // Nobody asks a proxy for this machine.
    let before = proxy.seen().len();
    let outcome = build.analyze(&registry.address().to_string(), |command| {
        command.env("HTTP_PROXY", &address);
    });
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    assert_eq!(proxy.seen().len(), before);
}

#[test]
fn passing_failures_do_not_show() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let rules = [
        first(1, "GET", "/manifests/", Fault::CutDownload(50)),
        first(1, "PATCH", "/uploads/", Fault::status(502)),
        first(1, "PUT", "/uploads/", Fault::LoseAnswer),
        first(1, "PUT", "/manifests/", Fault::status(503)),
    ];
    let rule = move |head: &Head| rules.iter().find_map(|rule| rule(head));
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let outcome = build.create(proxy.address());
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    assert_eq!(tagged(&registry), build.reported());
}

#[test]
fn a_failed_export_leaves_the_old_tag() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let outcome = build.create(registry.address());
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    let old = tagged(&registry);
    let rule = first(99, "PUT", "/manifests/", Fault::status(400));
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let outcome = build.create(proxy.address());
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    assert!(
        outcome.text.contains("failed to write image"),
        "{}",
        outcome.text
    );
    assert_eq!(tagged(&registry), old);
}
