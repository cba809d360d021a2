//! What an image is, in the words of analyzed.toml.

use lifecycle_core::data::target::{Distro, Target};
use lifecycle_core::error::{Error, Result};
use lifecycle_image::image::Image;
use lifecycle_image::oci::{Config, Platform};

/// The target that `image` is; an image that doesn't exist will have this machine's platform (FACTS, corrections 6).
///
/// # Errors
/// The image does not say its operating system.
pub fn target_of(image: Option<&Image>) -> Result<Target> {
    let Some(image) = image else {
        let Platform {
            os,
            architecture: arch,
        } = Platform::host();
        return Ok(Target {
            os,
            arch,
            ..Target::default()
        });
    };
    target_of_config(&image.config)
}

/// The target that a configuration describes.
///
/// # Errors
/// The image does not say its operating system.
pub fn target_of_config(config: &Config) -> Result<Target> {
    if config.os().is_empty() {
        return Err(Error::other("failed to find OS in run image config"));
    }
    let text = |text: &str| {
        Some(text)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let name = config.label("io.buildpacks.base.distro.name");
    let version = config.label("io.buildpacks.base.distro.version");
    let distro = || Distro {
        name: name.unwrap_or_default().to_owned(),
        version: version.unwrap_or_default().to_owned(),
    };
    Ok(Target {
        id: config.label("io.buildpacks.base.id").and_then(text),
        os: config.os().to_owned(),
        arch: config.architecture().to_owned(),
        arch_variant: text(config.variant()),
        distro: (name.is_some() || version.is_some()).then(distro),
    })
}
