//! The cache of this build (FACTS 8.5). It never fails an export: what cannot be cached is a warning, and the old
//! cache's layer stays in its place where there is one.

use super::assemble::{Cached, CachedBuildpack, CachedJob, record};
use super::work::ForCache;
use crate::log::Log;
use lifecycle_core::data::label::{BuildpackRecord, CacheMetadata};
use lifecycle_core::error::Result;
use lifecycle_image::cache::{Cache, CacheUpdate};
use lifecycle_image::oci::DiffId;
use std::collections::BTreeMap;

/// A cache in the making; dropped without a commit it leaves the old one as it is.
pub struct PendingCache {
    state: Result<State>,
    cached: Cached,
}

struct State {
    existed: bool,
    old: CacheMetadata,
    update: Box<dyn CacheUpdate>,
}

impl PendingCache {
    pub(super) fn begin(cache: &dyn Cache) -> Self {
        let begin = || {
            let old = cache.metadata()?;
            Ok(State {
                existed: old.is_some(),
                old: old.unwrap_or_default(),
                update: cache.update()?,
            })
        };
        Self {
            state: begin(),
            cached: Cached::default(),
        }
    }

    /// What the old cache says it has; `None` if this build cannot be cached.
    pub(super) fn old(&self) -> Option<&CacheMetadata> {
        self.state.as_ref().ok().map(|state| &state.old)
    }

    pub(super) fn update(&self) -> Option<&dyn CacheUpdate> {
        self.state.as_ref().ok().map(|state| state.update.as_ref())
    }

    pub(super) fn fill(&mut self, cached: Cached) {
        self.cached = cached;
    }

    /// Replaces the old cache. What goes wrong is logged.
    pub fn commit(self, log: &Log) {
        let _timer = log.timer("Cache");
        let cached = self.cached;
        if let Err(error) = self.state.and_then(|state| state.commit(cached, log)) {
            log.warn(format_args!("Failed to export cache: {error}"));
        }
    }
}

impl State {
    fn commit(mut self, cached: Cached, log: &Log) -> Result<()> {
        if !self.existed {
            log.info("Layer cache not found");
        }
        let mut metadata = CacheMetadata::default();
        for buildpack in cached.buildpacks {
            let record = self.buildpack(buildpack, log);
            metadata.buildpacks.get_or_insert_default().push(record);
        }
        if let Some((path, job)) = cached.sbom {
            log.debug(format_args!(
                "Found SBOM of type cache for at {}",
                path.display()
            ));
            let id = "buildpacksio/lifecycle:cache.sbom";
            let old = self.old.sbom.clone();
            metadata.sbom = match self.store(id, job, log) {
                Some(sha) => sha,
                None if self.keep(&old) => old,
                None => String::new(),
            };
        }
        if let Some(leftover) = self.update.commit(&metadata)? {
            log.warn(leftover);
        }
        Ok(())
    }

    fn buildpack(&mut self, cached: CachedBuildpack, log: &Log) -> BuildpackRecord {
        let CachedBuildpack {
            buildpack,
            dir,
            layers,
        } = cached;
        dir.describe(log);
        let mut records = BTreeMap::new();
        for (layer, job) in dir.layers.iter().zip(layers) {
            let Some(metadata) = layer
                .metadata
                .as_ref()
                .ok()
                .filter(|metadata| metadata.types.cache)
            else {
                continue;
            };
            let Some(job) = job else {
                let id = &layer.identifier;
                log.warn(format_args!(
                    "Failed to cache layer '{id}' because it has no contents"
                ));
                continue;
            };
            let new = self
                .store(&layer.identifier, job, log)
                .map(|sha| record(metadata, sha));
            let old = self
                .old
                .buildpack(&buildpack.id)
                .and_then(|old| old.layer(&layer.name));
            let old = old.cloned();
            if let Some(record) = new.or_else(|| old.filter(|old| self.keep(&old.sha))) {
                records.insert(layer.name.clone(), record);
            }
        }
        BuildpackRecord {
            key: buildpack.id,
            version: buildpack.version,
            layers: Some(records),
            store: None,
        }
    }

    /// Stores a layer and gives its diffID; what goes wrong is logged.
    fn store(&mut self, id: &str, job: CachedJob, log: &Log) -> Option<String> {
        let stored = job.and_then(|(diff_id, layer)| {
            let verb = match &layer {
                ForCache::Reused => "Reusing",
                ForCache::Added(_) | ForCache::Failed(_) => "Adding",
            };
            log.info(format_args!("{verb} cache layer '{id}'"));
            log.debug(format_args!("Layer '{id}' SHA: {diff_id}"));
            match layer {
                ForCache::Reused => self.update.reuse(&diff_id)?,
                ForCache::Added(layer) => self.update.add(&diff_id, layer)?,
                ForCache::Failed(error) => return Err(error),
            }
            Ok(diff_id.to_string())
        });
        match stored {
            Ok(sha) => Some(sha),
            Err(error) => {
                log.warn(format_args!("Failed to cache layer '{id}': {error}"));
                None
            }
        }
    }

    /// Whether the old cache's layer could be kept instead of one that could not be stored.
    fn keep(&mut self, sha: &str) -> bool {
        DiffId::parse(sha).is_ok_and(|diff_id| self.update.reuse(&diff_id).is_ok())
    }
}
