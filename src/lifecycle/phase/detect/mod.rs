//! Detection: chooses the group of modules that builds the app, and its build plan (FACTS 6;
//! buildpack.md, Phase #1: Detection).

mod parallel;
mod resolve;
mod search;
mod system;
mod trial;

pub use system::with_system;

use crate::buildpack::{Detection, Module};
use crate::log::{Level, Log};
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::group::Group;
use lifecycle_core::data::order::Orders;
use lifecycle_core::data::plan::Plan;
use lifecycle_core::data::target::Target;
use lifecycle_core::error::{Error, ErrorKind, Result};
use resolve::{Text, Verdict};
use search::Search;
use std::io::Write;
use std::sync::Arc;

/// What the platform decided about detection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decisions<'a> {
    /// Whether modules must support the run image's target.
    pub match_targets: bool,
    /// The execution environment that modules must support, if that matters.
    pub exec_env: Option<&'a str>,
}

/// The modules of the build environment.
pub trait Modules: Sync {
    /// Finds a module by kind, id and version.
    ///
    /// # Errors
    /// It is not there, or its descriptor is malformed.
    fn find(&self, kind: ModuleKind, id: &str, version: &str) -> Result<Arc<Module>>;

    /// Runs a module's `bin/detect`; several at once.
    fn detect(&self, module: &Module, target: &Target) -> Detection;

    /// What is known about the run image, completed from the build environment; asked for at most once.
    fn target(&self) -> Target;
}

/// Tries the groups of `orders`, each behind every group of extensions, and returns the first that passes.
///
/// # Errors
/// Kind `NoGroupPassed` or `BuildpackFailed` if no group passes; any other kind if a module cannot be found,
/// composites contain each other, or the order has too many combinations.
pub fn detect(
    orders: &Orders,
    decisions: Decisions<'_>,
    modules: &impl Modules,
    log: &Log,
) -> Result<(Group, Plan)> {
    let result = timed(orders, decisions, modules, log);
    match result.as_ref().map_err(Error::kind) {
        Err(ErrorKind::NoGroupPassed) => {
            log.error("No buildpack groups passed detection.");
            log.error("Please check that you are running against the correct path.");
        }
        Err(ErrorKind::BuildpackFailed) => log.error("No buildpack groups passed detection."),
        _ => {}
    }
    result
}

fn timed(
    orders: &Orders,
    decisions: Decisions<'_>,
    modules: &impl Modules,
    log: &Log,
) -> Result<(Group, Plan)> {
    let _timer = log.timer("Detector");
    let mut search = Search::new(decisions, modules, log);
    let result = search.orders(orders);
    let passed = matches!(result, Ok(Verdict::Passed(_)));
    for (members, verdict) in &search.judged {
        // Why detection failed is told whatever the log level is.
        resolve::report(members, verdict, &mut |level, text| {
            if !passed || log.enabled(level) {
                print(log, level, &text);
            }
        });
    }
    match (result?, search.judged.last()) {
        (Verdict::Passed(trial), Some((members, _))) => Ok(resolve::outcome(members, &trial)),
        (Verdict::Failed { errored: true }, _) => Err(Error::new(
            ErrorKind::BuildpackFailed,
            "buildpack(s) failed with err",
        )),
        _ => Err(Error::new(
            ErrorKind::NoGroupPassed,
            "no buildpacks participating",
        )),
    }
}

fn print(log: &Log, level: Level, text: &Text<'_>) {
    match text {
        Text::Line(line) => log.line_always(level, line),
        Text::Raw(bytes) => {
            let mut output = log.output();
            let end: &[u8] = if bytes.ends_with(b"\n") { b"" } else { b"\n" };
            // Like every log line: a closed standard output does not stop detection.
            let _ = output.write_all(bytes).and_then(|()| output.write_all(end));
        }
    }
}

#[cfg(test)]
mod tests;
