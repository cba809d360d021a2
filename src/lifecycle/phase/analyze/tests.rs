use super::*;
use crate::log::Level;
use lifecycle_core::data::target::{Distro, Target};
use lifecycle_core::error::Error;
use lifecycle_image::oci::{Config, ManifestKind};
use lifecycle_image::store::Saved;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// `corrupt` is damaged, `down` fails, `none` isn't there, any other name is an image with a label of that name.
struct Store;

impl ImageStore for Store {
    fn open(&self, name: &str) -> Result<Option<Opened>> {
        let config =
            Config::new("linux", "arm64").with_label("io.buildpacks.base.distro.name", "d");
        let config = match name {
            "none" => return Ok(None),
            "corrupt" => return Err(Error::new(ErrorKind::Corrupt, "no config")),
            "down" => return Err(Error::other("connection refused")),
            "no-os" => Config::new("", ""),
            "unlabelled" => config,
            label => config.with_label(METADATA_LABEL, label),
        };
        let image = Image::new(ManifestKind::Oci, config);
        Ok(Some(Opened {
            image,
            identifier: "id".into(),
        }))
    }

    fn save(&self, _: &Image, _: &[String]) -> Result<Saved> {
        Err(Error::other("read only"))
    }

    fn check_write(&self, name: &str) -> Result<()> {
        if name == "secret" {
            Err(Error::new(ErrorKind::Unauthorized, "401"))
        } else {
            Ok(())
        }
    }
}

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

const DECISIONS: Decisions<'_> = Decisions {
    restore_sbom_to: None,
    record_target: true,
};

/// What is found out about the images, and what the log says at level info.
fn run(
    previous: Option<&str>,
    run: Option<&str>,
    decisions: Decisions<'_>,
) -> Result<(Analyzed, String)> {
    let buffer = Buffer::default();
    let log = Log::to(buffer.clone(), Level::Info, false);
    let analyzed = analyze(
        &Images::open(&Store, previous, run)?,
        decisions,
        &Workers::for_machine(),
        &log,
    )?;
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    Ok((analyzed, text))
}

fn check_previous(name: &str, reference: &str, buildpacks: usize, log: &str) {
    let (analyzed, text) = run(Some(name), None, DECISIONS).unwrap();
    assert_eq!(
        analyzed.previous_image.as_deref(),
        Some(reference),
        "{name}"
    );
    assert_eq!(
        analyzed.metadata.buildpacks.unwrap_or_default().len(),
        buildpacks,
        "{name}"
    );
    assert_eq!(text, log);
    assert_eq!(analyzed.run_image, Some(AnalyzedRunImage::default()));
}

#[test]
fn previous_images_are_optional() {
    check_previous("none", "", 0, "Image with name \"none\" not found\n");
    check_previous(
        "corrupt",
        "",
        0,
        "Ignoring image \"corrupt\" because it was corrupt\n",
    );
    check_previous("unlabelled", "id", 0, "");
    check_previous("{\"buildpacks\":[{\"key\":\"a\"}]}", "id", 1, "");
    check_previous("{\"buildpacks\":1}", "", 0, "");
    check_previous("{not json", "", 0, "");
    check_previous("{\"sbom\":{\"sha\":\"sha256:x\"}}", "id", 0, "");
    let error = run(Some("down"), None, DECISIONS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "getting previous image: connection refused"
    );
}

#[test]
fn an_sbom_must_be_restored_when_it_is_wanted() {
    let decisions = Decisions {
        restore_sbom_to: Some(Path::new("/none")),
        ..DECISIONS
    };
    let missing = format!("{{\"sbom\":{{\"sha\":\"sha256:{}\"}}}}", "0".repeat(64));
    for (label, cause) in [
        (
            missing.as_str(),
            "image has no layer with diffID sha256:000",
        ),
        (
            "{\"sbom\":{\"sha\":\"../x\"}}",
            "'../x' is not a sha256 digest",
        ),
    ] {
        let error = run(Some(label), None, decisions).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("retrieving launch SBOM layer: {cause}")),
            "{error}"
        );
    }
}

fn check_run(name: &str, decisions: Decisions<'_>, expected: AnalyzedRunImage) {
    let (analyzed, _) = run(None, Some(name), decisions).unwrap();
    assert_eq!(analyzed.run_image, Some(expected), "{name}");
    assert_eq!(analyzed.previous_image.as_deref(), Some(""));
}

#[test]
fn run_images_have_a_target() {
    let found = AnalyzedRunImage {
        reference: "id".into(),
        image: "unlabelled".into(),
        extend: false,
        target: Some(Target {
            os: "linux".into(),
            arch: "arm64".into(),
            distro: Some(Distro {
                name: "d".into(),
                version: String::new(),
            }),
            ..Target::default()
        }),
    };
    let reference_only = AnalyzedRunImage {
        reference: "id".into(),
        ..AnalyzedRunImage::default()
    };
    check_run("unlabelled", DECISIONS, found);
    check_run(
        "unlabelled",
        Decisions {
            record_target: false,
            ..DECISIONS
        },
        reference_only,
    );
    let absent = AnalyzedRunImage {
        image: "none".into(),
        target: Some(target_of(None).unwrap()),
        ..AnalyzedRunImage::default()
    };
    check_run("none", DECISIONS, absent);
    for (name, cause) in [
        ("no-os", "failed to find OS in run image config"),
        ("down", "getting run image: connection refused"),
        ("corrupt", "getting run image: no config"),
    ] {
        assert_eq!(
            run(None, Some(name), DECISIONS).unwrap_err().to_string(),
            cause
        );
    }
}

#[test]
fn access_is_checked_first() {
    check_access(&Store, &["a"], &["b"]).unwrap();
    assert_eq!(
        check_access(&Store, &[], &["b", "secret"])
            .unwrap_err()
            .to_string(),
        "validating registry write access: failed to ensure registry read/write access to secret: 401"
    );
}
