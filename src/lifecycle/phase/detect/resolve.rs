//! Judges one group by what its modules' `bin/detect` said: first the verdicts, then the build plan
//! (FACTS 6.5; buildpack.md, Phase #1: Detection).

use super::trial::{self, Problem, Trial};
use crate::buildpack::{Detection, Outcome};
use crate::log::Level;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::group::{Group, GroupElement};
use lifecycle_core::data::plan::{BuildPlan, Plan};
use lifecycle_core::error::Result;
use std::rc::Rc;
use std::sync::Arc;

/// How many trials of a group are described at most; the reference describes all of them, however many.
const TRIALS_DESCRIBED: usize = 10_000;

/// A module of the group under judgement.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) element: Rc<GroupElement>,
    pub(super) detection: Arc<Detection>,
}

/// What became of a group.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// It passed, by this trial.
    Passed(Trial),
    /// It did not; the next group is to be tried.
    Failed {
        /// Whether a module erred.
        errored: bool,
    },
}

/// A part of the report on a group.
pub(super) enum Text<'a> {
    /// A line of the lifecycle.
    Line(String),
    /// What a module wrote, byte for byte.
    Raw(&'a [u8]),
}

/// Receives a report, part by part.
pub(super) type Emit<'e> = dyn FnMut(Level, Text<'_>) + 'e;

/// Judges the group.
///
/// # Errors
/// The plan's alternatives are too many to be searched.
pub(super) fn judge(members: &[Member]) -> Result<Verdict> {
    let trial = match rejection(members) {
        Some(Rejection::Module { errored }) => return Ok(Verdict::Failed { errored }),
        Some(Rejection::NoBuildpack) => None,
        None => problem(members).solve()?,
    };
    Ok(trial.map_or(Verdict::Failed { errored: false }, Verdict::Passed))
}

/// The group and the plan by which the group passed.
pub(super) fn outcome(members: &[Member], trial: &Trial) -> (Group, Plan) {
    let mut group = Group::default();
    for element in participants(members, trial) {
        let element = GroupElement {
            optional: false,
            ..element.clone()
        };
        match element.kind {
            ModuleKind::Buildpack => group.buildpacks.push(element),
            ModuleKind::Extension => group.extensions.push(element),
        }
    }
    (group, problem(members).plan(trial))
}

/// Tells how the group was judged, in the contract's lines.
pub(super) fn report(members: &[Member], verdict: &Verdict, emit: &mut Emit<'_>) {
    for member in members {
        report_output(member, emit);
    }
    debug(emit, "======== Results ========");
    for member in members {
        report_result(member, emit);
    }
    match rejection(members) {
        Some(Rejection::Module { .. }) => {}
        Some(Rejection::NoBuildpack) => debug(emit, trial::NOTHING_LEFT),
        None => report_plan(members, verdict, emit),
    }
}

fn debug(emit: &mut Emit<'_>, line: impl Into<String>) {
    emit(Level::Debug, Text::Line(line.into()));
}

/// Why a group fails whatever its plan is.
enum Rejection {
    /// A required module did not pass.
    Module {
        /// Whether any module erred.
        errored: bool,
    },
    /// No buildpack passed; extensions do not count.
    NoBuildpack,
}

fn rejection(members: &[Member]) -> Option<Rejection> {
    if members.iter().any(fails_group) {
        let errored = |member: &Member| matches!(member.detection.outcome, Outcome::Errored { .. });
        return Some(Rejection::Module {
            errored: members.iter().any(errored),
        });
    }
    let buildpack = |(element, _): (&GroupElement, _)| element.kind == ModuleKind::Buildpack;
    (!passing(members).any(buildpack)).then_some(Rejection::NoBuildpack)
}

fn fails_group(member: &Member) -> bool {
    !member.element.optional && !matches!(member.detection.outcome, Outcome::Passed(_))
}

fn passing(members: &[Member]) -> impl Iterator<Item = (&GroupElement, &BuildPlan)> {
    members
        .iter()
        .filter_map(|member| match &member.detection.outcome {
            Outcome::Passed(plan) => Some((&*member.element, plan)),
            _ => None,
        })
}

fn problem(members: &[Member]) -> Problem<'_> {
    Problem::new(passing(members))
}

fn participants<'m>(
    members: &'m [Member],
    trial: &Trial,
) -> impl Iterator<Item = &'m GroupElement> {
    passing(members)
        .zip(&trial.kept)
        .filter(|(_, kept)| **kept)
        .map(|((element, _), _)| element)
}

fn report_output(member: &Member, emit: &mut Emit<'_>) {
    let Detection { output, outcome } = &*member.detection;
    let name = member.element.full_name();
    let (level, reason) = match outcome {
        Outcome::Passed(_) | Outcome::Failed => (Level::Debug, None),
        Outcome::Errored { reason, .. } => (Level::Info, reason.as_deref()),
    };
    if !output.is_empty() {
        let heading = format!("======== Output: {name} ========");
        emit(level, Text::Line(heading));
        emit(level, Text::Raw(output));
    }
    if let Some(reason) = reason {
        let heading = format!("======== Error: {name} ========");
        emit(level, Text::Line(heading));
        emit(level, Text::Line(reason.to_owned()));
    }
}

fn report_result(member: &Member, emit: &mut Emit<'_>) {
    let name = member.element.full_name();
    match &member.detection.outcome {
        Outcome::Passed(_) => debug(emit, format!("pass: {name}")),
        Outcome::Failed if member.element.optional => debug(emit, format!("skip: {name}")),
        Outcome::Failed => debug(emit, format!("fail: {name}")),
        Outcome::Errored { code, .. } => {
            let line = match code {
                Some(code) => format!("err:  {name} ({code})"),
                None => format!("err:  {name}"),
            };
            emit(Level::Info, Text::Line(line));
        }
    }
}

fn report_plan(members: &[Member], verdict: &Verdict, emit: &mut Emit<'_>) {
    let winner = match verdict {
        Verdict::Passed(trial) => Some(trial),
        Verdict::Failed { .. } => None,
    };
    let problem = problem(members);
    for (index, picks) in problem.products().enumerate() {
        if index == TRIALS_DESCRIBED {
            debug(emit, "Resolving plan... (further tries are not shown)");
            break;
        }
        debug(
            emit,
            format!("Resolving plan... (try #{})", index.saturating_add(1)),
        );
        problem.attempt(&picks, &mut |line| debug(emit, line));
        if winner.is_some_and(|trial| trial.picks == picks) {
            break;
        }
    }
    if let Some(trial) = winner {
        report_participants(members, trial, emit);
    }
}

fn report_participants(members: &[Member], trial: &Trial, emit: &mut Emit<'_>) {
    let count = participants(members, trial).count();
    if count != members.len() {
        let line = format!("{count} of {} buildpacks participating", members.len());
        emit(Level::Info, Text::Line(line));
    }
    let width = participants(members, trial)
        .map(|element| element.id.len())
        .max()
        .unwrap_or(0);
    for element in participants(members, trial) {
        let line = format!("{:<width$} {}", element.id, element.version);
        emit(Level::Info, Text::Line(line));
    }
}
