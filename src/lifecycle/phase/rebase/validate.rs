//! Whether a new base fits an app: by stack and mixins, or by target.

use crate::phase::analyze::target_of_config;
use lifecycle_core::data::target::Target;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::json::{self, Numbers};
use lifecycle_core::value::Value;
use lifecycle_image::oci::Config;
use std::collections::BTreeSet;

const STACK_ID: &str = "io.buildpacks.stack.id";
const MIXINS: &str = "io.buildpacks.stack.mixins";
const REBASABLE: &str = "io.buildpacks.rebasable";

/// The rules, by the Platform API that the app image records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Before 0.12, and without a record: the same stack, with at least the same mixins. Force does not override it.
    Stack,
    /// From 0.12 on: the same target, and the image allows to be rebased.
    Target,
}

/// Checks that `base` may come below `app`; `refuse` decides about what force can override.
pub(super) fn validate(
    validation: Validation,
    app: &Config,
    base: &Config,
    refuse: &mut dyn FnMut(String) -> Result<()>,
) -> Result<()> {
    match validation {
        Validation::Stack => {
            same_stack(app, base)?;
            has_mixins(app, base)
        }
        Validation::Target => {
            if app.label(REBASABLE) == Some("false") {
                refuse("app image is not marked as rebasable".to_owned())?;
            }
            let (old, new) = (target_of_config(app)?, target_of_config(base)?);
            match fits(&old, &new) {
                true => Ok(()),
                false => refuse(format!(
                    "unable to satisfy target os/arch constraints; new run image: {}, old run image: {}",
                    new.to_json(),
                    old.to_json()
                )),
            }
        }
    }
}

/// A distribution counts as far as the new base names one (FACTS 10).
fn fits(old: &Target, new: &Target) -> bool {
    let same_or_empty = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
    let variant = |target: &Target| target.arch_variant.clone().unwrap_or_default();
    let distro = match (&old.distro, &new.distro) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(old), Some(new)) => {
            let required = |new: &str, old: &str| new.is_empty() || new == old;
            required(&new.name, &old.name) && required(&new.version, &old.version)
        }
    };
    old.os == new.os
        && old.arch == new.arch
        && same_or_empty(&variant(old), &variant(new))
        && distro
}

fn same_stack(app: &Config, base: &Config) -> Result<()> {
    let id = |config: &Config| config.label(STACK_ID).unwrap_or_default().to_owned();
    match (id(app), id(base)) {
        (old, _) if old.is_empty() => Err(Error::other("stack not defined on app image")),
        (_, new) if new.is_empty() => Err(Error::other("stack not defined on new base image")),
        (old, new) if old != new => Err(Error::other(format!(
            "incompatible stack: '{new}' is not compatible with '{old}'"
        ))),
        _ => Ok(()),
    }
}

fn has_mixins(app: &Config, base: &Config) -> Result<()> {
    let (old, new) = (mixins(app)?, mixins(base)?);
    let missing: Vec<&str> = old.difference(&new).map(String::as_str).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Error::other(format!(
            "missing required mixin(s): {}",
            missing.join(", ")
        ))),
    }
}

/// The mixins of an image without the stage that they are for.
fn mixins(config: &Config) -> Result<BTreeSet<String>> {
    let Some(label) = config.label(MIXINS).filter(|label| !label.is_empty()) else {
        return Ok(BTreeSet::new());
    };
    let value = json::parse(label, Numbers::Exact).context(|| format!("label {MIXINS}"))?;
    let names = value
        .as_array()
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str);
    Ok(names
        .map(|name| {
            name.split_once(':')
                .map_or(name, |(_, name)| name)
                .to_owned()
        })
        .collect())
}
