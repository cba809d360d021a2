//! Rebase: another base below the same app layers. Only values change; no layer is read.

use crate::image::Image;
use crate::layer::{Layer, LayerSource};
use crate::oci::{DiffId, History};
use lifecycle_core::error::{Error, ErrorKind, Result};
use std::sync::Arc;

/// `app` with the layers of `new_base` in the place of its own up to and including `old_top`.
///
/// App layers, their history, the manifest's kind, and all of the configuration stay, but for the platform, which is
/// the new base's (PLAT-REBASE-013 to 015, 020, 021). Entries of the new base in the history get the app's time; they
/// are blank where the old base's were. Blobs that both bases have stay where the app has them.
///
/// # Errors
/// Kind `NotFound`: `old_top` is none of `app`'s layers. Kind `Corrupt`: the new base has no layers.
pub fn rebase(app: &Image, old_top: &DiffId, new_base: &Image) -> Result<Image> {
    let top = app
        .layers
        .iter()
        .position(|layer| layer.diff_id == *old_top);
    let Some((old_base, app_layers)) = top.and_then(|top| app.layers.split_at_checked(top + 1))
    else {
        let cause = format!(
            "could not find base layer in image: {old_top} is none of its {} layers; its label is of another image",
            app.layers.len()
        );
        return Err(Error::new(ErrorKind::NotFound, cause));
    };
    if new_base.layers.is_empty() {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "the new base image has no layers",
        ));
    }
    let blank = !old_base
        .iter()
        .filter_map(|layer| layer.history.as_ref())
        .any(tells);
    let base_layer = |layer: &Layer| Layer {
        history: layer
            .history
            .clone()
            .filter(|_| !blank)
            .map(|history| History {
                created: app.config.created().to_owned(),
                ..history
            }),
        source: beside_app(&layer.source, old_base),
        diff_id: layer.diff_id,
    };
    let layers = new_base
        .layers
        .iter()
        .map(base_layer)
        .chain(app_layers.iter().cloned());
    let base = &new_base.config;
    let variant = Some(base.variant()).filter(|variant| !variant.is_empty());
    let config = app.config.clone().with_platform(
        base.os(),
        base.architecture(),
        variant.unwrap_or(app.config.variant()),
        base.os_version(),
    );
    Ok(Image {
        layers: layers.collect(),
        origin: None,
        ..app.clone().with_config(config)
    })
}

/// Where a blob of the new base is found: where the app is, if the old base has it, too, so that nobody has to bring it there.
fn beside_app(source: &LayerSource, old_base: &[Layer]) -> LayerSource {
    let LayerSource::Stored { descriptor, .. } = source else {
        return source.clone();
    };
    let of_app = old_base.iter().find_map(|layer| match &layer.source {
        LayerSource::Stored {
            descriptor: old,
            blobs,
        } if old.digest == descriptor.digest => Some(blobs),
        _ => None,
    });
    match of_app {
        Some(blobs) => LayerSource::Stored {
            descriptor: descriptor.clone(),
            blobs: Arc::clone(blobs),
        },
        None => source.clone(),
    }
}

/// Whether a history entry says more than a time.
fn tells(history: &History) -> bool {
    [&history.author, &history.created_by, &history.comment]
        .iter()
        .any(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{BlobSource, LayerRecipe};
    use crate::oci::{Config, Descriptor, ManifestKind};
    use proptest::prelude::*;
    use std::io::Read;

    const TIME: &str = "1980-01-01T00:00:01Z";

    fn layer(name: &str, created_by: &str) -> Layer {
        Layer {
            diff_id: DiffId::of(name.as_bytes()),
            history: (!created_by.is_empty()).then(|| History {
                created: TIME.to_owned(),
                created_by: created_by.to_owned(),
                ..History::default()
            }),
            source: LayerSource::Recipe(Arc::new(LayerRecipe::Entries(Vec::new()))),
        }
    }

    fn image(kind: ManifestKind, arch: &str, layers: Vec<Layer>) -> Image {
        let config = Config::new("linux", arch)
            .with_created(TIME)
            .with_label("keep", "me");
        Image::new(kind, config).append(layers)
    }

    fn base(name: &str, layers: usize, said: bool) -> Image {
        let layer = |n| layer(&format!("{name}{n}"), if said { "by base" } else { "" });
        image(
            ManifestKind::Docker,
            "amd64",
            (0..layers).map(layer).collect(),
        )
    }

    /// The documents of `image`, every layer stored under a descriptor made of its digest.
    fn bytes(image: &Image) -> (String, String) {
        let descriptor =
            |layer: &Layer| Descriptor::of(layer.diff_id.hex().as_bytes(), image.kind.layer());
        let documents = image.documents(image.layers.iter().map(descriptor).collect());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(documents.config), text(documents.manifest))
    }

    proptest! {
        #[test]
        fn there_and_back_gives_the_same_bytes(a in 1..4_usize, b in 1..4_usize, app in 0..4_usize, said: bool, oci: bool) {
            let kind = if oci { ManifestKind::Oci } else { ManifestKind::Docker };
            let (base_a, base_b) = (base("a", a, said), base("b", b, true));
            let app_layers = (0..app).map(|n| layer(&format!("app{n}"), "by buildpack"));
            let original = image(kind, "amd64", base_a.layers.iter().cloned().chain(app_layers).collect());
            let top = |image: &Image| image.layers.last().unwrap().diff_id;
            let there = rebase(&original, &top(&base_a), &base_b).unwrap();
            prop_assert_eq!(there.layers.len(), b + app);
            prop_assert_eq!(there.kind, kind);
            let back = rebase(&there, &top(&base_b), &base_a).unwrap();
            prop_assert_eq!(bytes(&back), bytes(&original));
        }
    }

    #[test]
    fn the_platform_is_the_new_base_s() {
        let app = image(
            ManifestKind::Oci,
            "amd64",
            vec![layer("a", "x"), layer("app", "y")],
        );
        let mut new = image(ManifestKind::Docker, "arm64", vec![layer("b", "z")]);
        new.config = new.config.with_platform("linux", "arm64", "v8", "");
        let rebased = rebase(&app, &app.layers[0].diff_id, &new).unwrap();
        assert_eq!(
            (rebased.config.architecture(), rebased.config.variant()),
            ("arm64", "v8")
        );
        assert_eq!(rebased.config.label("keep"), Some("me"));
        assert_eq!(rebased.kind, ManifestKind::Oci);
    }

    struct Repository(&'static str);

    impl BlobSource for Repository {
        fn open(&self, _: &Descriptor) -> Result<Option<Box<dyn Read + Send>>> {
            Ok(None)
        }

        fn repository(&self) -> Option<&str> {
            Some(self.0)
        }
    }

    #[test]
    fn blobs_that_both_bases_have_stay_beside_the_app() {
        let stored = |name: &str, repository| Layer {
            source: LayerSource::Stored {
                descriptor: Descriptor::of(name.as_bytes(), ManifestKind::Oci.layer()),
                blobs: Arc::new(Repository(repository)),
            },
            ..layer(name, "")
        };
        let app = ["os", "old", "app"].map(|name| stored(name, "apps"));
        let new = ["os", "new"].map(|name| stored(name, "runs"));
        let image = |layers: &[Layer]| image(ManifestKind::Oci, "amd64", layers.to_vec());
        let rebased = rebase(&image(&app), &app[1].diff_id, &image(&new)).unwrap();
        let homes = rebased.layers.iter().map(|layer| match &layer.source {
            LayerSource::Stored { blobs, .. } => blobs.repository().unwrap(),
            _ => panic!("not stored"),
        });
        assert_eq!(homes.collect::<Vec<_>>(), ["apps", "runs", "apps"]);
    }

    #[test]
    fn a_foreign_top_layer_is_refused_by_name() {
        let app = base("a", 2, true);
        let foreign = DiffId::of(b"foreign");
        let error = rebase(&app, &foreign, &base("b", 1, true)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&foreign.to_string()), "{error}");
        let empty = image(ManifestKind::Oci, "amd64", Vec::new());
        assert_eq!(
            rebase(&app, &app.layers[1].diff_id, &empty)
                .err()
                .unwrap()
                .kind(),
            ErrorKind::Corrupt
        );
    }
}
