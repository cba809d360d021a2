//! Rebaser: swaps the base image of an app image.

mod plan;

use super::stores::Stores;
use super::{Command, documents};
use crate::log::Log;
use crate::phase::rebase::{self, Rebase, Rebased, Validation};
use crate::phase::{progress, save};
use crate::platform::{Inputs, Program, mirror, privileges};
use lifecycle_core::api::{Feature, PlatformApi};
use lifecycle_core::data::label::LayersMetadata;
use lifecycle_core::data::report::Report;
use lifecycle_core::error::{Error, ErrorKind, Result as CoreResult, ResultExt};
use lifecycle_core::exit::{During, Failure, Phase};
use lifecycle_image::image::Image;
use lifecycle_image::oci::{Platform, Reference};
use lifecycle_image::store::registry::Proof;
use lifecycle_image::store::{ImageStore, Opened};

/// Swaps the base image of an app image.
pub struct Rebaser;

impl Command for Rebaser {
    const PROGRAM: Program = Program::Rebaser;
    type Session = Stores;

    fn prepare(inputs: &mut Inputs, _: &Log) -> Result<Stores, Failure> {
        // A rebase is a handful of requests: the registry's word for the last one does.
        let stores = Stores::prepare(inputs, &[])?.with_proof(Proof::Answer);
        privileges::run_as_user(inputs)?;
        Ok(stores)
    }

    fn execute(inputs: &Inputs, stores: Stores, log: &Log) -> Result<(), Failure> {
        let store = stores.images(inputs)?;
        let given = inputs.run_image.as_deref();
        // To read them is to wait: for both at a time.
        let (app, given) = rayon::join(
            || App::open(inputs, store.as_ref()),
            || given.map(|name| Base::open(name, store.as_ref())),
        );
        let app = app
            .context(|| "failed to set app image")
            .during(Phase::Rebase)?;
        let base = match given {
            Some(base) => base.context(|| "failed to access run image")?,
            None => Base::of(&app, inputs, store.as_ref(), log)
                .context(|| "failed to set app image")
                .during(Phase::Rebase)?,
        };
        let rebase = Rebase {
            app: &app.opened,
            app_name: &app.name,
            base: &base.opened,
            base_name: &base.name,
            validation: validation(&app.opened.image),
            force: inputs.force_rebase,
            knows_run_images: inputs.platform_api.has(Feature::ForceRebase),
        };
        if inputs.check {
            return check(&app, &base, log).during(Phase::Rebase);
        }
        let _timer = log.timer("Rebaser");
        let rebased = rebase::rebase(&rebase)
            .context(|| "failed to rebase")
            .during(Phase::Rebase);
        if inputs.dry_run {
            let forced = rebase::rebase(&Rebase {
                force: true,
                ..rebase
            });
            plan::describe(inputs, &app, &base, forced.as_ref(), log);
            return rebased.map(drop);
        }
        // What cannot be reported is better not begun.
        documents::check_report(&inputs.report)
            .context(|| "failed to write rebase report")
            .during(Phase::Rebase)?;
        let report = finish(inputs, store.as_ref(), &rebased?, log)
            .context(|| "failed to rebase")
            .during(Phase::Rebase)?;
        documents::write_report(&inputs.report, &report)
            .context(|| "failed to write rebase report")
            .during(Phase::Rebase)
    }
}

/// The image that is rebased.
struct App {
    name: String,
    opened: Opened,
    metadata: LayersMetadata,
}

impl App {
    fn open(inputs: &Inputs, store: &dyn ImageStore) -> CoreResult<Self> {
        let name = inputs
            .previous_image
            .as_ref()
            .or(inputs.output_image.as_ref());
        let name = name.cloned().unwrap_or_default();
        let opened = open(store, &name).context(|| "failed to access image to rebase")?;
        let metadata = rebase::metadata(&opened.image, &name)?;
        Ok(Self {
            name,
            opened,
            metadata,
        })
    }
}

/// The new run image.
struct Base {
    name: String,
    opened: Opened,
}

impl Base {
    fn open(name: &str, store: &dyn ImageStore) -> CoreResult<Self> {
        Ok(Self {
            name: name.to_owned(),
            opened: open(store, name)?,
        })
    }

    /// The first of the names in the label of `app` that can be opened.
    fn of(app: &App, inputs: &Inputs, store: &dyn ImageStore, log: &Log) -> CoreResult<Self> {
        let knows_run_images = inputs.platform_api.has(Feature::ForceRebase);
        let names = rebase::run_image_names(&app.metadata, &app.name, knows_run_images)?;
        let registry = Reference::parse(&app.name)?.registry().to_owned();
        let mut failures = Vec::new();
        for name in mirror::candidates(&names, &registry) {
            match Self::open(name, store) {
                Ok(base) => {
                    failures.iter().for_each(|failure| log.warn(failure));
                    return Ok(base);
                }
                Err(error) => failures.push(error.in_context(format!("run image '{name}'"))),
            }
        }
        let causes: Vec<_> = failures.iter().map(Error::to_string).collect();
        let cause = format!("failed to find accessible run image: {}", causes.join("; "));
        Err(Error::other(cause))
    }
}

fn open(store: &dyn ImageStore, name: &str) -> CoreResult<Opened> {
    let missing = || {
        let platform = Platform::host();
        let cause = format!(
            "image '{name}' not found: there is no such name, or its index has nothing for {}/{}",
            platform.os, platform.architecture
        );
        Error::new(ErrorKind::NotFound, cause)
    };
    store.open(name)?.ok_or_else(missing)
}

/// The rules of the Platform API with which the app was built.
fn validation(app: &Image) -> Validation {
    let recorded = app
        .config
        .env_var("CNB_PLATFORM_API")
        .and_then(PlatformApi::recorded);
    match recorded.is_some_and(|api| api.has(Feature::Targets)) {
        true => Validation::Target,
        false => Validation::Stack,
    }
}

fn finish(
    inputs: &Inputs,
    store: &dyn ImageStore,
    rebased: &Rebased,
    log: &Log,
) -> CoreResult<Report> {
    rebased
        .overridden
        .iter()
        .for_each(|refusal| log.warn(refusal));
    let names = names(inputs);
    let save = || save::save_together(store, &rebased.image, &names, log);
    let saved = progress::showing(&|| store.bytes_sent(), log, save)?;
    Ok(Report {
        tags: names.iter().map(|name| store.display_name(name)).collect(),
        image_id: saved.image_id,
        digest: saved.digest.map(|digest| digest.to_string()),
        manifest_size: saved.manifest_size,
        ..Report::default()
    })
}

/// The names under which the rebased image is written.
fn names(inputs: &Inputs) -> Vec<String> {
    let names = inputs.output_image.iter().chain(&inputs.additional_tags);
    names.cloned().collect()
}

/// Says whether the image has its newest run image.
fn check(app: &App, Base { opened: base, .. }: &Base, log: &Log) -> CoreResult<()> {
    if rebase::is_up_to_date(&app.metadata, base) {
        log.info(format_args!(
            "{} is up to date with {}",
            app.name, base.identifier
        ));
        return Ok(());
    }
    let old = plan::or_unknown(&app.metadata.run_image.reference);
    let due = format!(
        "rebase of {} is due: from {old} to {}",
        app.name, base.identifier
    );
    Err(Error::new(ErrorKind::RebaseDue, due))
}
