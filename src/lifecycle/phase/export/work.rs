//! Layers made concurrently, taken in the contract's order.

use super::Reusable;
use crate::phase::known::KnownLayer;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::cache::{CacheForm, CacheUpdate, CachedLayer};
use lifecycle_image::layer::{
    self, Built, Growing, LayerRecipe, LayerSource, Outputs, Spool, Workers,
};
use lifecycle_image::oci::DiffId;
use lifecycle_image::store::{ImageStore, LayerForm};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use tempfile::NamedTempFile;

/// How many layers are made at the same time. Each has one thread that hashes; blocks and compression come from the
/// shared workers.
const LAYERS_AT_ONCE: usize = 4;

/// A layer that is to be made.
pub(super) struct Job {
    /// What goes into it.
    pub recipe: LayerRecipe,
    /// What restoration knows about it.
    pub known: Option<KnownLayer>,
    /// DiffIDs that need not be made for the image; `None` if the layer is not for the image.
    pub image: Option<Vec<DiffId>>,
    /// The diffID that need not be made for the cache; the outer `None` if the layer is not for the cache.
    pub cache: Option<Option<DiffId>>,
}

impl Job {
    /// A layer of the image alone.
    pub(super) fn for_image(recipe: LayerRecipe, reusable: Vec<DiffId>) -> Self {
        Self {
            recipe,
            known: None,
            image: Some(reusable),
            cache: None,
        }
    }

    /// A layer of the cache alone.
    pub(super) fn for_cache(recipe: LayerRecipe, old: Option<DiffId>) -> Self {
        Self {
            recipe,
            known: None,
            image: None,
            cache: Some(old),
        }
    }
}

/// What became of a job.
pub(super) struct Made {
    pub diff_id: DiffId,
    pub image: Option<ForImage>,
    pub cache: Option<ForCache>,
}

/// The layer for the image.
pub(super) enum ForImage {
    /// The previous image has it.
    Reused(LayerSource),
    /// It is new.
    Added(LayerSource),
}

/// The layer for the cache.
pub(super) enum ForCache {
    /// The old cache has it.
    Reused,
    /// It is new.
    Added(CachedLayer),
    /// It could not be stored; the layer for the image may be good nevertheless.
    Failed(Error),
}

/// What all jobs share.
#[derive(Clone, Copy)]
pub(super) struct Shop<'a> {
    pub reusable: &'a Reusable,
    pub cache: Option<&'a dyn CacheUpdate>,
    /// Where the image goes, and under which names.
    pub store: &'a dyn ImageStore,
    pub names: &'a [String],
    pub spool_dir: &'a Path,
    pub workers: &'a Workers,
}

/// Jobs under way.
pub(super) struct Results {
    receiver: mpsc::Receiver<(usize, Result<Made>)>,
    arrived: Vec<Option<Result<Made>>>,
}

impl Results {
    /// Waits for the job `index`; each can be taken once.
    pub(super) fn take(&mut self, index: usize) -> Result<Made> {
        loop {
            if let Some(result) = self.arrived.get_mut(index).and_then(Option::take) {
                return result;
            }
            let (arrived, result) = self
                .receiver
                .recv()
                .map_err(|_| Error::other("layer was not made"))?;
            if let Some(slot) = self.arrived.get_mut(arrived) {
                *slot = Some(result);
            }
        }
    }
}

/// Runs `jobs` in order, several at once, while `collect` takes their results. When it fails, jobs that have not begun
/// are left out.
pub(super) fn run<T>(
    jobs: &[Job],
    shop: Shop<'_>,
    collect: impl FnOnce(Results) -> Result<T>,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..LAYERS_AT_ONCE.min(jobs.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((index, job)) = take_next(jobs, next) {
                    // Nobody listens any more after a failure.
                    if sender.send((index, make(job, shop))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let arrived = jobs.iter().map(|_| None).collect();
        let result = collect(Results { receiver, arrived });
        next.store(jobs.len(), Ordering::Relaxed);
        result
    })
}

fn take_next<'a>(jobs: &'a [Job], next: &AtomicUsize) -> Option<(usize, &'a Job)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, jobs.get(index)?))
}

/// Makes a layer: only identified where there is something to compare with, without reading it if nobody changed it
/// since it was restored, and made in a second pass if it differs; else everything in one pass.
fn make(job: &Job, shop: Shop<'_>) -> Result<Made> {
    let cached = job.cache.as_ref().zip(shop.cache);
    let held = |old: DiffId| cached.is_some_and(|(_, update)| update.holds(&old));
    let old = job.cache.flatten().filter(|old| held(*old));
    let comparable = job.image.as_ref().is_some_and(|ids| !ids.is_empty()) || old.is_some();
    let known = comparable
        .then(|| identify(job, shop.workers))
        .transpose()?;
    let in_image = |ids: &Vec<DiffId>| known.is_some_and(|known| ids.contains(&known));
    let in_cache = known.is_some() && old == known;

    let reused = job.image.as_ref().is_some_and(in_image);
    let wants_blob =
        job.image.is_some() && !reused && shop.store.layer_form() == LayerForm::Compressed;
    let for_cache = cached.filter(|_| !in_cache).map(|(_, update)| update);
    let mut made = match (known, wants_blob, for_cache) {
        (Some(diff_id), false, None) => Made {
            diff_id,
            image: None,
            cache: None,
        },
        _ => build(job, known, wants_blob, for_cache, shop)?,
    };
    if let (Some(_), None) = (&job.image, &made.image) {
        let source = match shop.store.layer_form() {
            // The daemon finds out itself whether it has the layer in this place.
            LayerForm::Recipe => LayerSource::Recipe(Arc::new(job.recipe.clone())),
            LayerForm::Compressed => shop.reusable.source(&made.diff_id)?,
        };
        made.image = Some(match reused {
            true => ForImage::Reused(source),
            false => ForImage::Added(source),
        });
    }
    if let (Some(_), None) = (&cached, &made.cache) {
        made.cache = Some(ForCache::Reused);
    }
    Ok(made)
}

fn identify(job: &Job, workers: &Workers) -> Result<DiffId> {
    let known = job.known.and_then(|known| known.diff_id(&job.recipe));
    known.map_or_else(|| layer::diff_id(&job.recipe, workers), Ok)
}

fn build(
    job: &Job,
    known: Option<DiffId>,
    wants_blob: bool,
    for_cache: Option<&dyn CacheUpdate>,
    shop: Shop<'_>,
) -> Result<Made> {
    let form = for_cache.map(CacheUpdate::form);
    let follow = |blob: &Arc<Growing>| shop.store.follow(blob, shop.names);
    let spool = Spool {
        begun: wants_blob.then_some(&follow),
        ..Spool::gzip(shop.spool_dir)
    };
    let mut tar = for_cache
        .filter(|_| form == Some(CacheForm::Tar))
        .map(CacheTar::create);
    let outputs = Outputs {
        blob: (wants_blob || form == Some(CacheForm::Blob)).then_some(spool),
        tar: tar.as_mut().map(|tar| tar as &mut dyn Write),
    };
    let Built { diff_id, blob, .. } = layer::build(&job.recipe, outputs, shop.workers)?;
    if known.is_some_and(|known| known != diff_id) {
        return Err(Error::other("its files change while it is exported"));
    }
    let blob = blob.map(Arc::new);
    if let Some(blob) = &blob {
        if wants_blob {
            shop.store.start_upload(blob, shop.names);
        }
        if let Some(update) = for_cache.filter(|_| form == Some(CacheForm::Blob)) {
            update.announce(blob);
        }
    }
    let cache = match (tar, &blob) {
        (Some(tar), _) => Some(tar.finish()),
        (None, Some(blob)) if form == Some(CacheForm::Blob) => {
            Some(ForCache::Added(CachedLayer::Blob(Arc::clone(blob))))
        }
        _ => None,
    };
    let image = blob
        .filter(|_| wants_blob)
        .map(|blob| ForImage::Added(LayerSource::Spooled(blob)));
    Ok(Made {
        diff_id,
        image,
        cache,
    })
}

/// The cache's copy of a layer. A full disk there must not fail the image: the error waits until the layer is asked for.
struct CacheTar {
    file: Result<NamedTempFile>,
}

impl CacheTar {
    fn create(update: &dyn CacheUpdate) -> Self {
        Self {
            file: update.new_tar(),
        }
    }

    fn finish(self) -> ForCache {
        match self.file {
            Ok(file) => ForCache::Added(CachedLayer::Tar(file)),
            Err(error) => ForCache::Failed(error),
        }
    }
}

impl Write for CacheTar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(file) = &mut self.file
            && let Err(error) = file
                .as_file_mut()
                .write_all(bytes)
                .context(|| "write the cache's copy")
        {
            self.file = Err(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
