//! Several names that change together or not at all, and how few requests that takes.

use crate::images::{SMALL, image, name, open, save, store, with_options};
use lifecycle_image::image::Image;
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::registry::{Proof, RegistryStore};
use spec_tests::net::proxy::{Fault, Head, Proxy, Reply};
use spec_tests::net::registry::Registry;
use std::net::SocketAddr;

/// The digests that names lead to.
fn tagged(registry: SocketAddr, names: &[&str]) -> Vec<Option<String>> {
    let digest = |tag: &&str| {
        let opened = store().open(&name(registry, tag)).unwrap()?;
        Some(opened.identifier.rsplit_once('@')?.1.to_owned())
    };
    names.iter().map(digest).collect()
}

/// Saves another image under all of `names`, the last of which breaks by `fault` in requests of `method` with `part`: then
/// each name says its part of `expected`, and leads to what it led to.
fn check(names: &'static [&str], method: &'static str, part: &'static str, expected: &[&str]) {
    let registry = Registry::open().unwrap();
    let all_but_new = names.iter().filter(|name| !name.starts_with("new"));
    for (seed, tag) in all_but_new.enumerate() {
        save(
            &store(),
            &image(seed as u64, SMALL),
            &name(registry.address(), tag),
        )
        .unwrap();
    }
    let before = tagged(registry.address(), names);
    let rule = move |head: &Head| {
        let breaks = head.method == method && head.target.contains(part);
        breaks.then(|| Fault::status(403))
    };
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let full: Vec<_> = names.iter().map(|tag| name(proxy.address(), tag)).collect();
    let saved = store().save_together(&image(9, SMALL), &full).unwrap();
    for ((name, result), expected) in saved.names.iter().zip(expected) {
        let text = result.as_ref().unwrap_err().to_string();
        assert!(text.contains(expected), "{name}: {text}");
    }
    assert_eq!(tagged(registry.address(), names), before);
}

#[test]
fn names_change_together_or_not_at_all() {
    let refused = "403";
    check(
        &["app:1", "app:2", "app:3"],
        "PUT",
        "/manifests/3",
        &["given back", "given back", refused],
    );
    check(
        &["app:1", "app:2"],
        "PUT",
        "/manifests/1",
        &[refused, "left as it was"],
    );
    check(
        &["app:1", "new:1", "other:1"],
        "POST",
        "/other/blobs/",
        &["left as", "left as", refused],
    );
    check(
        &["app:1", "other:1"],
        "GET",
        "/other/manifests/",
        &["left as it was", refused],
    );
}

#[test]
fn a_name_that_was_new_is_named() {
    let registry = Registry::open().unwrap();
    let rule = |head: &Head| {
        let breaks = head.method == "PUT" && head.target.ends_with("/manifests/2");
        breaks.then(|| Fault::status(403))
    };
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let names = ["app:1", "app:2"].map(|tag| name(proxy.address(), tag));
    let saved = store().save_together(&image(1, SMALL), &names).unwrap();
    let text = saved.names[0].1.as_ref().unwrap_err().to_string();
    assert!(text.contains("led to nothing before"), "{text}");
}

fn with_proof(proof: Proof) -> RegistryStore {
    with_options(|options| options.proof = proof)
}

#[test]
fn each_request_is_of_use() {
    let registry = Registry::open().unwrap();
    save(&store(), &image(1, SMALL), &name(registry.address(), "app")).unwrap();
    let proxy = Proxy::start(registry.address(), |_| None).unwrap();
    let app = name(proxy.address(), "app");
    let requests = |proof, expected: &[&str]| {
        let before = proxy.seen().len();
        let store = with_proof(proof);
        let opened = open(&store, &app);
        let config = opened.image.config.clone().with_label("new", "yes");
        save(
            &store,
            &Image::clone(&opened.image).with_config(config),
            &app,
        )
        .unwrap();
        let seen: Vec<_> = proxy.seen().split_off(before);
        let seen = seen.iter().map(|head| {
            let kind = ["manifests", "uploads", "blobs"];
            let kind = kind.iter().find(|kind| head.target.contains(*kind));
            format!("{} {}", head.method, kind.unwrap_or(&"?"))
        });
        assert_eq!(seen.collect::<Vec<_>>(), expected, "{proof:?}");
    };
    let answer = [
        "GET manifests",
        "GET blobs",
        "POST uploads",
        "PUT uploads",
        "PUT manifests",
    ];
    requests(Proof::Answer, &answer);
    requests(
        Proof::ReadBack,
        &[&answer[..], &["HEAD manifests"]].concat(),
    );
}

/// The registry has to say the digest; where it says none, it is asked.
#[test]
fn what_the_answer_to_a_push_shows() {
    let check = |edit: fn(&mut Reply), reads: usize, error: Option<&str>| {
        let registry = Registry::open().unwrap();
        let rule = move |head: &Head| {
            let pushed = head.method == "PUT" && head.target.contains("/manifests/");
            pushed.then_some(Fault::Edit(edit))
        };
        let proxy = Proxy::start(registry.address(), rule).unwrap();
        let result = save(
            &with_proof(Proof::Answer),
            &image(1, SMALL),
            &name(proxy.address(), "app"),
        );
        assert_eq!(proxy.count("HEAD", "/manifests/"), reads);
        match (result, error) {
            (Ok(_), None) => {}
            (Err(text), Some(error)) => assert!(text.contains(error), "{text}"),
            (result, _) => panic!("{result:?}"),
        }
    };
    check(|_| {}, 0, None);
    check(
        |reply| {
            reply
                .headers
                .retain(|(key, _)| !key.eq_ignore_ascii_case("docker-content-digest"))
        },
        1,
        None,
    );
    check(
        |reply| {
            for (key, value) in &mut reply.headers {
                if key.eq_ignore_ascii_case("docker-content-digest") {
                    *value = format!("sha256:{}", "0".repeat(64));
                }
            }
        },
        0,
        Some("now leads to sha256:0000"),
    );
}
