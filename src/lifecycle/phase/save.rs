//! Saving the image, and the report of it.

use crate::log::Log;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::image::Image;
use lifecycle_image::store::{ImageStore, Saved};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often the line with the progress changes.
const TICK: Duration = Duration::from_millis(250);
const MEGABYTE: f64 = 1e6;

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
    let saved = showing_progress(store, log, save);
    let saved = saved.context(|| "saving image")?;
    log.info(format_args!("*** Images ({}):", saved.short_id));
    for (name, result) in &saved.names {
        match result {
            Ok(()) => log.info(format_args!("      {}", display(name))),
            Err(error) => log.info(format_args!("      {} - {error}", display(name))),
        }
    }
    match (&saved.image_id, &saved.digest) {
        (Some(id), _) => log.debug(format_args!("\n*** Image ID: {id}")),
        (None, Some(digest)) => log.debug(format_args!("\n*** Digest: {digest}")),
        (None, None) => {}
    }
    if let Some(size) = saved.manifest_size {
        log.debug(format_args!("\n*** Manifest Size: {size}"));
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

/// Does `work` while a line on the terminal, if there is one, says how much has left.
fn showing_progress<T>(store: &dyn ImageStore, log: &Log, work: impl FnOnce() -> T) -> T {
    if !log.is_live() {
        return work();
    }
    let (done, wait) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (start, before) = (Instant::now(), store.bytes_sent());
            while wait.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let sent = store.bytes_sent();
                let rate = (sent - before) as f64 / start.elapsed().as_secs_f64();
                let (sent, rate) = (sent as f64 / MEGABYTE, rate / MEGABYTE);
                log.live(format_args!("{sent:.1} MB uploaded, {rate:.1} MB/s"));
            }
            log.end_live();
        });
        let result = work();
        drop(done);
        result
    })
}
