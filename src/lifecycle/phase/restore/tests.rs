use super::*;
use crate::log::Level;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::label::{BuildpackRecord, LayerRecord};
use lifecycle_core::data::store::Store;
use lifecycle_core::error::{Error, ErrorKind};
use lifecycle_core::value::{Table, Value};
use lifecycle_image::cache::CacheUpdate;
use lifecycle_image::oci::DiffId;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const ALL: Decisions = Decisions {
    layers: Layers::Restored {
        cached_launch_metadata: true,
    },
    sbom: true,
};
const STORES_ONLY: Decisions = Decisions {
    layers: Layers::Skipped,
    sbom: false,
};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct MemoryCache {
    metadata: CacheMetadata,
    tars: BTreeMap<DiffId, Vec<u8>>,
    discarded: Mutex<Vec<DiffId>>,
}

impl Cache for MemoryCache {
    fn metadata(&self) -> Result<Option<CacheMetadata>> {
        Ok(Some(self.metadata.clone()))
    }

    fn open(&self, diff_id: &DiffId) -> Result<Box<dyn Read + Send>> {
        let tar = self.tars.get(diff_id).cloned();
        let missing = || Error::new(ErrorKind::NotFound, format!("failed to find {diff_id}"));
        tar.map(|tar| Box::new(Cursor::new(tar)) as Box<dyn Read + Send>)
            .ok_or_else(missing)
    }

    fn discard(&self, diff_id: &DiffId) {
        self.discarded.lock().unwrap().push(*diff_id);
    }

    fn update(&self) -> Result<Box<dyn CacheUpdate>> {
        Err(Error::other("read only"))
    }
}

/// A layers directory, a cache and a previous image of the buildpack `a/b`.
struct Build {
    dir: tempfile::TempDir,
    cache: MemoryCache,
    previous: LayersMetadata,
}

impl Build {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            cache: MemoryCache::default(),
            previous: LayersMetadata::default(),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn write(&self, below: &str, content: &str) {
        fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        fs::write(self.path(below), content).unwrap();
    }

    fn read(&self, below: &str) -> Option<String> {
        fs::read_to_string(self.path(below)).ok()
    }

    /// A tar with one file below the layers directory, kept in the cache.
    fn tar(&mut self, file: &str, content: &str) -> String {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let name = self.path(file);
        header.as_old_mut().name.fill(0);
        let name = name.to_str().unwrap().as_bytes();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
        let tar = tar.into_inner().unwrap();
        let diff_id = DiffId::of(&tar);
        self.cache.tars.insert(diff_id, tar);
        diff_id.to_string()
    }

    fn cached(mut self, layers: &[(&str, &str, &str)]) -> Self {
        self.cache.metadata.buildpacks = Some(vec![record(layers)]);
        self
    }

    fn in_image(mut self, layers: &[(&str, &str, &str)]) -> Self {
        self.previous.buildpacks = Some(vec![record(layers)]);
        self
    }

    /// Restores, and returns the log at level info.
    fn restore(&self, decisions: Decisions) -> Result<String> {
        let group = [GroupElement {
            kind: ModuleKind::Buildpack,
            id: "a/b".into(),
            version: "1".into(),
            api: "0.12".into(),
            homepage: None,
            optional: false,
        }];
        let buffer = Buffer::default();
        let log = Log::to(buffer.clone(), Level::Info, false);
        let sources = Sources {
            previous: &self.previous,
            cache: Some(&self.cache),
        };
        restore(
            self.dir.path(),
            &group,
            sources,
            decisions,
            &Workers::for_machine(),
            &log,
        )?;
        Ok(String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap())
    }
}

/// Layers by name, sha, and types as letters of `lbc`.
fn record(layers: &[(&str, &str, &str)]) -> BuildpackRecord {
    let layer = |(name, sha, types): &(&str, &str, &str)| {
        let layer = LayerRecord {
            sha: (*sha).into(),
            data: Some(Value::Table(Table::new().with("of", *sha))),
            build: types.contains('b'),
            launch: types.contains('l'),
            cache: types.contains('c'),
        };
        ((*name).to_owned(), layer)
    };
    BuildpackRecord {
        key: "a/b".into(),
        version: "1".into(),
        layers: Some(layers.iter().map(layer).collect()),
        store: None,
    }
}

#[test]
fn cached_layers_come_back() {
    let mut build = Build::new();
    let sha = build.tar("a_b/l/file", "content");
    let build = build.cached(&[("l", &sha, "c")]);
    let log = build.restore(ALL).unwrap();
    assert_eq!(
        log,
        "Restoring metadata for \"a/b:l\" from cache\nRestoring data for \"a/b:l\" from cache\n"
    );
    assert_eq!(build.read("a_b/l/file").as_deref(), Some("content"));
    assert_eq!(
        build.read("a_b/l.toml"),
        Some(format!("[metadata]\n  of = {sha:?}\n"))
    );
}

#[test]
fn what_a_killed_restoration_left_goes() {
    let build = Build::new();
    build.write(".restore-x/a_b/l/file", "content");
    build.write(".restored/file", "content");
    build.restore(STORES_ONLY).unwrap();
    let here = |name: &str| build.path(name).exists();
    assert_eq!((here(".restore-x"), here(".restored")), (false, true));
}

/// Metadata that is restored for a layer of these types, `-` standing for a layer that is not recorded.
fn check_metadata(in_image: &str, in_cache: &str, decisions: Decisions, expected: Option<&str>) {
    let layers = |types, sha| {
        if types == "-" {
            vec![]
        } else {
            vec![("l", sha, types)]
        }
    };
    let build = Build::new()
        .in_image(&layers(in_image, "image"))
        .cached(&layers(in_cache, "cache"));
    build.restore(decisions).unwrap();
    let expected = expected.map(|sha| format!("[metadata]\n  of = {sha:?}\n"));
    assert_eq!(build.read("a_b/l.toml"), expected, "{in_image} {in_cache}");
}

#[test]
fn types_decide_where_metadata_comes_from() {
    let old = Decisions {
        layers: Layers::Restored {
            cached_launch_metadata: false,
        },
        sbom: true,
    };
    check_metadata("l", "-", ALL, Some("image"));
    check_metadata("b", "-", ALL, None);
    check_metadata("lb", "-", ALL, None);
    check_metadata("lc", "-", ALL, None);
    check_metadata("lc", "l", ALL, None);
    check_metadata("-", "c", ALL, Some("cache"));
    check_metadata("-", "b", ALL, None);
    check_metadata("-", "lc", ALL, Some("cache"));
    check_metadata("-", "lc", old, None);
    check_metadata("l", "c", STORES_ONLY, None);
    // In the image's version the cache has no data: the layer is as good as lost.
    check_metadata("lc", "lc", ALL, None);
}

#[test]
fn damage_is_a_miss() {
    let mut build = Build::new();
    let good = DiffId::parse(&build.tar("a_b/l/file", "content")).unwrap();
    let absent = DiffId::of(b"absent");
    let elsewhere = DiffId::parse(&build.tar("other/file", "content")).unwrap();
    build.cache.tars.insert(good, b"rubbish".to_vec());
    let rubbish = DiffId::of(b"rubbish");
    for (sha, reason, discarded) in [
        (
            good.to_string(),
            format!("expected layer contents to have SHA '{good}'; found '{rubbish}'"),
            true,
        ),
        (
            absent.to_string(),
            format!("failed to find {absent}"),
            false,
        ),
        ("../x".into(), "'../x' is not a sha256 digest".into(), false),
    ] {
        build = build.cached(&[("l", &sha, "c")]);
        let log = build.restore(ALL).unwrap();
        let warning = format!("Warning: Skipping restore for layer a/b:l: {reason}\n");
        assert!(log.ends_with(&warning), "{log}");
        assert!(build.path("a_b/l.toml").exists() && !build.path("a_b/l").exists());
        let list = std::mem::take(&mut *build.cache.discarded.lock().unwrap());
        assert_eq!(!list.is_empty(), discarded);
    }
    let build = build.cached(&[("l", &elsewhere.to_string(), "c")]);
    assert!(
        build
            .restore(ALL)
            .unwrap()
            .contains("Warning: Skipping restore for layer a/b:l: ")
    );
    assert!(!build.path("other").exists());
}

#[test]
fn names_lead_nowhere_else() {
    let names = ["../x", "..", ".", "", "a/b", "nul\0"];
    let layers: Vec<_> = names.iter().map(|name| (*name, "sha", "lc")).collect();
    let build = Build::new().cached(&layers);
    let log = build.restore(ALL).unwrap();
    assert_eq!(
        log.matches("not a valid layer name").count(),
        names.len(),
        "{log}"
    );
    assert_eq!(fs::read_dir(build.dir.path()).unwrap().count(), 0);

    let outside = tempfile::tempdir().unwrap();
    let build = Build::new().cached(&[("l", "sha", "c")]);
    symlink(outside.path(), build.path("a_b")).unwrap();
    assert!(build.restore(ALL).is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn stale_layers_go() {
    let build = Build::new().cached(&[("l", "new", "c"), ("kept", "x", "")]);
    for file in ["l/file", "l.sha", "l.toml", "kept/file", "unknown/file"] {
        build.write(&format!("a_b/{file}"), "");
    }
    let log = build.restore(STORES_ONLY).unwrap();
    assert_eq!(
        log,
        "Skipping buildpack layer analysis\nRemoving \"a/b:l\", wrong sha\n"
    );
    for (file, stays) in [
        ("l", false),
        ("l.sha", false),
        ("l.toml", false),
        ("kept", true),
        ("unknown", true),
    ] {
        assert_eq!(build.path("a_b").join(file).exists(), stays, "{file}");
    }
}

#[test]
fn stores_come_back() {
    let mut build = Build::new();
    let store = Store {
        metadata: Some(Table::new().with("k", "v")),
    };
    let record = BuildpackRecord {
        key: "a/b".into(),
        store: Some(store),
        ..BuildpackRecord::default()
    };
    build.previous.buildpacks = Some(vec![record]);
    build.restore(STORES_ONLY).unwrap();
    assert_eq!(
        build.read("a_b/store.toml").as_deref(),
        Some("[metadata]\n  k = \"v\"\n")
    );
}

#[test]
fn sbom_files_go_to_their_layers() {
    let mut build = Build::new().in_image(&[("l", "image", "l")]);
    build.cache.metadata.sbom = build.tar("sbom/cache/a_b/c/sbom.cdx.json", "cached");
    build.write("sbom/launch/a_b/l/sbom.syft.json", "launch");
    build.write("sbom/launch/a_b/l/other.json", "no");
    build.write("sbom/launch/a_b/sbom.cdx.json", "of no layer");
    build.write("sbom/launch/other/l/sbom.cdx.json", "of no buildpack");
    build.write("secret", "secret");
    symlink(
        build.path("secret"),
        build.path("sbom/launch/a_b/l/sbom.link.json"),
    )
    .unwrap();
    let log = build.restore(ALL).unwrap();
    assert!(
        log.ends_with("Restoring data for SBOM from cache\n"),
        "{log}"
    );
    assert_eq!(build.read("a_b/c.sbom.cdx.json").as_deref(), Some("cached"));
    assert_eq!(
        build.read("a_b/l.sbom.syft.json").as_deref(),
        Some("launch")
    );
    let mode = fs::metadata(build.path("a_b/l.sbom.syft.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    let mut names: Vec<_> = fs::read_dir(build.path("a_b"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["c.sbom.cdx.json", "l.sbom.syft.json", "l.toml"]);
    assert!(!build.path("sbom").exists() && !build.path("other").exists());
}
