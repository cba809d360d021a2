use super::*;
use lifecycle_core::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory that stands for the root, and where layers go.
struct World {
    root: tempfile::TempDir,
    spool: tempfile::TempDir,
    workers: Workers,
}

impl World {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            spool: tempfile::tempdir().unwrap(),
            workers: Workers::new(NonZero::<usize>::MIN),
        }
    }

    fn path(&self, relative: &str) -> std::path::PathBuf {
        self.root.path().join(relative)
    }

    fn write(&self, relative: &str, content: &str) {
        fs::create_dir_all(self.path(relative).parent().unwrap()).unwrap();
        fs::write(self.path(relative), content).unwrap();
    }

    fn snapshotter(&self, mode: Mode, ignored: &[&str]) -> Snapshotter<'_> {
        let ignored = Ignored::new(b"", ignored.iter().map(Path::new));
        let (spool, workers) = (self.spool.path(), &self.workers);
        Snapshotter::new(self.root.path(), ignored, mode, spool, workers).unwrap()
    }
}

/// The entries of a layer: type, name, and content or target.
fn entries(layer: &Layer) -> Vec<String> {
    let LayerSource::Spooled(blob) = &layer.source else {
        panic!("not spooled");
    };
    let tar = flate2::read::MultiGzDecoder::new(fs::File::open(blob.file.path()).unwrap());
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            content = target.display().to_string();
        }
        let name = entry.path().unwrap().display().to_string();
        let kind = char::from(entry.header().entry_type().as_byte());
        format!("{kind} {name} {content}").trim_end().to_owned()
    });
    entries.collect()
}

/// What a layer holds after `change` was applied to a tree.
fn check(mode: Mode, change: impl FnOnce(&World), expected: &[&str]) {
    let world = World::new();
    for (path, content) in [
        ("a/1", "one"),
        ("a/2", "two"),
        ("b/c/d", "deep"),
        ("top", "t"),
    ] {
        world.write(path, content);
    }
    symlink("top", world.path("link")).unwrap();
    let mut snapshotter = world.snapshotter(mode, &["/ignored"]);
    snapshotter.begin().unwrap();
    change(&world);
    let (layer, _) = snapshotter.changes().unwrap();
    assert_eq!(entries(&layer), expected);
    let (layer, _) = snapshotter.changes().unwrap();
    assert_eq!(entries(&layer), [""; 0], "nothing changed since");
}

#[test]
fn layers_hold_what_changed() {
    type Row<'a> = (fn(&World), &'a [&'a str]);
    let rows: [Row<'_>; 12] = [
        (|_| (), &[]),
        (|w| w.write("new", "n"), &["0 new n"]),
        (|w| w.write("a/x/y", "n"), &["5 a/", "5 a/x/", "0 a/x/y n"]),
        (|w| w.write("a/1", "eno"), &["5 a/", "0 a/1 eno"]),
        (
            |w| fs::remove_file(w.path("a/2")).unwrap(),
            &["5 a/", "0 a/.wh.2"],
        ),
        (|w| fs::remove_dir_all(w.path("b")).unwrap(), &["0 .wh.b"]),
        (
            |w| {
                fs::remove_dir_all(w.path("b")).unwrap();
                w.write("b", "file");
            },
            &["0 b file"],
        ),
        (
            |w| {
                fs::remove_file(w.path("top")).unwrap();
                w.write("top/in", "x");
            },
            &["5 top/", "0 top/in x"],
        ),
        (
            |w| {
                fs::remove_dir_all(w.path("b")).unwrap();
                fs::create_dir_all(w.path("b/e")).unwrap();
            },
            &["5 b/", "0 b/.wh.c", "5 b/e/"],
        ),
        (
            |w| {
                fs::remove_file(w.path("link")).unwrap();
                symlink("a/1", w.path("link")).unwrap();
            },
            &["2 link a/1"],
        ),
        (
            |w| fs::set_permissions(w.path("a"), fs::Permissions::from_mode(0o700)).unwrap(),
            &["5 a/"],
        ),
        (|w| w.write("ignored/x", "x"), &[]),
    ];
    rows.into_iter()
        .for_each(|(change, expected)| check(Mode::Full, change, expected));
}

#[test]
fn links_stay_links_and_sockets_stay_out() {
    let change = |world: &World| {
        fs::hard_link(world.path("a/1"), world.path("b/other")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(world.path("socket")).unwrap());
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, world.path("fifo"), fifo, 0o600.into(), 0).unwrap();
    };
    let expected = ["5 a/", "0 a/1 one", "5 b/", "1 b/other a/1", "6 fifo"];
    check(Mode::Full, change, &expected);
}

#[test]
fn long_and_odd_names_survive() {
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(200));
    let world = World::new();
    let mut snapshotter = world.snapshotter(Mode::Full, &[]);
    snapshotter.begin().unwrap();
    world.write(&long, "x");
    world.write("é x", "y");
    world.write(".wh.fake", "z");
    let (layer, notes) = snapshotter.changes().unwrap();
    let directory = format!("5 {}/", "d".repeat(150));
    assert_eq!(
        entries(&layer),
        [directory, format!("0 {long} x"), "0 é x y".to_owned()]
    );
    assert_eq!(notes.left_out, [b".wh.fake"]);
}

/// Rewrites a file with as many bytes, and puts its modification time back.
fn rewrite_in_secret(world: &World) {
    let path = world.path("a/1");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all(b"ONE").unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn modes_differ_in_what_counts() {
    check(Mode::Full, rewrite_in_secret, &["5 a/", "0 a/1 ONE"]);
    check(Mode::Redo, rewrite_in_secret, &[]);
    check(Mode::Time, rewrite_in_secret, &[]);
    let chmod = |world: &World| {
        fs::set_permissions(world.path("a/1"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    check(Mode::Full, chmod, &["5 a/", "0 a/1 one"]);
    check(Mode::Redo, chmod, &["5 a/", "0 a/1 one"]);
    check(Mode::Time, chmod, &[]);
}

/// Same size, same tick of the clock where it is coarse: only the content tells. None of 10,000 edits may be missed.
#[test]
fn edits_within_a_tick_are_found() {
    const FILES: usize = 1000;
    const ROUNDS: usize = 10;
    let world = World::new();
    let write = |round: usize| {
        for number in 0..FILES {
            world.write(
                &format!("d{}/f{number}", number % 100),
                &format!("{round:04}"),
            );
        }
    };
    let mut snapshotter = world.snapshotter(Mode::Full, &[]);
    write(0);
    snapshotter.begin().unwrap();
    let mut found = 0;
    for round in 1..=ROUNDS {
        write(round);
        let (layer, _) = snapshotter.changes().unwrap();
        let content = format!(" {round:04}");
        let entries = entries(&layer);
        found += entries
            .iter()
            .filter(|entry| entry.ends_with(&content))
            .count();
    }
    assert_eq!(found, FILES * ROUNDS);
}

#[test]
fn named_files_come_with_their_parents_and_count_as_known() {
    let world = World::new();
    world.write("a/b/file", "x");
    world.write("other", "y");
    let mut snapshotter = world.snapshotter(Mode::Full, &["/a/ignored"]);
    let named = ["a/b/file", "a/ignored/z"].map(|path| path.as_bytes().to_vec());
    let (layer, _) = snapshotter.files(&named).unwrap();
    assert_eq!(entries(&layer), ["5 a/", "5 a/b/", "0 a/b/file x"]);
    snapshotter.begin().unwrap();
    world.write("a/c/file", "z");
    let named = ["a/c", "a/c/file"].map(|path| path.as_bytes().to_vec());
    let (layer, _) = snapshotter.files(&named).unwrap();
    assert_eq!(entries(&layer), ["5 a/", "5 a/c/", "0 a/c/file z"]);
    assert_eq!(entries(&snapshotter.changes().unwrap().0), [""; 0]);
    world.write("a/c/file", "Z");
    assert_eq!(
        entries(&snapshotter.changes().unwrap().0),
        ["5 a/", "5 a/c/", "0 a/c/file Z"]
    );
}

#[test]
fn unreadable_roots_are_errors() {
    let world = World::new();
    let (spool, workers) = (world.spool.path(), &world.workers);
    let missing = world.path("missing");
    let result = Snapshotter::new(&missing, Ignored::default(), Mode::Full, spool, workers);
    let text = result.map(drop).map_err(|error: Error| error.to_string());
    assert!(text.unwrap_err().starts_with("open "));
}
