//! What a rebase would change, in words.

use super::{App, Base, names};
use crate::log::Log;
use crate::phase::rebase::{METADATA_LABEL, Rebased, is_up_to_date};
use crate::platform::Inputs;
use lifecycle_core::error::{Error, Result as CoreResult};
use lifecycle_image::image::Image;
use lifecycle_image::oci::{Config, DiffId};

/// Prints how `forced` differs from the app image, and what is or would have to be overridden for that; or why not even force
/// helps.
pub(super) fn describe(
    inputs: &Inputs,
    app: &App,
    base: &Base,
    forced: CoreResult<&Rebased, &Error>,
    log: &Log,
) {
    let old = &app.metadata.run_image;
    let state = match is_up_to_date(&app.metadata, &base.opened) {
        true => "is up to date already",
        false => "is to be rebased",
    };
    log.info(format_args!("Dry run: nothing is written"));
    log.info(format_args!("Image:     {} {state}", app.opened.identifier));
    let reference = or_unknown(&old.reference);
    log.info(format_args!("Old base:  {reference}"));
    log.info(format_args!("New base:  {}", base.opened.identifier));
    let rebased = match forced {
        Ok(rebased) => rebased,
        Err(error) => return log.info(format_args!("Refused:   {error}")),
    };
    let verdict = match inputs.force_rebase {
        true => "Forced:",
        false => "Refused:",
    };
    for refusal in &rebased.overridden {
        log.info(format_args!("{verdict:<10} {refusal}"));
    }
    layers(&app.opened.image, &rebased.image, log);
    let (before, after) = (&app.opened.image.config, &rebased.image.config);
    for (name, of) in PLATFORM {
        if of(before) != of(after) {
            let (before, after) = (or_unknown(of(before)), or_unknown(of(after)));
            log.info(format_args!("Config:    {name}: {before} -> {after}"));
        }
    }
    labels(app, rebased, log);
    log.info(format_args!("Names:     {}", names(inputs).join(", ")));
}

type Part = fn(&Config) -> &str;

/// What of the configuration comes from the base, labels aside.
const PLATFORM: [(&str, Part); 4] = [
    ("os", Config::os),
    ("architecture", Config::architecture),
    ("variant", Config::variant),
    ("os.version", Config::os_version),
];

/// A text of a label or configuration that may lack it.
pub(super) fn or_unknown(text: &str) -> &str {
    match text {
        "" => "(not recorded)",
        text => text,
    }
}

fn layers(before: &Image, after: &Image, log: &Log) {
    let ids = |image: &Image| -> Vec<DiffId> {
        let ids = image.layers.iter().map(|layer| layer.diff_id);
        ids.collect()
    };
    let (before, after) = (ids(before), ids(after));
    let gone = before.iter().filter(|id| !after.contains(id));
    let new = after.iter().filter(|id| !before.contains(id));
    let stay = after.iter().filter(|id| before.contains(id)).count();
    let (out, in_) = (gone.clone().count(), new.clone().count());
    log.info(format_args!("Layers:    {out} out, {in_} in, {stay} stay"));
    gone.for_each(|id| log.info(format_args!("           - {id}")));
    new.for_each(|id| log.info(format_args!("           + {id}")));
}

fn labels(app: &App, rebased: &Rebased, log: &Log) {
    let before = app.opened.image.config.labels();
    let after = rebased.image.config.labels();
    let keys = before
        .keys()
        .chain(after.keys().filter(|key| !before.contains_key(*key)));
    for key in keys {
        match (before.get(key), after.get(key)) {
            // Most of it is about the app, and never changes.
            (Some(old), Some(new)) if *key == METADATA_LABEL && old != new => {
                let (old, new) = (&app.metadata, &rebased.metadata);
                let (old, new) = (old.run_image_json(), new.run_image_json());
                log.info(format_args!("Label:     {key}, runImage: {old} -> {new}"));
            }
            (Some(old), Some(new)) if old != new => {
                log.info(format_args!("Label:     {key}: {old} -> {new}"));
            }
            (Some(old), None) => log.info(format_args!("Label:     {key}: {old} -> (gone)")),
            (None, Some(new)) => log.info(format_args!("Label:     {key}: (new) -> {new}")),
            _ => {}
        }
    }
}
