//! Blobs that are sent while they are being made.

use crate::images::{blob, blob_for, image, name, open, read_layers, save, store, with_options};
use lifecycle_image::layer::{self, LARGE, Outputs, Spool, Workers};
use lifecycle_image::store::ImageStore;
use lifecycle_image::store::registry::RegistryStore;
use spec_tests::net::keeping::KeepingRegistry;
use spec_tests::net::proxy::{Fault, Proxy, first};
use spec_tests::net::registry::Registry;
use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

const SIZE: usize = 3 * LARGE as usize;

/// Requests for blobs, by method. Whether the registry is asked for the blob (HEAD) depends on which end comes first.
#[derive(Debug, PartialEq, Eq)]
struct Requests {
    post: usize,
    patch: usize,
    put: usize,
    delete: usize,
}

/// A store that does not mind how long a layer takes to be made.
fn patient() -> RegistryStore {
    with_options(|options| options.patience.idle = Duration::from_secs(20))
}

/// Saves an image whose second layer is sent while it is made, where the first request of `method` goes wrong, and returns what was asked
/// for that layer.
fn follow(registry: SocketAddr, method: &'static str, fault: Fault) -> Requests {
    let what = format!("{method} {fault:?}");
    let base = image(1, 10);
    save(&store(), &base, &name(registry, "app")).unwrap();
    let rule = first(1, method, "/blobs/uploads/", fault);
    let proxy = Proxy::start(registry, rule).unwrap();
    let names = [name(proxy.address(), "app")];
    let store = patient();
    let base = open(&store, &names[0]).image;
    let count = |method| proxy.count(method, "/blobs/");
    let before = count("POST");
    let (layer, spooled) = blob_for(2, SIZE, Some(&|growing| store.follow(growing, &names)));
    store.start_upload(&spooled, &names);
    save(&store, &base.append([layer]), &names[0]).expect(&what);
    read_layers(&open(&patient(), &name(registry, "app")).image).expect(&what);
    // The configuration comes by POST and PUT.
    Requests {
        post: count("POST") - before - 1,
        patch: count("PATCH"),
        put: count("PUT") - 1,
        delete: count("DELETE"),
    }
}

fn check(method: &'static str, fault: Fault, expected: [usize; 4]) {
    let what = format!("{method} {fault:?}");
    let registry = Registry::open().unwrap();
    let [post, patch, put, delete] = expected;
    let expected = Requests {
        post,
        patch,
        put,
        delete,
    };
    assert_eq!(
        follow(registry.address(), method, fault),
        expected,
        "{what}"
    );
}

#[test]
fn a_blob_is_sent_once_whatever_happens() {
    // Nothing goes wrong.
    check("NONE", Fault::LoseAnswer, [1, 1, 1, 0]);
    // Passing failures: this registry forgets interrupted uploads.
    check("POST", Fault::status(500), [2, 1, 1, 0]);
    check("PATCH", Fault::status(500), [1, 2, 1, 0]);
    check("PATCH", Fault::CutUpload(1 << 20), [2, 2, 1, 0]);
    // What will not pass is tried in the ordinary way.
    check("PATCH", Fault::status(413), [2, 2, 1, 0]);
}

#[test]
fn an_interrupted_upload_goes_on() {
    let registry = KeepingRegistry::start().unwrap();
    let asked = follow(registry.address(), "PATCH", Fault::CutUpload(1 << 20));
    assert_eq!((asked.post, asked.patch, asked.put), (1, 2, 1), "{asked:?}");
}

#[test]
fn what_is_there_already_is_not_sent_to_its_end() {
    let registry = Registry::open().unwrap();
    save(&store(), &image(2, SIZE), &name(registry.address(), "app")).unwrap();
    let slow = Fault::Silence(Duration::from_secs(2));
    let asked = follow(registry.address(), "PATCH", slow);
    assert_eq!((asked.put, asked.delete), (0, 1), "{asked:?}");
}

#[test]
fn a_layer_that_is_not_made_after_all_leaves_nothing_to_wait_for() {
    let registry = Registry::open().unwrap();
    let store = patient();
    let names = [name(registry.address(), "app")];
    let directory = std::env::temp_dir();
    let spool = Spool {
        begun: Some(&|growing| store.follow(growing, &names)),
        ..Spool::gzip(&directory)
    };
    let outputs = Outputs {
        blob: Some(spool),
        tar: None,
    };
    let (_, noise) = blob(1, SIZE);
    let write = |tar: &mut dyn std::io::Write| {
        std::io::copy(&mut std::fs::File::open(noise.file.path())?, tar)?;
        Err(lifecycle_core::error::Error::other("enough"))
    };
    let workers = Workers::new(NonZero::<usize>::MIN);
    let error = layer::pack(write, outputs, &workers).err().unwrap();
    assert_eq!(error.to_string(), "enough");
    save(&store, &image(2, SIZE), &names[0]).unwrap();
    drop(store);
}

#[test]
fn another_repository_waits_and_mounts() {
    let registry = Registry::open().unwrap();
    let proxy = Proxy::start(registry.address(), |_| None).unwrap();
    let store = patient();
    let names = ["app", "cache"].map(|repository| name(proxy.address(), repository));
    save(&store, &image(1, 10), &names[0]).unwrap();
    let base = open(&store, &names[0]).image;
    let (layer, spooled) = blob_for(2, SIZE, Some(&|growing| store.follow(growing, &names)));
    // A cache image announces the blob for itself, perhaps before anybody else.
    store.start_upload(&spooled, &names[1..]);
    store.start_upload(&spooled, &names[..1]);
    let saved = store.save(&base.append([layer]), &names).unwrap();
    for (name, result) in &saved.names {
        result.as_ref().expect(name);
        read_layers(&open(&store, name).image).unwrap();
    }
    assert_eq!(proxy.count("PATCH", ""), 1);
    assert!(proxy.count("POST", "mount=") >= 1);
}
