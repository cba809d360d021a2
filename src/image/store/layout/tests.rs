use super::*;
use crate::layer::{BlobSource, Layer, LayerSource, SpooledBlob};
use crate::oci::{Config, Descriptor, DiffId, History, ManifestKind};
use lifecycle_core::value::Table;
use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;

const STORE: fn() -> LayoutStore = || LayoutStore {
    root: PathBuf::from("/l"),
    platform: Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
    },
};

fn layer(content: &str) -> Layer {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    let descriptor = Descriptor::of(content.as_bytes(), ManifestKind::Docker.layer());
    let history = Some(History {
        created_by: content.to_owned(),
        ..History::default()
    });
    let source = LayerSource::Spooled(Arc::new(SpooledBlob { descriptor, file }));
    Layer {
        diff_id: DiffId::of(content.as_bytes()),
        history,
        source,
    }
}

fn image(layers: &[&str]) -> Image {
    let config = Config::new("linux", "amd64")
        .with_created("1980-01-01T00:00:01Z")
        .with_label("k", "v");
    Image::new(ManifestKind::Oci, config).append(layers.iter().map(|content| layer(content)))
}

fn save(dir: &Path, image: &Image) -> Saved {
    let saved = STORE()
        .save(image, &[dir.to_str().unwrap().to_owned()])
        .unwrap();
    assert!(
        saved.names.iter().all(|(_, result)| result.is_ok()),
        "{saved:?}"
    );
    saved
}

fn open(name: &str) -> Opened {
    STORE().open(name).unwrap().unwrap()
}

#[test]
fn what_is_saved_opens() {
    let root = tempfile::tempdir().unwrap();
    let store = LayoutStore {
        root: root.path().to_owned(),
        ..STORE()
    };
    let (name, dir) = ("r.example/repo", root.path().join("r.example/repo/latest"));
    assert!(store.open(name).unwrap().is_none());
    let saved = store.save(&image(&["a", "b"]), &[name.to_owned()]).unwrap();
    let opened = store.open(name).unwrap().unwrap();
    assert_eq!(opened.identifier, saved.short_id);
    assert_eq!(open(dir.to_str().unwrap()).identifier, saved.short_id);
    assert_eq!(open(&opened.identifier).identifier, saved.short_id);
    assert_eq!(opened.image.config.label("k"), Some("v"));
    let [first, second] = opened.image.layers.as_slice() else {
        panic!("two layers")
    };
    assert_eq!(first.history.as_ref().unwrap().created_by, "a");
    let LayerSource::Stored { descriptor, blobs } = &second.source else {
        panic!("stored")
    };
    assert_eq!(descriptor.media_type, ManifestKind::Oci.layer());
    assert!(blobs.holds(descriptor).unwrap());
    let mut content = String::new();
    blobs
        .open(descriptor)
        .unwrap()
        .unwrap()
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!(content, "b");
    let index = fs::read_to_string(dir.join("index.json")).unwrap();
    let (digest, size) = (
        saved.short_id.split_once('@').unwrap().1,
        saved.manifest_size.unwrap(),
    );
    assert_eq!(
        index,
        format!(
            "{{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.oci.image.index.v1+json\",\n   \
             \"manifests\": [\n      {{\n         \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\",\n         \
             \"size\": {size},\n         \"digest\": \"{digest}\",\n         \"annotations\": {{\n            \
             \"org.opencontainers.image.ref.name\": \"latest\"\n         }}\n      }}\n   ]\n}}"
        )
    );
}

#[test]
fn base_layers_without_data_stay_away() {
    let dir = tempfile::tempdir().unwrap();
    let (base, app) = (dir.path().join("base"), dir.path().join("app"));
    save(&base, &image(&["a", "b"]));
    fs::remove_file(read::blob_path(&base, &Digest::of(b"a"))).unwrap();
    let edited = open(base.to_str().unwrap()).image.append([layer("c")]);
    save(&app, &edited);
    let present = ["a", "b", "c"]
        .map(|content| read::blob_path(&app, &Digest::of(content.as_bytes())).exists());
    assert_eq!(present, [false, true, true]);
    let opened = open(app.to_str().unwrap()).image;
    let created: Vec<_> = opened
        .layers
        .iter()
        .map(|l| l.history.as_ref().unwrap().created_by.clone())
        .collect();
    assert_eq!(created, ["a", "b", "c"]);
}

#[test]
fn a_failed_save_leaves_the_old_image() {
    struct Broken;
    impl BlobSource for Broken {
        fn open(&self, _: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
            Ok(Some(Box::new(crate::oci::Verified::blob(
                &b"other"[..],
                &Digest::of(b"good"),
                5,
            ))))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &image(&["a"]));
    let before = fs::read(dir.path().join("index.json")).unwrap();
    let descriptor = Descriptor::of(b"good", "");
    let source = LayerSource::Stored {
        descriptor,
        blobs: Arc::new(Broken),
    };
    let broken = image(&["a"]).append([Layer {
        diff_id: DiffId::of(b""),
        history: None,
        source,
    }]);
    let name = dir.path().to_str().unwrap().to_owned();
    let error = STORE().save(&broken, &[name]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(fs::read(dir.path().join("index.json")).unwrap(), before);
    assert_eq!(
        fs::read_dir(dir.path().join("blobs/sha256"))
            .unwrap()
            .count(),
        3
    );
}

fn check_hostile(break_it: impl FnOnce(&Path), cause: &str) {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &image(&["a"]));
    break_it(dir.path());
    let error = STORE()
        .open(dir.path().to_str().unwrap())
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains(cause), "{error}");
}

#[test]
fn hostile_layouts_are_refused() {
    let edit = |from: &'static str, to: &'static str| {
        move |dir: &Path| {
            let index = fs::read_to_string(dir.join("index.json")).unwrap();
            assert!(index.contains(from));
            fs::write(dir.join("index.json"), index.replace(from, to)).unwrap();
        }
    };
    let manifest = |dir: &Path| {
        open(dir.to_str().unwrap())
            .image
            .origin
            .unwrap()
            .manifest_descriptor
            .digest
    };
    check_hostile(edit("sha256:", "sha256:../../"), "is not a sha256 digest");
    check_hostile(edit("\"size\": ", "\"size\": 99"), "does not match");
    check_hostile(edit("\"size\": ", "\"size\": 99999999"), "at most");
    check_hostile(
        edit("\"size\": ", "\"size\": -"),
        "size is missing or negative",
    );
    check_hostile(edit("image.manifest", "image.index"), "where");
    check_hostile(
        |dir| fs::write(dir.join("index.json"), "{").unwrap(),
        "index.json",
    );
    check_hostile(
        |dir| fs::write(dir.join("index.json"), "{}").unwrap(),
        "unsupported media type",
    );
    check_hostile(
        |dir| fs::write(dir.join("index.json"), vec![b' '; 5 << 20]).unwrap(),
        "more than",
    );
    check_hostile(
        |dir| fs::write(read::blob_path(dir, &manifest(dir)), "{}").unwrap(),
        "does not match",
    );
    check_hostile(
        |dir| fs::remove_file(read::blob_path(dir, &manifest(dir))).unwrap(),
        "is missing",
    );
    check_hostile(
        |dir| {
            let path = read::blob_path(dir, &manifest(dir));
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        },
        "is a symbolic link",
    );
}

#[test]
fn an_index_with_platforms_is_resolved() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &image(&["a"]));
    let amd64 = open(dir.path().to_str().unwrap()).image.origin.unwrap();
    let amd64 = &amd64.manifest_descriptor;
    let entry = |architecture: &str, digest: Digest| {
        let size = amd64.size;
        format!(
            r#"{{"mediaType":"{}","size":{size},"digest":"{digest}","platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            amd64.media_type
        )
    };
    let write = |entries: &[String]| {
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        );
        fs::write(dir.path().join("index.json"), index).unwrap();
    };
    let name = dir.path().to_str().unwrap();
    write(&[
        entry("arm64", Digest::of(b"other")),
        entry("amd64", amd64.digest),
    ]);
    assert!(open(name).identifier.ends_with(&amd64.digest.to_string()));
    write(&[
        entry("arm64", Digest::of(b"other")),
        entry("s390x", amd64.digest),
    ]);
    assert_eq!(
        STORE().open(name).map(|_| ()).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert!(
        open(&format!("{name}@{}", amd64.digest))
            .identifier
            .ends_with(&amd64.digest.to_string())
    );
}

#[test]
fn references_become_paths() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let below = digest.replace(':', "/");
    for (name, expected) in [
        ("app", "/l/index.docker.io/library/app/latest"),
        ("r.example:5000/a//b:t", "/l/r.example:5000/a/b/t"),
        (
            &format!("app@{digest}"),
            &format!("/l/index.docker.io/library/app/{below}"),
        ),
        ("/l/app", "/l/app"),
        (&format!("/l/app@{digest}"), "/l/app"),
    ] {
        assert_eq!(STORE().display_name(name), expected, "{name}");
    }
    for name in ["../app", "r.example/../../app", "app:.."] {
        let error = STORE().open(name).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArguments, "{name}");
    }
}

#[test]
fn every_name_has_its_own_annotation() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore {
        root: dir.path().to_owned(),
        ..STORE()
    };
    let saved = store
        .save(
            &image(&["a"]),
            &["app:one".to_owned(), "app:two".to_owned()],
        )
        .unwrap();
    assert!(saved.names.iter().all(|(_, result)| result.is_ok()));
    for tag in ["one", "two"] {
        let layout = dir.path().join("index.docker.io/library/app").join(tag);
        let index = fs::read_to_string(layout.join("index.json")).unwrap();
        assert!(
            index.contains(&format!("\"{REF_NAME}\": \"{tag}\"")),
            "{index}"
        );
        let annotations = store
            .open(&format!("app:{tag}"))
            .unwrap()
            .unwrap()
            .image
            .annotations;
        assert_eq!(annotations, Table::new().with(REF_NAME, "one"));
    }
}

#[test]
fn earlier_images_stay_reachable_by_digest() {
    let dir = tempfile::tempdir().unwrap();
    let first = save(dir.path(), &image(&["a"])).short_id;
    save(dir.path(), &image(&["b"]));
    assert_eq!(open(&first).identifier, first);
    let unknown = format!("{}@{}", dir.path().display(), Digest::of(b"unknown"));
    let error = STORE().open(&unknown).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
