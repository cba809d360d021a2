//! Saving the image, and the report of it.

use crate::log::{Level, Log};
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::image::Image;
use lifecycle_image::store::{ImageStore, Saved};

/// Saves `image` under all `names`.
///
/// # Errors
/// It could not be saved under every name.
pub fn save(store: &dyn ImageStore, image: &Image, names: &[String], log: &Log) -> Result<Saved> {
    saying_so(store, names, log, || store.save(image, names))
}

/// [`save`], under all `names` or under none as far as the store can do that.
///
/// # Errors
/// As [`save`].
pub fn save_together(
    store: &dyn ImageStore,
    image: &Image,
    names: &[String],
    log: &Log,
) -> Result<Saved> {
    saying_so(store, names, log, || store.save_together(image, names))
}

/// Tells the log how `save` goes.
fn saying_so(
    store: &dyn ImageStore,
    names: &[String],
    log: &Log,
    save: impl FnOnce() -> Result<Saved>,
) -> Result<Saved> {
    let display = |name: &str| store.display_name(name);
    let first = names.first().map(|name| display(name)).unwrap_or_default();
    let _timer = log.timer(format!("Saving {first}..."));
    log.info(format_args!("Saving {first}..."));
    let saved = save().context(|| "saving image")?;
    log.info(format_args!("*** Images ({}):", saved.short_id));
    for (name, result) in &saved.names {
        match result {
            Ok(()) => log.info(format_args!("      {}", display(name))),
            Err(error) => log.info(format_args!("      {} - {error}", display(name))),
        }
    }
    let detail = |text: std::fmt::Arguments<'_>| log.lines(Level::Debug, &[&"", &text]);
    match (&saved.image_id, &saved.digest) {
        (Some(id), _) => detail(format_args!("*** Image ID: {id}")),
        (None, Some(digest)) => detail(format_args!("*** Digest: {digest}")),
        (None, None) => {}
    }
    if let Some(size) = saved.manifest_size {
        detail(format_args!("*** Manifest Size: {size}"));
    }
    let failed = saved
        .names
        .iter()
        .filter_map(|(name, result)| Some((name, result.as_ref().err()?)));
    let failed: Vec<_> = failed
        .map(|(name, error)| format!("[{}: {error}]", display(name)))
        .collect();
    if !failed.is_empty() {
        let cause = format!(
            "failed to write image to the following tags: {}",
            failed.join(",")
        );
        return Err(Error::other(cause));
    }
    Ok(saved)
}
