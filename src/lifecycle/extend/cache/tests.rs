use super::*;
use lifecycle_image::layer::SpooledBlob;
use std::os::unix::fs::{PermissionsExt, symlink};

const DAY: Duration = Duration::from_secs(86400);

fn layer(content: &[u8]) -> Layer {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    let descriptor = Descriptor::of(content, ManifestKind::Oci.layer());
    Layer {
        diff_id: DiffId::of(b"tar"),
        history: None,
        source: LayerSource::Spooled(Arc::new(SpooledBlob { descriptor, file })),
    }
}

fn key(text: &str) -> Key {
    Key::of_base(&Digest::of(text.as_bytes()))
}

/// Whether a layer that was cached is found again after `meddle` did something to the cache's parent directory.
fn check(ttl: Duration, meddle: impl FnOnce(&Path), found: bool) {
    let dir = tempfile::tempdir().unwrap();
    let cache = LayerCache::open(dir.path(), DAY).unwrap();
    cache.put(&key("a"), &layer(b"content")).unwrap();
    meddle(dir.path());
    let cache = LayerCache::open(dir.path(), ttl).unwrap();
    assert!(cache.get(&key("b")).unwrap().is_none());
    let layer = cache.get(&key("a")).unwrap();
    assert_eq!(layer.is_some(), found);
    if let Some(layer) = layer {
        assert_eq!(layer.diff_id, DiffId::of(b"tar"));
    }
}

fn file(parent: &Path, extension: &str) -> std::path::PathBuf {
    let entries = fs::read_dir(parent.join(NAME)).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.extension().unwrap() == extension)
        .unwrap()
}

#[test]
fn layers_come_back_unless_somebody_was_at_them() {
    check(DAY, |_| (), true);
    check(
        DAY,
        |dir| fs::write(file(dir, "layer"), b"CONTENT").unwrap(),
        false,
    );
    check(
        DAY,
        |dir| fs::write(file(dir, "layer"), b"content+").unwrap(),
        false,
    );
    check(
        DAY,
        |dir| fs::remove_file(file(dir, "layer")).unwrap(),
        false,
    );
    check(
        DAY,
        |dir| fs::write(file(dir, "record"), b"\xff").unwrap(),
        false,
    );
    check(
        DAY,
        |dir| fs::write(file(dir, "record"), "x\ny\n1").unwrap(),
        false,
    );
    let open_to_all = fs::Permissions::from_mode(0o777);
    check(
        DAY,
        |dir| fs::set_permissions(dir.join(NAME), open_to_all).unwrap(),
        false,
    );
    let moved = |dir: &Path| {
        fs::rename(dir.join(NAME), dir.join("other")).unwrap();
        symlink("other", dir.join(NAME)).unwrap();
    };
    check(DAY, moved, false);
    check(
        DAY,
        |dir| fs::remove_dir_all(dir.join(NAME)).unwrap(),
        false,
    );
}

#[test]
fn layers_grow_old() {
    let age = |dir: &Path| {
        for extension in ["layer", "record"] {
            let file = File::options()
                .write(true)
                .open(file(dir, extension))
                .unwrap();
            file.set_modified(SystemTime::now() - 2 * DAY).unwrap();
        }
    };
    check(3 * DAY, age, true);
    check(DAY, age, false);
}

#[test]
fn keys_differ_where_anything_does() {
    let base = key("base");
    assert_eq!(base.then(["a", "b"]), base.then(["a", "b"]));
    let others = [
        base,
        base.then(["a", "b"]),
        base.then(["ab"]),
        base.then(["a"]).then(["b"]),
        base.then(["a\n1 b"]),
        key("other").then(["a", "b"]),
    ];
    for (index, key) in others.iter().enumerate() {
        assert!(others.iter().skip(index + 1).all(|other| other != key));
    }
}
