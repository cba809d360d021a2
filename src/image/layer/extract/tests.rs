//! What a layer's tar may do, and what it may not.

use super::*;
use crate::layer::header::{EntryKind, Header, TRAILER, padding};
use sha2::{Digest, Sha256};
use std::fs::{self, Permissions};
use std::num::NonZero;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;

/// An entry of a tar: name, kind, mode, link target, content.
type Row<'r> = (&'r str, EntryKind, u32, &'r str, &'r [u8]);
const DIR: EntryKind = EntryKind::Directory;
const FILE: EntryKind = EntryKind::File;
const LINK: EntryKind = EntryKind::Symlink;
const HARD: EntryKind = EntryKind::HardLink;

/// A layers directory.
struct Layers(TempDir);

impl Layers {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("layers")).unwrap();
        fs::write(dir.path().join("outside"), "outside").unwrap();
        Self(dir)
    }

    fn base(&self) -> PathBuf {
        self.0.path().join("layers")
    }

    /// A tar of entries whose names and hard link targets may begin with `@`, the layers directory.
    fn tar(&self, rows: &[Row<'_>]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, kind, mode, link, content) in rows {
            let name = name.replace('@', self.base().to_str().unwrap());
            let link = link.replace('@', self.base().to_str().unwrap());
            let header = Header::new(*kind, name.as_bytes(), *mode, 0, 0);
            let size = content.len() as u64;
            Header {
                link: link.as_bytes(),
                size,
                ..header
            }
            .encode(&mut tar)
            .unwrap();
            tar.extend_from_slice(content);
            tar.resize(tar.len() + padding(size), 0);
        }
        tar.resize(tar.len() + TRAILER, 0);
        tar
    }

    fn extract(&self, tar: &[u8]) -> Result<Extracted> {
        self.extract_as(tar, DiffId::from_bytes(Sha256::digest(tar).into()))
    }

    fn extract_as(&self, tar: &[u8], diff_id: DiffId) -> Result<Extracted> {
        let workers = Workers::new(NonZero::new(2).unwrap());
        extract(
            tar,
            diff_id,
            &self.base(),
            &self.base().join("bp/layer"),
            &workers,
        )
    }

    /// Everything below the temporary directory but itself: path, mode, and content or target.
    fn tree(&self) -> Vec<String> {
        let mut tree = Vec::new();
        let mut waiting = vec![self.0.path().to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                let what = if meta.is_dir() {
                    waiting.push(path.clone());
                    format!("{:o}", meta.mode() & 0o7777)
                } else if meta.is_symlink() {
                    format!("-> {}", fs::read_link(&path).unwrap().display())
                } else {
                    format!(
                        "{:o} {}",
                        meta.mode() & 0o7777,
                        fs::read_to_string(&path).unwrap()
                    )
                };
                let path = path.strip_prefix(self.0.path()).unwrap();
                tree.push(format!("{} {what}", path.display()));
            }
        }
        tree.sort();
        tree
    }
}

/// Extracts into an empty layers directory and compares what is there.
fn check(rows: &[Row<'_>], expected: &[&str]) {
    let layers = Layers::new();
    layers.extract(&layers.tar(rows)).unwrap();
    let tree = layers.tree();
    let layer: Vec<_> = tree
        .iter()
        .filter_map(|line| line.strip_prefix("layers/"))
        .collect();
    assert_eq!(layer, expected);
}

/// Extracts into an empty layers directory: kind `Corrupt` with this text, and nothing changed.
fn check_refused(rows: &[Row<'_>], text: &str) {
    let layers = Layers::new();
    let before = layers.tree();
    let error = layers.extract(&layers.tar(rows)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    assert_eq!(layers.tree(), before, "{text}");
}

#[test]
fn layers_come_back() {
    let long = format!("@/bp/layer/{}/é", "d".repeat(120));
    check(
        &[
            ("@", DIR, 0o700, "", b""),
            ("@/bp", DIR, 0o750, "", b""),
            ("@/bp/layer", DIR, 0o755, "", b""),
            ("@/bp/layer/a", FILE, 0o644, "", b"a"),
            ("@/bp/layer/closed", DIR, 0o555, "", b""),
            ("@/bp/layer/closed/in", FILE, 0o400, "", b"in"),
            ("@/bp/layer/empty", FILE, 0o600, "", b""),
            ("@/bp/layer/hard", HARD, 0o644, "@/bp/layer/a", b""),
            ("@/bp/layer/open", DIR, 0o1777, "", b""),
            ("@/bp/layer/out", LINK, 0o777, "/etc/passwd", b""),
            ("@/bp/layer/setgid", DIR, 0o2755, "", b""),
            ("@/bp/layer/setuid", FILE, 0o6755, "", b"s"),
            ("@/bp/layer/unlisted/x", FILE, 0o666, "", b"x"),
            (&long, FILE, 0o644, "", b"long"),
        ],
        &[
            "bp 750",
            "bp/layer 755",
            "bp/layer/a 644 a",
            "bp/layer/closed 555",
            "bp/layer/closed/in 400 in",
            &format!("bp/layer/{} 755", "d".repeat(120)),
            &format!("bp/layer/{}/é 644 long", "d".repeat(120)),
            "bp/layer/empty 600 ",
            "bp/layer/hard 644 a",
            "bp/layer/open 1777",
            "bp/layer/out -> /etc/passwd",
            "bp/layer/setgid 2755",
            "bp/layer/setuid 755 s",
            "bp/layer/unlisted 755",
            "bp/layer/unlisted/x 666 x",
        ],
    );
}

#[test]
fn entries_stay_below_their_layer() {
    let device = EntryKind::CharDevice;
    let rows: [(&[Row<'_>], &str); 19] = [
        (&[("/etc/x", FILE, 0o644, "", b"x")], "outside of its layer"),
        (&[("@/../outside", FILE, 0o644, "", b"x")], "'..'"),
        (
            &[("@/bp/layer/../../../outside", FILE, 0o644, "", b"x")],
            "'..'",
        ),
        (&[("../../etc/x", FILE, 0o644, "", b"x")], "'..'"),
        (
            &[("@/bp/other/x", FILE, 0o644, "", b"x")],
            "outside of its layer",
        ),
        (
            &[("@/bp/layer.toml", FILE, 0o644, "", b"x")],
            "outside of its layer",
        ),
        (
            &[("@/bp/layerx", DIR, 0o755, "", b"")],
            "outside of its layer",
        ),
        (&[("@/bp", LINK, 0o777, "/", b"")], "not a directory"),
        (&[("@", FILE, 0o644, "", b"x")], "not a directory"),
        (&[("@/bp/layer", LINK, 0o777, "/", b"")], "not a directory"),
        (
            &[
                ("@/bp/layer/l", LINK, 0o777, "/", b""),
                ("@/bp/layer/l/x", FILE, 0o644, "", b"x"),
            ],
            "below something else",
        ),
        (
            &[
                ("@/bp/layer/l", LINK, 0o777, "..", b""),
                ("@/bp/layer/l/x/y", DIR, 0o755, "", b""),
            ],
            "below something else",
        ),
        (
            &[
                ("@/bp/layer/l", LINK, 0o777, ".", b""),
                ("@/bp/layer/l", DIR, 0o755, "", b""),
            ],
            "twice",
        ),
        (
            &[
                ("@/bp/layer/l", LINK, 0o777, "../../../outside", b""),
                ("@/bp/layer/l", FILE, 0o644, "", b"x"),
            ],
            "twice",
        ),
        (
            &[("@/bp/layer/h", HARD, 0o644, "/etc/passwd", b"")],
            "outside of its layer",
        ),
        (
            &[("@/bp/layer/h", HARD, 0o644, "@/bp/layer/none", b"")],
            "no earlier file",
        ),
        (
            &[
                ("@/bp/layer/l", LINK, 0o777, "/etc/passwd", b""),
                ("@/bp/layer/h", HARD, 0o644, "@/bp/layer/l", b""),
            ],
            "something else than a file",
        ),
        (
            &[("@/bp/layer/d", device, 0o666, "", b"")],
            "unknown file type in tar",
        ),
        (
            &[("@/bp/layer/p", EntryKind::Fifo, 0o666, "", b"")],
            "unknown file type in tar",
        ),
    ];
    for (rows, text) in rows {
        check_refused(rows, text);
    }
}

#[test]
fn links_on_disk_are_not_followed() {
    for at in ["bp", "bp/layer", "bp/layer/d"] {
        let layers = Layers::new();
        let outside = layers.0.path().join("target");
        fs::create_dir_all(outside.join("layer/d")).unwrap();
        fs::create_dir_all(layers.base().join(at).parent().unwrap()).unwrap();
        symlink(&outside, layers.base().join(at)).unwrap();
        let rows: [Row<'_>; 2] = [
            ("@/bp/layer/d", DIR, 0o755, "", b""),
            ("@/bp/layer/d/f", FILE, 0o644, "", b"x"),
        ];
        let result = layers.extract(&layers.tar(&rows));
        // Inside of its layer an entry replaces the link; above it nothing is touched.
        assert_eq!(result.is_ok(), at == "bp/layer/d", "{at}");
        let below: Vec<_> = layers
            .tree()
            .into_iter()
            .filter(|line| line.starts_with("target"))
            .collect();
        assert_eq!(
            below,
            ["target 755", "target/layer 755", "target/layer/d 755"],
            "{at}"
        );
    }
}

#[test]
fn what_is_there_is_merged() {
    let layers = Layers::new();
    let layer = layers.base().join("bp/layer");
    fs::create_dir_all(layer.join("d")).unwrap();
    fs::set_permissions(layer.join("d"), Permissions::from_mode(0o711)).unwrap();
    for name in ["old", "file", "d/old"] {
        fs::write(layer.join(name), "old").unwrap();
        fs::set_permissions(layer.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    symlink("../../../outside", layer.join("link")).unwrap();
    let rows: [Row<'_>; 4] = [
        ("@/bp/layer/d", DIR, 0o500, "", b""),
        ("@/bp/layer/d/new", FILE, 0o644, "", b"new"),
        ("@/bp/layer/file", FILE, 0o644, "", b"new"),
        ("@/bp/layer/link", FILE, 0o644, "", b"new"),
    ];
    layers.extract(&layers.tar(&rows)).unwrap();
    let tree = layers.tree();
    let expected = [
        "layers/bp/layer/d 711",
        "layers/bp/layer/d/new 644 new",
        "layers/bp/layer/d/old 600 old",
        "layers/bp/layer/file 644 new",
        "layers/bp/layer/link 644 new",
        "layers/bp/layer/old 600 old",
        "outside 644 outside",
    ];
    assert_eq!(tree[3..], expected);
}

#[test]
fn a_wrong_digest_leaves_nothing() {
    let layers = Layers::new();
    let (before, diff_id) = (layers.tree(), DiffId::from_bytes([7; 32]));
    let good = layers.tar(&[("@/bp/layer/a", FILE, 0o644, "", b"a")]);
    let evil = layers.tar(&[("/etc/x", FILE, 0o644, "", b"a")]);
    for tar in [&good, &evil, &good[..700], b"not the same", b""] {
        let error = layers.extract_as(tar, diff_id).unwrap_err();
        let found = DiffId::from_bytes(Sha256::digest(tar).into());
        let text = format!("expected layer contents to have SHA '{diff_id}'; found '{found}'");
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Corrupt, text)
        );
        assert_eq!(layers.tree(), before);
    }
}

#[test]
fn malformed_tars_are_corrupt() {
    let layers = Layers::new();
    let good = layers.tar(&[("@/bp/layer/a", FILE, 0o644, "", &[b'a'; 2000])]);
    let mut checksum = good.clone();
    checksum[0] ^= 1;
    let bomb = |flag: u8, size: u64| {
        let mut tar = layers.tar(&[("@/bp/layer/a", FILE, 0o644, "", b"")]);
        tar[156] = flag;
        tar[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        tar[148..156].copy_from_slice(b"        ");
        let sum: u32 = tar[..512].iter().map(|&byte| u32::from(byte)).sum();
        tar[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.truncate(512);
        tar.resize(8 << 20, b'x');
        tar
    };
    let rows = [
        checksum,
        good[..1500].to_vec(),
        vec![1; 5000],
        bomb(b'x', 1 << 32),
        bomb(b'L', 8 << 20),
        bomb(b'g', 8 << 20),
        bomb(b'0', 1 << 32),
        bomb(b'S', 4096),
    ];
    let before = layers.tree();
    for (index, tar) in rows.iter().enumerate() {
        let error = layers.extract(tar).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{index}: {error}");
        assert_eq!(layers.tree(), before, "{index}");
    }
}

#[test]
fn a_failing_reader_is_not_corruption() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }
    let layers = Layers::new();
    let workers = Workers::new(NonZero::<usize>::MIN);
    let error = extract(
        Failing,
        DiffId::from_bytes([0; 32]),
        &layers.base(),
        &layers.base(),
        &workers,
    )
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Other, "read layer: input/output error")
    );
}

#[test]
fn what_was_built_comes_back_the_same() {
    let layers = Layers::new();
    let layer = layers.base().join("bp/layer");
    for index in 0..300_usize {
        let path = layer.join(format!("{}/{}/{index}", index % 7, index % 5));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![index as u8; index * index * 7]).unwrap();
    }
    let workers = Workers::new(NonZero::new(2).unwrap());
    let recipe = crate::layer::LayerRecipe::Directory {
        path: layer.clone(),
        uid: 1,
        gid: 2,
    };
    let mut tar = Vec::new();
    let outputs = crate::layer::Outputs {
        blob: None,
        tar: Some(&mut tar),
    };
    let built = crate::layer::build(&recipe, outputs, &workers).unwrap();
    fs::remove_dir_all(layers.base().join("bp")).unwrap();
    let extracted = layers.extract_as(&tar, built.diff_id).unwrap();
    assert_eq!(extracted.fingerprint, Fingerprint::of(&recipe).unwrap());
    assert_eq!(
        crate::layer::diff_id(&recipe, &workers).unwrap(),
        built.diff_id
    );
}
