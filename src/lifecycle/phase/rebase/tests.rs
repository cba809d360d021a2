use super::*;
use lifecycle_core::data::label::BuildpackRecord;
use lifecycle_image::layer::{Layer, LayerRecipe, LayerSource};
use lifecycle_image::oci::ManifestKind;
use std::sync::Arc;

const RUN: &str = "registry.example/run";
const NEW: &str = "registry.example/new";

type Labels<'a> = &'a [(&'a str, &'a str)];

fn opened(name: &str, labels: Labels<'_>, layers: &[&str]) -> Opened {
    let layer = |name: &&str| Layer {
        diff_id: DiffId::of(name.as_bytes()),
        history: None,
        source: LayerSource::Recipe(Arc::new(LayerRecipe::Entries(Vec::new()))),
    };
    let config = labels
        .iter()
        .fold(Config::new("linux", "amd64"), |config, (key, value)| {
            config.with_label(key, value)
        });
    let image = Image::new(ManifestKind::Oci, config).append(layers.iter().map(layer));
    Opened {
        image,
        identifier: format!("{name}@digest"),
    }
}

fn label(image: &str, mirrors: &[&str]) -> String {
    LayersMetadata {
        buildpacks: Some(vec![BuildpackRecord::default()]),
        run_image: RunImageRecord {
            top_layer: DiffId::of(b"old").to_string(),
            reference: format!("{RUN}@old"),
            image: image.to_owned(),
            mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
        },
        ..LayersMetadata::default()
    }
    .to_json()
}

struct Case<'a> {
    app: Labels<'a>,
    base: Labels<'a>,
    validation: Validation,
    known: bool,
}

const TARGET: Case<'_> = Case {
    app: &[],
    base: &[],
    validation: Validation::Target,
    known: true,
};
const STACK: Case<'_> = Case {
    validation: Validation::Stack,
    ..TARGET
};

/// Rebases with and without force; `refusal` is the error, `forced` whether force helps.
fn check(case: &Case<'_>, refusal: Option<&str>, forced: bool) {
    let label = label(RUN, if case.known { &[NEW] } else { &[] });
    let app_labels: Vec<_> = case
        .app
        .iter()
        .copied()
        .chain([(METADATA_LABEL, label.as_str())])
        .collect();
    let (app, base) = (
        opened("app", &app_labels, &["old", "app"]),
        opened(NEW, case.base, &["new"]),
    );
    let run = |force| {
        let validation = case.validation;
        rebase(&Rebase {
            app: &app,
            app_name: "app",
            base: &base,
            base_name: NEW,
            validation,
            force,
            knows_run_images: true,
        })
    };
    match (run(false), refusal) {
        (Ok(rebased), None) => assert!(rebased.overridden.is_empty()),
        (Err(error), Some(refusal)) => assert!(error.to_string().starts_with(refusal), "{error}"),
        (result, refusal) => panic!("{:?}, not {refusal:?}", result.err()),
    }
    match (run(true), refusal) {
        (Ok(rebased), Some(refusal)) if forced => {
            assert!(
                rebased
                    .overridden
                    .iter()
                    .any(|text| text.starts_with(refusal)),
                "{:?}",
                rebased.overridden
            );
        }
        (result, refusal) => assert_eq!(result.is_ok(), refusal.is_none()),
    }
}

#[test]
fn targets_have_to_match() {
    let unable = Some("unable to satisfy target os/arch constraints; new run image: {");
    let distro = "io.buildpacks.base.distro.version";
    check(&TARGET, None, true);
    check(
        &Case {
            base: &[(distro, "2")],
            app: &[(distro, "1")],
            ..TARGET
        },
        unable,
        true,
    );
    check(
        &Case {
            base: &[(distro, "2")],
            ..TARGET
        },
        unable,
        true,
    );
    check(
        &Case {
            app: &[(distro, "1")],
            ..TARGET
        },
        None,
        true,
    );
    check(
        &Case {
            app: &[("io.buildpacks.rebasable", "false")],
            ..TARGET
        },
        Some("app image is not marked as rebasable"),
        true,
    );
    check(
        &Case {
            app: &[("io.buildpacks.rebasable", "true")],
            ..TARGET
        },
        None,
        true,
    );
    let unknown = "rebase app image: new base image 'registry.example/new' not found in existing run image metadata: {";
    check(
        &Case {
            known: false,
            ..TARGET
        },
        Some(unknown),
        true,
    );
}

#[test]
fn stacks_have_to_match_whatever_is_forced() {
    let (id, mixins) = ("io.buildpacks.stack.id", "io.buildpacks.stack.mixins");
    check(&STACK, Some("stack not defined on app image"), false);
    check(
        &Case {
            app: &[(id, "a")],
            ..STACK
        },
        Some("stack not defined on new base image"),
        false,
    );
    check(
        &Case {
            app: &[(id, "a")],
            base: &[(id, "b")],
            ..STACK
        },
        Some("incompatible stack: 'b' is not compatible with 'a'"),
        false,
    );
    check(
        &Case {
            app: &[(id, "a")],
            base: &[(id, "a")],
            ..STACK
        },
        None,
        true,
    );
    let app: Labels<'_> = &[(id, "a"), (mixins, r#"["a","run:b","c"]"#)];
    check(
        &Case {
            app,
            base: &[(id, "a"), (mixins, r#"["run:a"]"#)],
            ..STACK
        },
        Some("missing required mixin(s): b, c"),
        false,
    );
    check(
        &Case {
            app,
            base: &[(id, "a"), (mixins, r#"["b","a","c","d"]"#)],
            ..STACK
        },
        None,
        true,
    );
}

#[test]
fn labels_follow_the_base() {
    let label = label(RUN, &[]);
    let app_labels = [
        (METADATA_LABEL, label.as_str()),
        ("io.buildpacks.base.id", "old"),
        ("io.buildpacks.base.gone", "x"),
        ("keep", "me"),
    ];
    let app = opened("app", &app_labels, &["old", "app"]);
    let base = opened(
        NEW,
        &[("io.buildpacks.base.id", "new"), ("other", "stays away")],
        &["new"],
    );
    let rebase = |knows_run_images| {
        let rebase = Rebase {
            app: &app,
            app_name: "app",
            base: &base,
            base_name: NEW,
            validation: Validation::Target,
            force: true,
            knows_run_images,
        };
        super::rebase(&rebase).unwrap()
    };
    let config = rebase(true).image.config;
    for (key, value) in [
        ("io.buildpacks.base.id", Some("new")),
        ("io.buildpacks.base.gone", None),
        ("keep", Some("me")),
        ("other", None),
    ] {
        assert_eq!(config.label(key), value, "{key}");
    }
    let written = LayersMetadata::parse_json(config.label(METADATA_LABEL).unwrap()).unwrap();
    assert_eq!(written.run_image.reference, base.identifier);
    assert_eq!(written.run_image.image, NEW);
    assert!(is_up_to_date(&written, &base));
    let before = rebase(false);
    assert_eq!(
        before.image.config.label("io.buildpacks.base.id"),
        Some("old")
    );
    assert_eq!(before.metadata.run_image.image, RUN);
}

#[test]
fn foreign_images_are_named() {
    let (app, base) = (opened("app", &[], &["old"]), opened(NEW, &[], &["new"]));
    let rebase = Rebase {
        app: &app,
        app_name: "app:1",
        base: &base,
        base_name: NEW,
        validation: Validation::Target,
        force: true,
        knows_run_images: true,
    };
    let error = super::rebase(&rebase).err().unwrap();
    assert!(
        error.to_string().starts_with("image 'app:1' has no label "),
        "{error}"
    );
}
