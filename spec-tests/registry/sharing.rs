//! What travels how often: connections, tokens, blobs; with several tags, several registries, and a cache image.

use crate::build::{Build, skopeo, succeeded, tagged, uploaded};
use spec_tests::net::certificates::Authority;
use spec_tests::net::proxy::Proxy;
use spec_tests::net::registry::{Access, PASSWORD, Registry, Transport, USER};
use spec_tests::net::relay::Relay;
use spec_tests::net::tokens::TokenServer;
use spec_tests::subject::Outcome;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

/// Requests at a time, of which there are several times as many in all.
const CONNECTIONS: usize = 16;

/// The values, none of which may be there twice.
fn distinct(values: &[String]) -> BTreeSet<&String> {
    let set: BTreeSet<_> = values.iter().collect();
    assert_eq!(set.len(), values.len(), "{values:?}");
    set
}

#[test]
fn creator_has_one_pool_and_one_token_for_a_scope() {
    let authority = Arc::new(Authority::new().unwrap());
    let server = TokenServer::start(Arc::clone(&authority)).unwrap();
    let access = Access::Tokens(server.address(), &authority);
    let registry = Registry::start(access, Transport::Http).unwrap();
    let build = Build::noisy();
    let credentials = format!("--dest-creds={USER}:{PASSWORD}");
    let to = format!("docker://{}/run", registry.address());
    build.copy_run_image(&["--dest-tls-verify=false", &credentials], &to);
    let relay = Relay::start(registry.address()).unwrap();
    let place = relay.address().to_string();
    for _ in 0..2 {
        let (before, connected) = (server.issued().len(), relay.connections());
        let mut command = build.creator(&place);
        let auth = format!("{{\"{place}\":\"Basic dXNlcjpzZWNyZXQ=\"}}");
        command.env("CNB_REGISTRY_AUTH", auth);
        command.args(["-parallel", "-cache-image", &format!("{place}/cache")]);
        succeeded(&Outcome::of(command.arg(format!("{place}/app"))).unwrap());
        distinct(&server.issued().split_off(before));
        let connections = relay.connections() - connected;
        assert!(connections <= CONNECTIONS, "{connections} connections");
    }
}

/// The app image goes to another registry than the run image's, the cache to the latter.
#[test]
fn each_blob_travels_once_to_a_registry() {
    let (near, far) = (Registry::open().unwrap(), Registry::open().unwrap());
    let build = Build::with_run_image_in(near.address());
    let to_near = Proxy::start(near.address(), |_| None).unwrap();
    let to_far = Proxy::start(far.address(), |_| None).unwrap();
    let place = to_far.address().to_string();
    let names = ["app", "app:2", "other", "third:3"].map(|name| format!("{place}/{name}"));
    let mut command = build.creator(&to_near.address().to_string());
    command.args(["-cache-image", &format!("{}/cache", to_near.address())]);
    names[1..].iter().for_each(|name| {
        command.args(["-tag", name]);
    });
    let outcome = Outcome::of(command.arg(&names[0])).unwrap();
    succeeded(&outcome);
    let images = outcome.text.split("*** Images (").nth(1).unwrap();
    for name in &names {
        let format = ["inspect", "--tls-verify=false", "--format", "{{.Digest}}"];
        let source = format!("docker://{name}");
        let found = skopeo(&[&format[..], &[source.as_str()]].concat());
        assert_eq!(found.trim(), build.reported(), "{name}");
        assert!(images.contains(&format!("      {name}\n")), "{images}");
    }
    let (near, far) = (uploaded(&to_near), uploaded(&to_far));
    let (near, far) = (distinct(&near), distinct(&far));
    assert_eq!(near.len(), 2, "the cached layer and a configuration");
    assert_eq!(near.intersection(&far).count(), 1, "the cached layer");
    let copied = to_near.count("GET", "/run/blobs/");
    assert!(copied > 1, "the base layers, from one to the other");

    // Images in several registries are for daemons alone (PLAT-EXPORT-003).
    let mut command = build.creator(&to_near.address().to_string());
    command.args(["-tag", &format!("{}/app", to_near.address())]);
    let before = to_far.seen().len();
    let outcome = Outcome::of(command.arg(&names[0])).unwrap();
    assert_eq!(outcome.code, Some(3), "{}", outcome.text);
    assert_eq!(to_far.seen().len(), before);
}

#[test]
fn app_and_cache_share_their_blobs() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    for parallel in [false, true] {
        let proxy = Proxy::start(registry.address(), |_| None).unwrap();
        let place = format!("{}", proxy.address());
        let flag = parallel.then_some("-parallel");
        let (app, cache) = match parallel {
            false => ("app", "cache"),
            true => ("app-at-once", "cache-at-once"),
        };
        let mut command = build.creator(&place);
        command.args(["-cache-image", &format!("{place}/{cache}")]);
        succeeded(&Outcome::of(command.args(flag).arg(format!("{place}/{app}"))).unwrap());
        distinct(&uploaded(&proxy));

        // The same by the exporter alone, which the creator has left everything to.
        let group =
            "[[group]]\nid = \"test/scripted\"\nversion = \"1\"\napi = \"0.12\"\n".to_owned();
        fs::write(build.site.layers.join("group.toml"), group).unwrap();
        let proxy = Proxy::start(registry.address(), |_| None).unwrap();
        let place = format!("{}", proxy.address());
        let mut command = build.command("exporter");
        command.arg("-app").arg(&build.site.app);
        let launcher = build.subject.directory().join("launcher");
        command.arg("-launcher").arg(launcher);
        let (new, new_cache) = (format!("{app}-exported"), format!("{cache}-exported"));
        command.args(["-cache-image", &format!("{place}/{new_cache}")]);
        succeeded(&Outcome::of(command.args(flag).arg(format!("{place}/{new}"))).unwrap());
        distinct(&uploaded(&proxy));
        assert_eq!(tagged(&registry, app), tagged(&registry, &new));
        assert_eq!(tagged(&registry, cache), tagged(&registry, &new_cache));
    }
}

/// Before Platform API 0.13 the old cache image is deleted; layers that stay are not sent again (FACTS 8.5).
#[test]
fn a_cache_image_replaces_the_old_one() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let mut version = 0;
    for (api, deletes) in [("0.12", 1), ("0.13", 0)] {
        let mut before: Option<Option<String>> = None;
        for _ in 0..2 {
            version += 1;
            fs::write(build.site.app.join("app.txt"), version.to_string()).unwrap();
            let proxy = Proxy::start(registry.address(), |_| None).unwrap();
            let place = proxy.address().to_string();
            let mut command = build.creator(&place);
            command.env("CNB_PLATFORM_API", api);
            command.args(["-cache-image", &format!("{place}/{api}")]);
            succeeded(&Outcome::of(command.arg(format!("{place}/app"))).unwrap());
            let now = tagged(&registry, api);
            let deleted = proxy.count("DELETE", &format!("/{api}/manifests/"));
            if let Some(old) = before {
                assert_ne!(old, now, "{api}");
                assert_eq!(deleted, deletes, "{api}");
                let patches = proxy.count("PATCH", "");
                assert_eq!(patches, 0, "the layer is there already");
                let old = format!("{api}@{}", old.unwrap());
                let name = format!("docker://{}/{old}", registry.address());
                let mut inspect = std::process::Command::new("skopeo");
                inspect.args(["inspect", "--raw", "--tls-verify=false", &name]);
                let kept = inspect.output().unwrap().status.success();
                assert_eq!(kept, deletes == 0, "{api}");
            } else {
                assert_eq!(deleted, 0);
            }
            before = Some(now);
        }
    }
}
