//! What goes wrong between a build and its registry: failures that pass do not show; others leave the old tag and the old
//! cache.

use crate::build::{Build, succeeded, tagged};
use spec_tests::net::proxy::{Fault, Head, Proxy, Reply, first};
use spec_tests::net::registry::Registry;
use spec_tests::subject::Outcome;
use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An app and its cache image in a registry, which are built again behind a proxy that breaks something.
struct Rebuild {
    registry: Registry,
    build: Build,
}

impl Rebuild {
    fn new() -> Self {
        let registry = Registry::open().unwrap();
        let build = Build::with_run_image_in(registry.address());
        let rebuild = Self { registry, build };
        succeeded(&rebuild.create(rebuild.registry.address()));
        rebuild
    }

    /// Builds an app that nobody has seen before, with a layer that takes more than one request.
    fn create(&self, registry: SocketAddr) -> Outcome {
        let mut noise = Vec::new();
        let random = File::open("/dev/urandom").unwrap();
        random.take(2 << 20).read_to_end(&mut noise).unwrap();
        fs::write(self.build.site.app.join("noise"), noise).unwrap();
        let mut command = self.build.creator(&registry.to_string());
        command.args(["-cache-image", &format!("{registry}/cache")]);
        Outcome::of(command.arg(format!("{registry}/app"))).unwrap()
    }

    fn tags(&self) -> [Option<String>; 2] {
        ["app", "cache"].map(|name| tagged(&self.registry, name))
    }

    fn behind(&self, rule: impl Fn(&Head) -> Option<Fault> + Send + Sync + 'static) -> Proxy {
        Proxy::start(self.registry.address(), rule).unwrap()
    }

    /// The build has to succeed, however often the rule strikes, and say `words`.
    fn passes(
        &self,
        what: &str,
        rule: impl Fn(&Head) -> Option<Fault> + Send + Sync + 'static,
        words: &str,
    ) {
        let proxy = self.behind(rule);
        let outcome = self.create(proxy.address());
        assert_eq!(outcome.code, Some(0), "{what}: {}", outcome.text);
        assert!(outcome.text.contains(words), "{what}: {}", outcome.text);
        let reported = Some(self.build.reported());
        assert_eq!(tagged(&self.registry, "app"), reported, "{what}");
    }

    /// The build has to fail with `code` and `words`, and to change nothing.
    fn fails(
        &self,
        what: &str,
        rule: impl Fn(&Head) -> Option<Fault> + Send + Sync + 'static,
        code: i32,
        words: &str,
    ) {
        let old = self.tags();
        let proxy = self.behind(rule);
        let outcome = self.create(proxy.address());
        assert_eq!(outcome.code, Some(code), "{what}: {}", outcome.text);
        assert!(outcome.text.contains(words), "{what}: {}", outcome.text);
        assert_eq!(self.tags(), old, "{what}");
    }
}

/// A rule that breaks every request of `method` whose target contains `part`.
fn every(
    method: &'static str,
    part: &'static str,
    fault: Fault,
) -> impl Fn(&Head) -> Option<Fault> + Send + Sync {
    first(usize::MAX, method, part, fault)
}

/// Takes headers of a name away.
fn remove(reply: &mut Reply, name: &str) {
    let headers = &mut reply.headers;
    headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
}

#[test]
fn passing_failures_do_not_show() {
    let rebuild = Rebuild::new();
    let wait = vec![("Retry-After", "1".to_owned())];
    for (method, part, fault) in [
        ("GET", "/run/manifests/", Fault::CutDownload(50)),
        ("GET", "/run/blobs/", Fault::CutDownload(50)),
        ("POST", "/app/blobs/", Fault::Answer(429, wait, Vec::new())),
        ("PATCH", "/app/blobs/", Fault::status(502)),
        ("PATCH", "/app/blobs/", Fault::CutUpload(1 << 20)),
        ("PUT", "/app/blobs/", Fault::LoseAnswer),
        ("PUT", "/app/blobs/", Fault::status(500)),
        ("PUT", "/app/manifests/", Fault::status(503)),
        ("PUT", "/app/manifests/", Fault::LoseAnswer),
        ("GET", "/cache/blobs/", Fault::CutDownload(50)),
    ] {
        let what = format!("{method} {part} {fault:?}");
        rebuild.passes(&what, first(1, method, part, fault), "");
    }
}

#[test]
fn registries_may_be_lax() {
    fn created(reply: &mut Reply) {
        reply.status = 201;
    }
    let rebuild = Rebuild::new();
    let patch = every("PATCH", "/uploads/", Fault::Edit(created));
    rebuild.passes("PATCH answered 201", patch, "");
    // docker-registry itself answers 202, and begins an upload, where it does not find what is to be mounted.
    let elsewhere = |head: &Head| {
        let (asked, _) = head.target.split_once("&from=")?;
        Some(Fault::Retarget(format!("{asked}&from=nowhere")))
    };
    rebuild.passes("mount answered 202", elsewhere, "");
    let proxy = rebuild.behind(elsewhere);
    let mut command = rebuild.build.creator(&proxy.address().to_string());
    succeeded(&Outcome::of(command.arg(format!("{}/fresh", proxy.address()))).unwrap());
    assert!(proxy.count("POST", "mount=") > 0);
    assert!(proxy.count("GET", "/run/blobs/") > 1, "layers are copied");
    let name = format!("docker://{}/fresh", rebuild.registry.address());
    let to = rebuild.build.work.path().join("copy");
    let to = format!("dir:{}", to.display());
    crate::build::skopeo(&["copy", "--src-tls-verify=false", &name, &to]);
}

#[test]
fn run_images_that_nobody_can_use() {
    let rebuild = Rebuild::new();
    let answer = |kind: &str, body: Vec<u8>| {
        Fault::Answer(200, vec![("Content-Type", kind.to_owned())], body)
    };
    let part = "/run/manifests/";
    let redirect = Fault::redirect("/v2/run/manifests/latest");
    let rule = every("HEAD", part, redirect);
    rebuild.fails("redirect loop", rule, 32, "too many redirects");
    let rule = every("GET", part, answer(MANIFEST, vec![b' '; 9 << 20]));
    rebuild.fails("giant manifest", rule, 32, "more than");
    let foreign = answer("application/vnd.example+json", b"{}".to_vec());
    let rule = every("GET", part, foreign);
    rebuild.fails("media type", rule, 32, "application/vnd.example+json");
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{{"mediaType":"{MANIFEST}","size":2,
            "digest":"{digest}","platform":{{"os":"linux","architecture":"riscv64"}}}}]}}"#
    );
    let rule = every("GET", part, answer(INDEX, index.into()));
    rebuild.fails("index without our platform", rule, 1, "/run' not found");
    let other = vec![(
        "Docker-Content-Digest",
        format!("sha256:{}", "0".repeat(64)),
    )];
    let other = Fault::Answer(200, other, b"{}".to_vec());
    let rule = every("GET", part, other);
    rebuild.fails("wrong digest", rule, 32, "was announced");
    let away = Fault::redirect("http://storage.example/config");
    let rule = every("GET", "/run/blobs/", away);
    rebuild.fails("redirect without TLS", rule, 32, "refused: plain http");
}

#[test]
fn exports_that_fail() {
    fn nowhere(reply: &mut Reply) {
        remove(reply, "location");
    }
    let rebuild = Rebuild::new();
    let rule = every("POST", "/app/blobs/uploads/", Fault::Edit(nowhere));
    // Before anything is built: the check of write access begins an upload as well.
    rebuild.fails("no Location", rule, 62, "no upload location");
    let rule = every("PATCH", "/app/blobs/", Fault::status(400));
    rebuild.fails("blob refused", rule, 62, "push blob sha256:");
    let rule = every("PUT", "/app/blobs/", Fault::status(403));
    rebuild.fails("blob forbidden", rule, 62, "push blob sha256:");
    let rule = every("PUT", "/app/manifests/", Fault::status(400));
    rebuild.fails("manifest refused", rule, 62, "failed to write image");
    for part in ["/app/blobs/", "/cache/blobs/"] {
        let rule = every("POST", part, Fault::status(403));
        rebuild.fails("no write access", rule, 32, "read/write access");
    }
    let rule = every("HEAD", "/run/manifests/", Fault::status(403));
    rebuild.fails("no read access", rule, 32, "read access to");
}

/// A cache that cannot be read or written costs time, never the image.
#[test]
fn caches_that_fail() {
    /// The layer, not the configuration: damage of that is damage of the whole cache.
    const LARGE: usize = 1 << 20;
    fn flip(reply: &mut Reply) {
        if let Some(byte) = reply.body.get_mut(LARGE) {
            *byte ^= 1;
        }
    }
    fn truncate(reply: &mut Reply) {
        reply.body.truncate(LARGE);
        remove(reply, "content-length");
    }
    let blobs = |fault: Fault| {
        move |head: &Head| {
            let layer = head.method == "GET" && head.target.contains("/cache/blobs/");
            layer.then(|| fault.clone())
        }
    };
    let rebuild = Rebuild::new();
    for edit in [flip, truncate] {
        rebuild.passes("damaged", blobs(Fault::Edit(edit)), "Warning: ");
    }
    let old = tagged(&rebuild.registry, "cache");
    // The layer's metadata has this: another cache image.
    fs::write(rebuild.build.site.app.join("app.txt"), "other").unwrap();
    let rule = every("PUT", "/cache/manifests/", Fault::status(400));
    let words = "Warning: Failed to export cache";
    rebuild.passes("manifest refused", rule, words);
    assert_eq!(tagged(&rebuild.registry, "cache"), old);
}
