//! Finds alternatives of build plans that fit together (FACTS 6.5, plan trials).
//!
//! A trial takes one alternative of every module. Trials are ordered as a product, the first module's alternatives
//! varying slowest, and the first trial that works out is the one that counts.

use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::plan::{BuildPlan, Plan, PlanEntry, Provider, Require};
use lifecycle_core::error::{Error, Result};
use std::collections::HashMap;

/// What is said when nothing takes part any more.
pub(super) const NOTHING_LEFT: &str = "fail: no viable buildpacks in group";

/// How many partial trials are looked at before the search gives up. The reference has no limit.
const MAX_STEPS: usize = 1_000_000;

/// The passing modules of a group, with their alternatives.
pub(super) struct Problem<'a> {
    entrants: Vec<Entrant<'a>>,
    /// Names of dependencies in the order in which they were first met.
    names: Vec<&'a str>,
    /// By name, the last entrant of which some alternative requires it.
    last_requirer: Vec<Option<usize>>,
}

struct Entrant<'a> {
    element: &'a GroupElement,
    alternatives: Vec<Alternative<'a>>,
}

/// Provided and required names as indices.
struct Alternative<'a> {
    provides: Vec<usize>,
    requires: Vec<(usize, &'a Require)>,
}

/// A trial that worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    /// Which alternative of each entrant was tried.
    pub(super) picks: Vec<usize>,
    /// Which entrants were kept to the end.
    pub(super) kept: Vec<bool>,
}

/// Who provides and who requires one name in a trial; modules are indices.
#[derive(Clone, Default)]
struct Dependency<'a> {
    /// Providers that were there before a requirement.
    providers: Vec<usize>,
    /// Requirements with a provider before them.
    requires: Vec<&'a Require>,
    /// Requirers without any provider before them.
    unmet: Vec<usize>,
    /// Providers without any requirement after them.
    unused: Vec<usize>,
}

impl<'a> Problem<'a> {
    pub(super) fn new(passing: impl Iterator<Item = (&'a GroupElement, &'a BuildPlan)>) -> Self {
        let mut names = Names::default();
        let entrants: Vec<_> = passing
            .map(|(element, plan)| Entrant {
                element,
                alternatives: alternatives(plan, &mut names),
            })
            .collect();
        let mut last_requirer = vec![None; names.list.len()];
        for (index, entrant) in entrants.iter().enumerate() {
            let requires = entrant.alternatives.iter().flat_map(|a| &a.requires);
            for (name, _) in requires {
                set(&mut last_requirer, *name, Some(index));
            }
        }
        Self {
            entrants,
            names: names.list,
            last_requirer,
        }
    }

    /// The first trial that works out.
    ///
    /// Beginnings of trials that cannot work out are not pursued; what is left in order is what the plain product
    /// would find.
    ///
    /// # Errors
    /// More than a million beginnings had to be looked at.
    pub(super) fn solve(&self) -> Result<Option<Trial>> {
        self.solve_within(MAX_STEPS)
    }

    fn solve_within(&self, steps: usize) -> Result<Option<Trial>> {
        let mut picks = Vec::with_capacity(self.entrants.len());
        // The alternative to try next at this depth.
        let mut pick = 0;
        for _ in 0..steps {
            if pick < self.count(picks.len()) {
                picks.push(pick);
                if !self.hopeless(&picks) {
                    let complete = picks.len() == self.entrants.len();
                    if complete && let Some(trial) = self.attempt(&picks, &mut |_| {}) {
                        return Ok(Some(trial));
                    }
                    pick = 0;
                    continue;
                }
            }
            match picks.pop() {
                Some(last) => pick = last + 1,
                None => return Ok(None),
            }
        }
        Err(Error::other(format!(
            "gave up resolving the build plan of a group after {steps} steps: too many alternatives"
        )))
    }

    /// Every combination of alternatives in the order of trials.
    pub(super) fn products(&self) -> impl Iterator<Item = Vec<usize>> {
        let first = Some(vec![0; self.entrants.len()]);
        std::iter::successors(first, |picks| {
            let mut picks = picks.clone();
            for (index, pick) in picks.iter_mut().enumerate().rev() {
                *pick += 1;
                if *pick < self.count(index) {
                    return Some(picks);
                }
                *pick = 0;
            }
            None
        })
    }

    /// One trial; `say` hears why modules are left out and why it fails.
    pub(super) fn attempt(&self, picks: &[usize], say: &mut dyn FnMut(String)) -> Option<Trial> {
        let mut kept = vec![true; self.entrants.len()];
        loop {
            let dependencies = self.dependencies(picks, &kept);
            let mut settled = true;
            let unmet = dependencies
                .iter()
                .flat_map(|(name, dependency)| dependency.unmet.iter().map(|i| (*i, *name)))
                .map(|(index, name)| (index, format!("requires {name}")));
            let unused = dependencies
                .iter()
                .flat_map(|(name, dependency)| dependency.unused.iter().map(|i| (*i, *name)))
                .map(|(index, name)| (index, format!("provides unused {name}")));
            for (index, why) in unmet.chain(unused) {
                let entrant = self.entrants.get(index)?;
                let module = entrant.element.full_name();
                if entrant.is_required(*picks.get(index)?) {
                    say(format!("fail: {module} {why}"));
                    return None;
                }
                say(format!("skip: {module} {why}"));
                set(&mut kept, index, false);
                settled = false;
            }
            if settled {
                break;
            }
        }
        if !kept.contains(&true) {
            say(NOTHING_LEFT.to_owned());
            return None;
        }
        Some(Trial {
            picks: picks.to_vec(),
            kept,
        })
    }

    /// The plan of a trial that worked out, entries in the order in which their names were met.
    pub(super) fn plan(&self, trial: &Trial) -> Plan {
        let entries = self
            .dependencies(&trial.picks, &trial.kept)
            .into_iter()
            .map(|(_, dependency)| PlanEntry {
                providers: dependency
                    .providers
                    .iter()
                    .filter_map(|index| self.entrants.get(*index))
                    .map(|entrant| Provider {
                        kind: entrant.element.kind,
                        id: entrant.element.id.clone(),
                        version: entrant.element.version.clone(),
                    })
                    .collect(),
                requires: dependency.requires.into_iter().cloned().collect(),
            })
            .collect();
        Plan { entries }
    }

    /// How many alternatives the entrant has.
    fn count(&self, index: usize) -> usize {
        self.entrants.get(index).map_or(0, |e| e.alternatives.len())
    }

    /// The entrants that are kept, each with the picked alternative.
    fn picked<'p>(
        &'p self,
        picks: &'p [usize],
        kept: &'p [bool],
    ) -> impl Iterator<Item = (usize, &'p Alternative<'a>)> {
        let entrants = self.entrants.iter().zip(picks).zip(kept).enumerate();
        entrants
            .filter(|(_, (_, kept))| **kept)
            .filter_map(|(index, ((entrant, pick), _))| {
                Some((index, entrant.alternatives.get(*pick)?))
            })
    }

    /// Who provides and requires what, the names in the order in which they are met.
    fn dependencies(&self, picks: &[usize], kept: &[bool]) -> Vec<(&'a str, Dependency<'a>)> {
        let mut places = vec![None; self.names.len()];
        let mut found: Vec<(&'a str, Dependency<'a>)> = Vec::new();
        let mut place = |found: &mut Vec<(&'a str, Dependency<'a>)>, name: usize| {
            let known = places.get(name).copied().flatten();
            known.unwrap_or_else(|| {
                set(&mut places, name, Some(found.len()));
                let text = self.names.get(name).copied().unwrap_or_default();
                found.push((text, Dependency::default()));
                found.len() - 1
            })
        };
        for (index, alternative) in self.picked(picks, kept) {
            for &name in &alternative.provides {
                let place = place(&mut found, name);
                if let Some((_, dependency)) = found.get_mut(place) {
                    dependency.unused.push(index);
                }
            }
            for &(name, require) in &alternative.requires {
                let place = place(&mut found, name);
                if let Some((_, dependency)) = found.get_mut(place) {
                    dependency.providers.append(&mut dependency.unused);
                    match dependency.providers.is_empty() {
                        true => dependency.unmet.push(index),
                        false => dependency.requires.push(require),
                    }
                }
            }
        }
        found
    }

    /// Whether every trial that begins with `picks` fails.
    ///
    /// In a trial that works out, everything that a kept module requires is provided by a kept module at or before it;
    /// whoever requires something else is not kept, nor then counts what it provides. And everything that a required
    /// module provides is required by a module at or after it. Required modules are always kept.
    fn hopeless(&self, picks: &[usize]) -> bool {
        let mut provided = vec![false; self.names.len()];
        let mut unused = vec![false; self.names.len()];
        for (entrant, &pick) in self.entrants.iter().zip(picks) {
            let Some(alternative) = entrant.alternatives.get(pick) else {
                return true;
            };
            let required = entrant.is_required(pick);
            let met = alternative.requires.iter().all(|(name, _)| {
                provided.get(*name).is_some_and(|p| *p) || alternative.provides.contains(name)
            });
            if !met && required {
                return true;
            }
            for &name in &alternative.provides {
                if met {
                    set(&mut provided, name, true);
                }
                if required {
                    set(&mut unused, name, true);
                }
            }
            for &(name, _) in &alternative.requires {
                set(&mut unused, name, false);
            }
        }
        let to_come = |last: &Option<usize>| last.is_some_and(|last| last >= picks.len());
        let mut names = unused.iter().zip(&self.last_requirer);
        names.any(|(unused, last)| *unused && !to_come(last))
    }
}

impl Entrant<'_> {
    /// Whether the trial fails when this entrant, with this alternative, can't be kept: an optional module may be left
    /// out only once its last alternative is tried.
    fn is_required(&self, pick: usize) -> bool {
        !self.element.optional || pick + 1 != self.alternatives.len()
    }
}

/// Numbers names in the order in which they are met.
#[derive(Default)]
struct Names<'a> {
    list: Vec<&'a str>,
    numbers: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        *self.numbers.entry(name).or_insert_with(|| {
            self.list.push(name);
            self.list.len() - 1
        })
    }
}

fn alternatives<'a>(plan: &'a BuildPlan, names: &mut Names<'a>) -> Vec<Alternative<'a>> {
    plan.options
        .iter()
        .map(|sections| Alternative {
            provides: sections.provides.iter().map(|p| names.number(p)).collect(),
            requires: sections
                .requires
                .iter()
                .map(|require| (names.number(&require.name), require))
                .collect(),
        })
        .collect()
}

fn set<T>(list: &mut [T], index: usize, value: T) {
    if let Some(place) = list.get_mut(index) {
        *place = value;
    }
}

#[cfg(test)]
mod tests;
