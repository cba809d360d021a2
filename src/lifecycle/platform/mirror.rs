//! The choice among a run image's names.

use lifecycle_core::data::run::RunImageMirrors;
use lifecycle_core::error::{Error, Result};
use lifecycle_image::oci::Reference;

/// The names of a run image in the order in which to try them for an output on `registry`: those on the same registry, then
/// all others (FACTS 8.6).
pub fn candidates<'a>(run_image: &'a RunImageMirrors, registry: &str) -> Vec<&'a str> {
    let near = |name: &&str| Reference::parse(name).is_ok_and(|name| name.registry() == registry);
    let names = std::iter::once(&run_image.image).chain(&run_image.mirrors);
    let (near, far): (Vec<_>, Vec<_>) = names.map(String::as_str).partition(near);
    [near, far].concat()
}

/// The first of [`candidates`] that is readable.
///
/// # Errors
/// None is, or `readable` fails.
pub fn choose(
    run_image: &RunImageMirrors,
    registry: &str,
    readable: &dyn Fn(&str) -> Result<bool>,
) -> Result<String> {
    for name in candidates(run_image, registry) {
        if readable(name)? {
            return Ok(name.to_owned());
        }
    }
    Err(Error::other("failed to find accessible run image"))
}
