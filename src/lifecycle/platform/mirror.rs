//! The choice among a run image's names.

use lifecycle_core::data::run::RunImageMirrors;
use lifecycle_core::error::{Error, Result};
use lifecycle_image::oci::Reference;

/// The image or mirror to use for an output on `registry`: the first readable one on the same registry, else the first
/// readable one (FACTS 8.6).
///
/// # Errors
/// None is readable, or `readable` fails.
pub fn choose(
    run_image: &RunImageMirrors,
    registry: &str,
    readable: &dyn Fn(&str) -> Result<bool>,
) -> Result<String> {
    let names = || std::iter::once(&run_image.image).chain(&run_image.mirrors);
    let near =
        |name: &&String| Reference::parse(name).is_ok_and(|name| name.registry() == registry);
    for name in names().filter(near).chain(names()) {
        if readable(name)? {
            return Ok(name.clone());
        }
    }
    Err(Error::other("failed to find accessible run image"))
}
