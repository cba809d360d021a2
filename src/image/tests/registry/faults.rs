//! What goes wrong on the way, and what comes of it.

use crate::images::{LARGE, SMALL, blob, image, name, open, read_layers, save, store};
use lifecycle_core::error::ErrorKind;
use lifecycle_image::store::ImageStore;
use spec_tests::net::keeping::KeepingRegistry;
use spec_tests::net::proxy::{Fault, Head, Proxy, Reply, first};
use spec_tests::net::registry::Registry;
use std::time::{Duration, Instant};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A new try has to happen with so many requests that have `method` and `part`, and end well.
fn check_push(times: usize, method: &'static str, part: &'static str, size: usize, fault: Fault) {
    let registry = Registry::open().unwrap();
    let what = format!("{method} {part} {fault:?}");
    let proxy = Proxy::start(registry.address(), first(times, method, part, fault)).unwrap();
    let image = image(1, size);
    save(&store(), &image, &name(proxy.address(), "app")).expect(&what);
    assert!(proxy.count(method, part) > times, "{what}");
    let direct = open(&store(), &name(registry.address(), "app"));
    read_layers(&direct.image).expect(&what);
}

fn check_pull(times: usize, part: &'static str, size: usize, fault: Fault) {
    let registry = Registry::open().unwrap();
    save(&store(), &image(1, size), &name(registry.address(), "app")).unwrap();
    let what = format!("{part} {fault:?}");
    let proxy = Proxy::start(registry.address(), first(times, "GET", part, fault)).unwrap();
    let opened = open(&store(), &name(proxy.address(), "app"));
    read_layers(&opened.image).expect(&what);
}

/// The error of opening the image and reading its layers.
fn failure(part: &'static str, fault: Fault) -> (String, Vec<String>) {
    let registry = Registry::open().unwrap();
    save(&store(), &image(1, LARGE), &name(registry.address(), "app")).unwrap();
    let proxy = Proxy::start(registry.address(), first(99, "GET", part, fault)).unwrap();
    let result = store()
        .open(&name(proxy.address(), "app"))
        .map_err(|error| error.to_string())
        .and_then(|opened| read_layers(&opened.ok_or("none")?.image));
    let seen = proxy.seen().into_iter();
    (
        result.expect_err(part),
        seen.map(|head| head.target).collect(),
    )
}

#[test]
fn uploads_survive_passing_failures() {
    for status in [429, 500, 502, 503] {
        check_push(2, "POST", "/blobs/uploads/", SMALL, Fault::status(status));
        check_push(1, "PUT", "/blobs/uploads/", SMALL, Fault::status(status));
        check_push(1, "PATCH", "/blobs/uploads/", LARGE, Fault::status(status));
        check_push(1, "PUT", "/manifests/", SMALL, Fault::status(status));
    }
    check_push(2, "HEAD", "/blobs/", SMALL, Fault::status(500));
}

#[test]
fn uploads_survive_broken_connections() {
    check_push(1, "PATCH", "/uploads/", LARGE, Fault::CutUpload(0));
    check_push(2, "PATCH", "/uploads/", LARGE, Fault::CutUpload(1 << 20));
    check_push(1, "PUT", "/uploads/", SMALL, Fault::CutUpload(100));
    check_push(1, "PUT", "/manifests/", SMALL, Fault::CutUpload(10));
    // The registry did it all, but nobody knows.
    check_push(1, "PATCH", "/uploads/", LARGE, Fault::LoseAnswer);
    check_push(1, "PUT", "/manifests/", SMALL, Fault::LoseAnswer);
}

#[test]
fn uploads_survive_silence() {
    let silence = || Fault::Silence(Duration::from_secs(2));
    check_push(1, "POST", "/uploads/", SMALL, silence());
    check_push(1, "PATCH", "/uploads/", LARGE, silence());
    check_push(1, "PUT", "/manifests/", SMALL, silence());
    let registry = Registry::open().unwrap();
    let rule = first(1, "PUT", "/uploads/", silence());
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    save(&store(), &image(1, LARGE), &name(proxy.address(), "app")).unwrap();
    read_layers(&open(&store(), &name(registry.address(), "app")).image).unwrap();
}

#[test]
fn a_lost_answer_to_the_end_of_an_upload_is_looked_up() {
    for size in [SMALL, LARGE] {
        let registry = Registry::open().unwrap();
        let rule = first(1, "PUT", "/uploads/", Fault::LoseAnswer);
        let proxy = Proxy::start(registry.address(), rule).unwrap();
        save(&store(), &image(1, size), &name(proxy.address(), "app")).unwrap();
        assert!(proxy.count("HEAD", "/blobs/") > 1, "{size}");
    }
}

/// docker-registry forgets interrupted uploads; this registry does as the specification says.
#[test]
fn an_interrupted_upload_goes_on_where_it_stopped() {
    let registry = KeepingRegistry::start().unwrap();
    let cut = first(2, "PATCH", "/uploads/", Fault::CutUpload(1 << 20));
    let proxy = Proxy::start(registry.address(), cut).unwrap();
    let image = image(1, LARGE);
    save(&store(), &image, &name(proxy.address(), "app")).unwrap();
    let seen = proxy.seen().into_iter();
    let patches: Vec<_> = seen.filter(|head| head.method == "PATCH").collect();
    let sizes: Vec<_> = patches.iter().map(Head::length).collect();
    let whole = sizes[0];
    assert_eq!(sizes, [whole, whole - (1 << 20), whole - (2 << 20)]);
    let range = format!("{}-{}", 2 << 20, whole - 1);
    assert_eq!(patches[2].header("content-range"), Some(range.as_str()));
    assert_eq!(registry.received(), whole, "no byte came twice");
    let direct = open(&store(), &name(registry.address(), "app"));
    read_layers(&direct.image).unwrap();
}

#[test]
fn retry_after_is_obeyed() {
    for (method, part, size) in [
        ("POST", "/uploads/", SMALL),
        ("PATCH", "/uploads/", LARGE),
        ("PUT", "/manifests/", SMALL),
    ] {
        let started = Instant::now();
        let wait = vec![("Retry-After", "1".to_owned())];
        check_push(1, method, part, size, Fault::Answer(429, wait, Vec::new()));
        assert!(started.elapsed() >= Duration::from_secs(1), "{method}");
    }
}

#[test]
fn registries_may_be_lax_about_uploads() {
    // 201 instead of 202.
    fn created(reply: &mut Reply) {
        reply.status = 201;
    }
    fn relative(reply: &mut Reply) {
        for (name, value) in &mut reply.headers {
            if name.eq_ignore_ascii_case("location") {
                *value = value.split_at(value.find("/v2/").unwrap()).1.to_owned();
            }
        }
    }
    let registry = Registry::open().unwrap();
    for (seed, method, edit) in [
        (1, "PATCH", created as fn(&mut Reply)),
        (2, "POST", relative),
        (3, "PATCH", relative),
    ] {
        let rule = first(9, method, "/uploads/", Fault::Edit(edit));
        let proxy = Proxy::start(registry.address(), rule).unwrap();
        save(&store(), &image(seed, LARGE), &name(proxy.address(), "app")).unwrap();
        assert_eq!(proxy.count("PATCH", ""), 1, "{method}");
    }
}

#[test]
fn an_upload_without_an_address_fails() {
    fn nowhere(reply: &mut Reply) {
        reply
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("location"));
    }
    let registry = Registry::open().unwrap();
    let rule = first(9, "POST", "/uploads/", Fault::Edit(nowhere));
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let error = save(&store(), &image(1, SMALL), &name(proxy.address(), "app")).unwrap_err();
    assert!(error.contains("no upload location"), "{error}");
}

#[test]
fn what_cannot_be_mounted_is_uploaded() {
    let registry = Registry::open().unwrap();
    let base = name(registry.address(), "base");
    save(&store(), &image(1, LARGE), &base).unwrap();
    let refuse = first(9, "POST", "mount=", Fault::status(405));
    let proxy = Proxy::start(registry.address(), refuse).unwrap();
    let store = store();
    let opened = open(&store, &name(proxy.address(), "base"));
    save(&store, &opened.image, &name(proxy.address(), "refused")).unwrap();
    assert_eq!(proxy.count("POST", "mount="), 1);
    assert_eq!(proxy.count("PATCH", ""), 1, "read and pushed");

    // 202 instead of 201: an upload has begun at this address, which here leads nowhere.
    let proxy = Proxy::start(registry.address(), |head| {
        let begins = head.target.contains("mount=");
        begins.then(|| Fault::Answer(202, vec![("Location", "/v2/x".to_owned())], Vec::new()))
    });
    let proxy = proxy.unwrap();
    let opened = open(&store, &name(proxy.address(), "base"));
    save(&store, &opened.image, &name(proxy.address(), "begun")).unwrap_err();
    assert!(proxy.count("PATCH", "/v2/x") > 0);
}

#[test]
fn downloads_survive_passing_failures() {
    for part in ["/manifests/", "/blobs/"] {
        for fault in [
            Fault::status(429),
            Fault::status(500),
            Fault::status(502),
            Fault::CutDownload(0),
            Fault::CutDownload(100),
            Fault::Stall(50, Duration::from_secs(2)),
        ] {
            check_pull(1, part, SMALL, fault);
        }
    }
    check_pull(4, "/blobs/", LARGE, Fault::CutDownload(1 << 19));
    check_pull(
        2,
        "/blobs/",
        LARGE,
        Fault::Stall(1 << 20, Duration::from_secs(2)),
    );
}

#[test]
fn only_the_right_content_is_read() {
    fn flip(reply: &mut Reply) {
        if let Some(byte) = reply.body.last_mut() {
            *byte ^= 1;
        }
    }
    fn truncate(reply: &mut Reply) {
        reply.body.truncate(reply.body.len() / 2);
        reply
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    }
    fn claim_more(reply: &mut Reply) {
        let length = (reply.body.len() + 10).to_string();
        reply
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        reply.headers.push(("Content-Length".to_owned(), length));
    }
    fn add(reply: &mut Reply) {
        reply.body.extend(b"more");
        reply
            .headers
            .retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    }
    for part in ["/manifests/", "/blobs/"] {
        for edit in [flip, truncate, claim_more, add] {
            let (error, _) = failure(part, Fault::Edit(edit));
            check_names_what_was_read(&error);
        }
    }
}

/// The text only has to exist and to name what was read.
fn check_names_what_was_read(error: &str) {
    assert!(
        error.contains("sha256:") || error.contains("app"),
        "{error}"
    );
}

#[test]
fn redirects_end() {
    let (error, seen) = failure("/manifests/", Fault::redirect("/v2/app/manifests/latest"));
    assert!(error.contains("too many redirects"), "{error}");
    assert!(seen.len() < 15, "{seen:?}");
}

#[test]
fn documents_are_bounded_and_known() {
    let answer = |kind: &str, body: Vec<u8>| {
        Fault::Answer(200, vec![("Content-Type", kind.to_owned())], body)
    };
    let giant = answer(MANIFEST, vec![b' '; 9 << 20]);
    let (error, _) = failure("/manifests/", giant);
    assert!(error.contains("more than"), "{error}");
    let foreign = answer("application/vnd.example+json", b"{}".to_vec());
    let (error, _) = failure("/manifests/", foreign);
    assert!(error.contains("application/vnd.example+json"), "{error}");
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
         "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
         "platform":{"os":"linux","architecture":"riscv64"}}]}"#;
    let index = answer("application/vnd.oci.image.index.v1+json", index.into());
    let (error, _) = failure("/manifests/", index);
    assert_eq!(error, "none");
}

#[test]
fn a_tag_that_leads_elsewhere_fails_the_push() {
    fn other(reply: &mut Reply) {
        for (name, value) in &mut reply.headers {
            if name.eq_ignore_ascii_case("docker-content-digest") {
                *value = format!("sha256:{}", "0".repeat(64));
            }
        }
    }
    let registry = Registry::open().unwrap();
    let rule = first(9, "HEAD", "/manifests/", Fault::Edit(other));
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let error = save(&store(), &image(1, SMALL), &name(proxy.address(), "app")).unwrap_err();
    assert!(error.contains("now leads to sha256:0000"), "{error}");
}

#[test]
fn a_failed_push_leaves_the_old_tag() {
    let registry = Registry::open().unwrap();
    let old = save(&store(), &image(1, SMALL), &name(registry.address(), "app")).unwrap();
    let rule = first(99, "PATCH", "/uploads/", Fault::status(500));
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let error = save(&store(), &image(2, LARGE), &name(proxy.address(), "app")).unwrap_err();
    assert!(error.contains("push blob sha256:"), "{error}");
    let now = open(&store(), &name(registry.address(), "app"));
    assert!(now.identifier.ends_with(&old.short_id));
}

#[test]
fn a_missing_layer_is_found_before_it_is_needed() {
    let registry = Registry::open().unwrap();
    let (layer, lost) = blob(7, SMALL);
    let image = image(1, SMALL).append([layer]);
    save(&store(), &image, &name(registry.address(), "app")).unwrap();
    let store = store();
    let opened = open(&store, &name(registry.address(), "app"));
    store.check_blobs(&opened).unwrap();
    registry
        .lose_blob(&lost.descriptor.digest.to_string())
        .unwrap();
    let error = store.check_blobs(&opened).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn each_blob_travels_once() {
    let first_registry = Registry::open().unwrap();
    let second_registry = Registry::open().unwrap();
    let nothing = |_: &Head| None;
    let near = Proxy::start(first_registry.address(), nothing).unwrap();
    let far = Proxy::start(second_registry.address(), nothing).unwrap();
    let store = store();
    save(&store, &image(1, LARGE), &name(near.address(), "base")).unwrap();
    let base = open(&store, &name(near.address(), "base")).image;
    let (layer, spooled) = blob(2, LARGE);
    let names: Vec<_> = [
        name(near.address(), "app"),
        name(near.address(), "other:1"),
        name(near.address(), "other:2"),
        name(far.address(), "app"),
        name(far.address(), "other"),
    ]
    .to_vec();
    let before = near.count("PATCH", "");
    store.start_upload(&spooled, &names);
    let saved = store.save(&base.append([layer]), &names).unwrap();
    for (name, result) in &saved.names {
        result.as_ref().expect(name);
        read_layers(&open(&store, name).image).unwrap();
    }
    assert_eq!(near.count("PATCH", "") - before, 1, "the new layer");
    assert_eq!(far.count("PATCH", ""), 2, "the base layer and the new one");
    assert!(store.bytes_sent() > 4 * LARGE as u64);
}
