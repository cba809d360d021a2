use super::*;
use crate::extend::snapshot::{Ignored, Mode, Snapshotter};
use crate::log::{Level, tests::Buffer};
use lifecycle_core::data::ModuleKind;
use lifecycle_image::layer::Workers;
use lifecycle_image::oci::{Config, ManifestKind};
use std::fs;
use std::num::NonZero;

/// A volume with a base image, `<generated>`, and a root.
struct World {
    dir: tempfile::TempDir,
    reference: String,
    workers: Workers,
}

/// What an extension leaves: paths below `<generated>`, and what they say.
type Files<'a> = &'a [(&'a str, &'a str)];

impl World {
    fn new(user: &str, files: Files<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new("linux", "amd64").with_user(user);
        let image = Image::new(ManifestKind::Oci, config);
        let digest = digest_of(&image);
        let layout = dir.path().join("bases").join(digest.to_string());
        let saved = store().save(&image, &[layout.display().to_string()]);
        assert!(
            saved
                .unwrap()
                .names
                .iter()
                .all(|(_, result)| result.is_ok())
        );
        for directory in ["app", "root", "spool"] {
            fs::create_dir(dir.path().join(directory)).unwrap();
        }
        for (path, text) in files {
            let path = dir.path().join("generated").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self {
            dir,
            reference: format!("test/base@{digest}"),
            workers: Workers::new(NonZero::<usize>::MIN),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn machine<'m>(&'m self, spool: &'m Path) -> Machine<'m> {
        let root = self.path("root");
        let ignored = Ignored::new(b"", []);
        let snapshotter = Snapshotter::new(&root, ignored, Mode::Full, spool, &self.workers);
        let log = Log::to(Buffer::default(), Level::Info, false);
        Machine::new(&root, None, snapshotter.unwrap(), None, Vec::new(), log)
    }

    /// The image and what was logged.
    fn extend(&self, kind: DockerfileKind, layout: Layout) -> (Result<Extended>, String) {
        let extensions = ["a/b", "c"].map(|id| GroupElement {
            kind: ModuleKind::Extension,
            id: id.to_owned(),
            version: "1".to_owned(),
            api: "0.10".to_owned(),
            homepage: None,
            optional: false,
        });
        let (bases, generated, app) =
            (self.path("bases"), self.path("generated"), self.path("app"));
        let job = Extend {
            kind,
            reference: &self.reference,
            bases: &bases,
            extensions: &extensions,
            generated_dir: &generated,
            layout,
            app_dir: &app,
        };
        let buffer = Buffer::default();
        let log = Log::to(buffer.clone(), Level::Debug, false);
        let spool = self.path("spool");
        let extended = extend(&job, || Ok(self.machine(&spool)), &log);
        (extended, buffer.text())
    }
}

/// The variables of the extended run image, or the error; and a part of the log.
fn check(user: &str, files: Files<'_>, layout: Layout, expected: &str, logged: &str) {
    let world = World::new(user, files);
    let (extended, log) = world.extend(DockerfileKind::Run, layout);
    let found = match extended {
        Ok(extended) => {
            let env = extended.image.config.env();
            let env = env.map(|(name, value)| format!("{name}={value}"));
            env.collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{files:?}");
    assert!(log.contains(logged), "{log}");
}

const FROM: &str = "ARG base_image\nFROM ${base_image}\n";

#[test]
fn extensions_are_applied_in_their_order() {
    let first = format!("{FROM}ENV A=1 B=1");
    let second = format!("{FROM}ENV B=$A$B");
    check(
        "5:6",
        &[
            ("c/run.Dockerfile", &second),
            ("a_b/run.Dockerfile", &first),
        ],
        Layout::ByExtension,
        "A=1 B=11",
        "Found run Dockerfile for extension 'a/b'",
    );
    check(
        "5:6",
        &[
            ("run/c/Dockerfile", &second),
            ("run/a_b/Dockerfile", &first),
        ],
        Layout::ByKind,
        "A=1 B=11",
        "Found run Dockerfile for extension 'c'",
    );
    check(
        "5:6",
        &[],
        Layout::ByExtension,
        "",
        "Original image has digest",
    );
}

#[test]
fn arguments_are_the_contracts_then_the_extensions() {
    let ids = format!("{FROM}ARG user_id\nARG group_id\nENV ids=$user_id:$group_id");
    check(
        "5:6",
        &[("c/run.Dockerfile", &ids)],
        Layout::ByExtension,
        "ids=5:6",
        "",
    );
    let config = "[[run.args]]\nname = \"x\"\nvalue = \"run\"\n[[build.args]]\nname = \"x\"\nvalue = \"build\"\n\
                  [[run.args]]\nname = \"base_image\"\nvalue = \"other\"\n";
    let shown = format!("{FROM}ARG x\nARG base_image\nENV x=$x base=${{base_image%%@*}}");
    check(
        "5:6",
        &[
            ("c/run.Dockerfile", &shown),
            ("c/extend-config.toml", config),
        ],
        Layout::ByExtension,
        "x=run base=base",
        "",
    );
}

#[test]
fn run_images_do_not_end_as_root() {
    let root = format!("{FROM}USER root");
    let back = format!("{FROM}USER 7");
    let refused = "extending run image: the final user ID is 0 (root); please add another extension that resets the user to non-root";
    let warning = "changed the user ID from 5 to root; this must not be the final user ID";
    let files = [
        ("a_b/run.Dockerfile", root.as_str()),
        ("c/run.Dockerfile", &back),
    ];
    check("5", &files[..1], Layout::ByExtension, refused, warning);
    let left = "The original user ID was 5 but the final extension left the user ID set to 7.";
    check("5", &files, Layout::ByExtension, "", left);
}

#[test]
fn images_that_are_not_there_are_errors() {
    let mut world = World::new("5", &[]);
    for (reference, expected) in [
        (
            "",
            "getting run image to extend: failed to get digest for reference ''",
        ),
        (
            "test/base:latest",
            "getting run image to extend: failed to get digest for reference 'test/base:latest'",
        ),
    ] {
        world.reference = reference.to_owned();
        let (extended, _) = world.extend(DockerfileKind::Run, Layout::ByExtension);
        assert_eq!(extended.err().unwrap().to_string(), expected);
    }
    let missing = Digest::of(b"none");
    world.reference = format!("test/base@{missing}");
    let (extended, _) = world.extend(DockerfileKind::Build, Layout::ByExtension);
    let error = extended.err().unwrap();
    let expected =
        format!("getting build image to extend: getting base image for digest '{missing}'");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

/// The label, and the name of the extension that made each layer.
#[test]
fn images_stay_rebasable_only_if_every_extension_says_so() {
    let yes = format!("{FROM}LABEL io.buildpacks.rebasable=true");
    let no = format!("{FROM}LABEL io.buildpacks.rebasable=false");
    let rows: [(&str, &str, &str); 3] = [
        (&yes, &yes, "true"),
        (&no, &yes, "false"),
        (&yes, FROM, "true"),
    ];
    for (first, second, expected) in rows {
        let files = [("a_b/run.Dockerfile", first), ("c/run.Dockerfile", second)];
        let world = World::new("5", &files);
        let (extended, _) = world.extend(DockerfileKind::Run, Layout::ByExtension);
        let Extended { image, base_layers } = extended.unwrap();
        assert_eq!(image.config.label(REBASABLE), Some(expected));
        assert_eq!(base_layers, 0);
        let history = image.layers.first().and_then(|layer| layer.history.clone());
        let created_by = history.unwrap().created_by;
        let by_first = first.lines().nth(2).unwrap();
        assert_eq!(
            created_by,
            format!("Layer: '{by_first}', Created by extension: a/b")
        );
    }
}

#[test]
fn saved_layouts_hold_what_was_added() {
    let copy = format!("{FROM}COPY f /f");
    let world = World::new("5", &[("c/run.Dockerfile", &copy)]);
    fs::write(world.path("app/f"), "f").unwrap();
    let (extended, _) = world.extend(DockerfileKind::Run, Layout::ByExtension);
    let log = Log::to(Buffer::default(), Level::Debug, false);
    save(&extended.unwrap(), &world.path("extended"), &log).unwrap();
    let mut layouts = fs::read_dir(world.path("extended/run")).unwrap();
    let layout = layouts.next().unwrap().unwrap().path();
    let opened = store()
        .open(&layout.display().to_string())
        .unwrap()
        .unwrap();
    store().check_blobs(&opened).unwrap();
    assert_eq!(opened.image.layers.len(), 1);
    assert!(world.path("root/f").exists());
}
