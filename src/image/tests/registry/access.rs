//! Credentials, tokens, TLS, and whom they are shown to.

use crate::images::{
    LARGE, SMALL, image, name, open, read_layers, save, store, store_with_auth, with_options,
};
use lifecycle_core::error::ErrorKind;
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::registry::Certificates;
use spec_tests::net::certificates::Authority;
use spec_tests::net::proxy::{Fault, Head, Proxy, first};
use spec_tests::net::registry::{Access, Registry, Transport};
use spec_tests::net::tokens::{IDENTITY, TokenServer};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// `user:secret`.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";
const WRONG: &str = "Basic dXNlcjp3cm9uZw==";

fn auth(registry: SocketAddr, header: &str) -> String {
    format!("{{\"{registry}\":\"{header}\"}}")
}

#[test]
fn basic_credentials() {
    let registry = Registry::start(Access::Htpasswd, Transport::Http).unwrap();
    let app = name(registry.address(), "app");
    let right = store_with_auth(&auth(registry.address(), BASIC));
    right.check_write(&app).unwrap();
    save(&right, &image(1, LARGE), &app).unwrap();
    read_layers(&open(&right, &app).image).unwrap();
    for store in [store(), store_with_auth(&auth(registry.address(), WRONG))] {
        for result in [store.check_read(&app), store.check_write(&app)] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthorized);
            let text = error.to_string();
            assert!(
                text.contains("UNAUTHORIZED") || text.contains("401"),
                "{text}"
            );
            assert!(
                !text.contains("wrong") && !text.contains("dXNlcj"),
                "{text}"
            );
        }
    }
}

#[test]
fn tokens_by_password_and_by_identity() {
    let authority = Arc::new(Authority::new().unwrap());
    let server = TokenServer::start(Arc::clone(&authority)).unwrap();
    let access = Access::Tokens(server.address(), &authority);
    let registry = Registry::start(access, Transport::Http).unwrap();
    let identity = format!("X-Identity {IDENTITY}");
    for (method, header) in [("GET", BASIC), ("POST", identity.as_str())] {
        let store = store_with_auth(&auth(registry.address(), header));
        let base = name(registry.address(), "base");
        save(&store, &image(1, LARGE), &base).unwrap();
        let opened = open(&store, &base);
        let before = server.issued().len();
        save(
            &store,
            &opened.image,
            &name(registry.address(), &method.to_lowercase()),
        )
        .unwrap();
        let issued = server.issued().split_off(before);
        assert!(
            issued.iter().all(|token| token.starts_with(method)),
            "{issued:?}"
        );
        assert!(
            issued.len() <= 3,
            "one token for a set of scopes: {issued:?}"
        );
        read_layers(&open(&store, &base).image).unwrap();
    }
    // Nobody in particular may read.
    let store = store();
    open(&store, &name(registry.address(), "base"));
    let started = std::time::Instant::now();
    let error = save(&store, &image(2, SMALL), &name(registry.address(), "base")).unwrap_err();
    assert!(error.contains("no credentials"), "{error}");
    assert!(started.elapsed().as_secs() < 3, "refusals are final");
    let wrong = store_with_auth(&auth(registry.address(), WRONG));
    let error = wrong
        .check_read(&name(registry.address(), "base"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
}

#[test]
fn a_token_that_ran_out_is_replaced() {
    let authority = Arc::new(Authority::new().unwrap());
    let server = TokenServer::start(Arc::clone(&authority)).unwrap();
    let access = Access::Tokens(server.address(), &authority);
    let registry = Registry::start(access, Transport::Http).unwrap();
    let challenge = format!(
        "Bearer realm=\"http://{}/token\",service=\"test\"",
        server.address()
    );
    for (method, part, size) in [
        ("HEAD", "/blobs/", SMALL),
        ("POST", "/uploads/", SMALL),
        ("PATCH", "/uploads/", LARGE),
        ("PUT", "/uploads/", SMALL),
        ("PUT", "/uploads/", LARGE),
        ("PUT", "/manifests/", SMALL),
        ("GET", "/blobs/", LARGE),
    ] {
        let refuse = vec![("WWW-Authenticate", challenge.clone())];
        let rule = first(1, method, part, Fault::Answer(401, refuse, Vec::new()));
        let proxy = Proxy::start(registry.address(), rule).unwrap();
        let store = store_with_auth(&auth(proxy.address(), BASIC));
        let app = name(proxy.address(), "app");
        save(
            &store,
            &image(size as u64 + proxy.address().port() as u64, size),
            &app,
        )
        .unwrap_or_else(|error| panic!("{method} {part}: {error}"));
        read_layers(&open(&store, &app).image).unwrap();
    }
}

#[test]
fn credentials_stay_with_the_registry() {
    let registry = Registry::start(Access::Htpasswd, Transport::Http).unwrap();
    let plain = Registry::open().unwrap();
    for place in [registry.address(), plain.address()] {
        let store = store_with_auth(&auth(place, BASIC));
        save(&store, &image(1, LARGE), &name(place, "app")).unwrap();
    }
    // Another port is another server.
    let storage = Arc::new(Proxy::start(plain.address(), |_| None).unwrap());
    let to = storage.address();
    let rule = move |head: &Head| {
        let moved = head.method == "GET" && head.target.contains("/blobs/");
        moved.then(|| Fault::redirect(&format!("http://{to}{}", head.target)))
    };
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let store = store_with_auth(&auth(proxy.address(), BASIC));
    read_layers(&open(&store, &name(proxy.address(), "app")).image).unwrap();
    assert!(!storage.seen().is_empty());
    for head in storage.seen() {
        assert_eq!(head.header("authorization"), None);
    }
    let all = proxy.seen();
    assert!(
        all.iter()
            .any(|head| head.header("authorization") == Some(BASIC))
    );

    // Another host without TLS is never asked.
    let rule = |head: &Head| {
        let moved = head.method == "GET" && head.target.contains("/blobs/");
        moved.then(|| Fault::redirect("http://blobs.example/x"))
    };
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    let store = store_with_auth(&auth(proxy.address(), BASIC));
    let error = store.open(&name(proxy.address(), "app")).err().unwrap();
    assert!(error.to_string().contains("refused: plain http"), "{error}");
}

#[test]
fn private_authorities_and_client_certificates() {
    let authority = Authority::new().unwrap();
    let certs = tempfile::tempdir().unwrap();
    let app = |registry: &Registry| name(registry.address(), "app");
    let place = |registry: &Registry| {
        let dir = certs.path().join(registry.address().to_string());
        fs::create_dir_all(&dir).unwrap();
        fs::copy(authority.certificate(), dir.join("ca.crt")).unwrap();
        dir
    };
    let trusting = |dir: &Path| {
        with_options(|options| options.certificates = Certificates::below(vec![dir.to_owned()]))
    };

    let registry = Registry::start(Access::Open, Transport::Tls(&authority)).unwrap();
    let error = store().check_read(&app(&registry)).unwrap_err().to_string();
    assert!(error.contains("reach registry"), "{error}");
    place(&registry);
    let store = trusting(certs.path());
    save(&store, &image(1, LARGE), &app(&registry)).unwrap();
    read_layers(&open(&store, &app(&registry)).image).unwrap();
    let insecure = with_options(|options| options.insecure = vec!["127.0.0.1".to_owned()]);
    read_layers(&open(&insecure, &app(&registry)).image).unwrap();
    let other = with_options(|options| options.insecure = vec!["registry.example".to_owned()]);
    other.check_read(&app(&registry)).unwrap_err();

    let registry = Registry::start(Access::Open, Transport::MutualTls(&authority)).unwrap();
    let dir = place(&registry);
    trusting(certs.path())
        .check_read(&app(&registry))
        .unwrap_err();
    let identity = authority.issue("client").unwrap();
    fs::copy(identity.certificate, dir.join("client.cert")).unwrap();
    fs::copy(identity.key, dir.join("client.key")).unwrap();
    let store = trusting(certs.path());
    save(&store, &image(1, SMALL), &app(&registry)).unwrap();
}

#[test]
fn localhost_may_be_ipv6_first() {
    let registry = Registry::open().unwrap();
    let app = format!("localhost:{}/app", registry.address().port());
    save(&store(), &image(1, SMALL), &app).unwrap();
}
