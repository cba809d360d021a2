//! The trees of FACTS appendix D, block edges, and the same bytes whatever the number of workers.

use super::*;
use flate2::read::MultiGzDecoder;
use lifecycle_core::data::launch::Slice;
use std::fs::{self, Permissions};
use std::num::NonZero;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

fn workers(threads: usize) -> Workers {
    Workers::new(NonZero::new(threads).unwrap())
}

fn write(path: &Path, content: impl AsRef<[u8]>, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn check(recipe: &LayerRecipe, size: u64, diff_id: &str) {
    let built = build(recipe, Outputs::default(), &workers(2)).unwrap();
    assert_eq!(
        (built.size, built.diff_id.to_string().as_str()),
        (size, diff_id),
        "{recipe:?}"
    );
}

fn process_types(types: &[&str]) -> LayerRecipe {
    let directories = ["/cnb", "/cnb/process"].map(|name| MadeEntry::Directory(name.to_owned()));
    let links = types.iter().map(|name| MadeEntry::Symlink {
        name: format!("/cnb/process/{name}"),
        target: "/cnb/lifecycle/launcher".to_owned(),
    });
    LayerRecipe::Entries(directories.into_iter().chain(links).collect())
}

#[test]
fn made_layers() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("launcher");
    write(&source, "launcher\n", 0o700);
    let rows = [
        (
            process_types(&["web"]),
            2560,
            "83d85471d9f8a3834b4e27cf701e3f0aef220cc816d9c173c7d32cd73909a590",
        ),
        (
            process_types(&["task", "web"]),
            3072,
            "50fb24583fd6ec39694addaeab106159aeaf1d6581b950b77337b9b04ab32331",
        ),
        (
            LayerRecipe::Entries(vec![
                MadeEntry::Directory("/cnb".to_owned()),
                MadeEntry::Directory("/cnb/lifecycle".to_owned()),
                MadeEntry::File {
                    name: "/cnb/lifecycle/launcher".to_owned(),
                    source,
                },
            ]),
            3072,
            "29ab6994a205a7ca19089f346ccd2ef69bbf4f321758ff6e0685970210d5e9b4",
        ),
        (
            LayerRecipe::Entries(vec![]),
            1024,
            "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
        ),
        (
            LayerRecipe::Entries(vec![MadeEntry::Directory("/cnb".to_owned())]),
            1536,
            "0760bad6537f1ab37155a2a3af741fd67ecc669ccef7cc734ec395703e875a19",
        ),
    ];
    for (recipe, size, hex) in rows {
        check(&recipe, size, &format!("sha256:{hex}"));
    }
}

/// A tree of many small files and some that span blocks.
fn tree(root: &Path) -> LayerRecipe {
    let sizes = [0, 1, 511, 512, 513, 100_000, 261_000, 262_144, 1_000_003];
    for (index, size) in (0..90).map(|index| (index, sizes[index % sizes.len()])) {
        let content: Vec<u8> = (0..size)
            .map(|at: usize| ((at.wrapping_mul(at) / 7) >> (index % 5)) as u8)
            .collect();
        write(
            &root.join(format!("tree/{}/{index}", index % 7)),
            content,
            0o644,
        );
    }
    LayerRecipe::Directory {
        path: root.join("tree"),
        uid: 1,
        gid: 2,
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_workers() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = tree(dir.path());
    let one = |threads: usize| {
        let mut tar = Vec::new();
        let spool = Spool::gzip(dir.path());
        let outputs = Outputs {
            blob: Some(spool),
            tar: Some(&mut tar),
        };
        let built = build(&recipe, outputs, &workers(threads)).unwrap();
        let blob = built.blob.unwrap();
        let compressed = fs::read(blob.file.path()).unwrap();
        assert_eq!(blob.descriptor.size, compressed.len() as u64);
        let mut inflated = Vec::new();
        MultiGzDecoder::new(&compressed[..])
            .read_to_end(&mut inflated)
            .unwrap();
        assert!(
            inflated == tar && built.size == tar.len() as u64,
            "{threads}"
        );
        if let Ok(status) = std::process::Command::new("gzip")
            .arg("-t")
            .stdin(blob.file.reopen().unwrap())
            .status()
        {
            assert!(status.success());
        }
        (built.diff_id, blob.descriptor, compressed, tar)
    };
    let (diff_id, descriptor, compressed, tar) = one(1);
    for threads in [2, 4, 8] {
        let other = one(threads);
        assert_eq!((other.0, other.1), (diff_id, descriptor.clone()));
        assert!(other.2 == compressed);
    }
    for entry in ::tar::Archive::new(&tar[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.header().entry_type().is_file() {
            assert!(content == fs::read(&path).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn layers_run_at_the_same_time_on_few_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = tree(dir.path());
    let workers = workers(1);
    let expected = diff_id(&recipe, &workers).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let spool = Spool::gzip(dir.path());
                let built = build(
                    &recipe,
                    Outputs {
                        blob: Some(spool),
                        tar: None,
                    },
                    &workers,
                )
                .unwrap();
                assert_eq!(built.diff_id, expected);
            });
        }
    });
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = LayerRecipe::Directory {
        path: dir.path().join("none"),
        uid: 0,
        gid: 0,
    };
    let error = diff_id(&recipe, &workers(1)).unwrap_err();
    assert_eq!(error.kind(), lifecycle_core::error::ErrorKind::NotFound);
    let path = dir.path().join("none");
    assert_eq!(
        error.to_string(),
        format!("lstat {}: no such file or directory", path.display())
    );
}

struct RemoveTree(&'static str);

impl Drop for RemoveTree {
    fn drop(&mut self) {
        fs::remove_dir_all(self.0).unwrap();
    }
}

/// The names and owners of the recorded trees take root and a fixed place; it is skipped where either is missing.
#[test]
fn trees_of_the_reference() {
    if !rustix::process::geteuid().is_root() || fs::create_dir("/vec").is_err() {
        return;
    }
    let _remove = RemoveTree("/vec");
    let mode = |path: &str, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let layer = Path::new("/vec/layers/some_bp/lay");
    for (path, content, mode) in [
        ("a/b", "hello\n", 0o644),
        ("a.txt", "", 0o600),
        ("bin/tool", "#!/bin/sh\n", 0o4755),
        ("é", "y", 0o644),
    ] {
        write(&layer.join(path), content, mode);
    }
    write(&layer.join("n".repeat(120)), "x", 0o644);
    symlink("a/b", layer.join("link")).unwrap();
    symlink("/nowhere", layer.join("dangling")).unwrap();
    fs::hard_link(layer.join("a/b"), layer.join("hard")).unwrap();
    fs::create_dir(layer.join("empty")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        layer.join("pipe"),
        rustix::fs::FileType::Fifo,
        0o640.into(),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(layer.join("socket")).unwrap();
    for (path, bits) in [
        ("", 0o755),
        ("/layers", 0o755),
        ("/layers/some_bp", 0o700),
        ("/layers/some_bp/lay", 0o750),
    ] {
        mode(&format!("/vec{path}"), bits);
    }
    for (path, bits) in [
        ("a", 0o755),
        ("bin", 0o755),
        ("empty", 0o1777),
        ("pipe", 0o640),
    ] {
        mode(&format!("/vec/layers/some_bp/lay/{path}"), bits);
    }
    chown("/vec/layers", Some(1000), Some(1001)).unwrap();
    check(
        &LayerRecipe::Directory {
            path: layer.to_owned(),
            uid: 1234,
            gid: 5678,
        },
        13824,
        "sha256:ced7a640a640c500dc197b43765bee7e1d84d3a88bee4fcc39ddb2ae22cd4f6f",
    );
    app_slices();
}

fn app_slices() {
    let app = Path::new("/vec/app");
    for (path, content) in [
        ("lib/l.rb", "l"),
        ("root.txt", "r"),
        ("static/a.js", "a"),
        ("static/b.js", "b"),
        ("static/d.css", "d"),
        ("static/sub/c.js", "c"),
    ] {
        write(&app.join(path), content, 0o644);
    }
    for path in ["", "lib", "static", "static/sub"] {
        fs::set_permissions(app.join(path), Permissions::from_mode(0o755)).unwrap();
    }
    for path in ["", "lib", "lib/l.rb", "root.txt", "static", "static/sub"] {
        chown(app.join(path), Some(1000), Some(1000)).unwrap();
    }
    let whole = "4f8eed9437a73bab389c1be308bf534b4d9b43d937a80e8f642527ebf4034bc0";
    let empty = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let rows: [(&[&[&str]], &[&str]); 4] = [
        (&[], &[whole]),
        (
            &[&["static/*.js"], &["static", "./*.txt"], &["nothing*"]],
            &[
                "fd2c98b417975f8bfb259016f2644596f72e561610099b6b3ee659be4cc0ea10",
                "9d112a412ac7c325f2de4fd0e8370bce9a04bc552d293a57662119e28c8b9853",
                empty,
                "8a09d6b1f50d59ebc4609e7f6e442a219bb5991fd2ede22f6df29580cd49e8a3",
            ],
        ),
        (&[&["*"]], &[whole, empty]),
        (
            &[&["static/a.js", "static/b.js", "static/sub/c.js"]],
            &[
                "03c230acdd07ccf9e0cf831e1ee843dd3703a5ff7e8839041c09d89d85981ed5",
                "4837db1d20b3e65818f45938f8da1318c04de0110e7579bf8a64ab1a4242f936",
            ],
        ),
    ];
    for (patterns, expected) in rows {
        let slices: Vec<_> = patterns
            .iter()
            .map(|paths| Slice {
                paths: paths.iter().map(|&p| p.to_owned()).collect(),
            })
            .collect();
        let recipes = slice::slices(app, &slices, 1234, 5678).unwrap();
        let workers = workers(2);
        let actual: Vec<String> = recipes
            .iter()
            .map(|recipe| diff_id(recipe, &workers).unwrap().hex())
            .collect();
        assert_eq!(actual, expected, "{patterns:?}");
    }
}
