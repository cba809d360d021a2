//! Walks the orders group by group: expands composites, leaves out what does not fit, runs what has not run yet
//! (FACTS 6.3; buildpack.md, Order Resolution).

use super::resolve::{self, Member, Verdict};
use super::{Decisions, Modules, parallel};
use crate::buildpack::{Detection, Module};
use crate::log::Log;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::group::GroupElement;
use lifecycle_core::data::order::{Order, OrderElement, Orders};
use lifecycle_core::data::target::{ModuleTarget, Target};
use lifecycle_core::error::{Error, Result};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// How many composites are expanded into one group at most.
const MAX_COMPOSITES: usize = 250;

/// How many groups are tried at most.
const MAX_GROUPS: usize = 100_000;

/// What identifies a module; its result is kept under it for the whole detection.
type Key = (ModuleKind, String, String);

/// An element that waits for its turn, with the composites that it comes from.
#[derive(Clone)]
struct Waiting {
    element: Rc<OrderElement>,
    origin: Option<Rc<Composite>>,
}

/// A composite that is being expanded, and the composites around it.
struct Composite {
    name: String,
    around: Option<Rc<Composite>>,
}

/// An element that is part of the group under construction.
#[derive(Clone)]
struct Chosen {
    element: Rc<GroupElement>,
    module: Arc<Module>,
}

/// The walk's memory.
pub(super) struct Search<'a, M> {
    decisions: Decisions<'a>,
    modules: &'a M,
    log: &'a Log,
    target: OnceCell<Target>,
    detections: HashMap<Key, Arc<Detection>>,
    depth: usize,
    /// Every group that was tried, in order.
    pub(super) judged: Vec<(Vec<Member>, Verdict)>,
}

impl<'a, M: Modules> Search<'a, M> {
    pub(super) fn new(decisions: Decisions<'a>, modules: &'a M, log: &'a Log) -> Self {
        Self {
            decisions,
            modules,
            log,
            target: OnceCell::new(),
            detections: HashMap::new(),
            depth: 0,
            judged: Vec::new(),
        }
    }

    /// Tries every group of buildpacks, each behind every group of extensions.
    pub(super) fn orders(&mut self, orders: &Orders) -> Result<Verdict> {
        let extensions = &orders.extensions;
        self.first(&orders.buildpacks, |search, group| {
            let group = waiting(group, None);
            match extensions.is_empty() {
                true => search.group(&group, &[]),
                false => search.order(extensions, None, &[], &group, true),
            }
        })
    }

    /// Tries groups until one passes.
    fn first(
        &mut self,
        order: &Order,
        mut attempt: impl FnMut(&mut Self, &[OrderElement]) -> Result<Verdict>,
    ) -> Result<Verdict> {
        let mut any_errored = false;
        for group in order {
            match attempt(self, group)? {
                Verdict::Failed { errored } => any_errored |= errored,
                passed @ Verdict::Passed(_) => return Ok(passed),
            }
        }
        Ok(Verdict::Failed {
            errored: any_errored,
        })
    }

    /// Tries each group of `order` between what is chosen and the `rest` of the group around it; if the order is
    /// optional and none of them passes, also the rest alone.
    fn order(
        &mut self,
        order: &Order,
        origin: Option<&Rc<Composite>>,
        chosen: &[Chosen],
        rest: &[Waiting],
        optional: bool,
    ) -> Result<Verdict> {
        if self.depth == MAX_COMPOSITES {
            return Err(Error::other(format!(
                "a group of the order contains more than {MAX_COMPOSITES} composite buildpacks"
            )));
        }
        self.depth += 1;
        let verdict = self.first(order, |search, group| {
            let mut group = waiting(group, origin);
            group.extend_from_slice(rest);
            search.group(&group, chosen)
        });
        let verdict = match verdict {
            Ok(Verdict::Failed { .. }) if optional => self.group(rest, chosen),
            other => other,
        };
        self.depth -= 1;
        verdict
    }

    /// Tries the group that consists of what is chosen and of those that wait.
    fn group(&mut self, group: &[Waiting], chosen: &[Chosen]) -> Result<Verdict> {
        let mut chosen = chosen.to_vec();
        let mut rest = group;
        while let Some((next, tail)) = rest.split_first() {
            rest = tail;
            let element = &*next.element;
            let is_same = |chosen: &Chosen| {
                chosen.element.kind == element.kind && chosen.element.id == element.id
            };
            if chosen.iter().any(is_same) || !self.runs_in(&element.exec_env, element) {
                continue;
            }
            let found = self
                .modules
                .find(element.kind, &element.id, &element.version)?;
            if !found.descriptor.order.is_empty() {
                let origin = Composite::inside(element, next.origin.as_ref())?;
                let order = &found.descriptor.order;
                return self.order(order, Some(&origin), &chosen, rest, element.optional);
            }
            // An optional module runs even where it does not fit, as with the reference.
            let fits = !self.decisions.match_targets || self.matches(&found.descriptor.targets);
            let refused = !fits && !element.optional;
            if refused {
                let detection = Detection::error(self.mismatch(&found.descriptor.targets));
                let key = key(&found.group_element(element));
                self.detections.insert(key, Arc::new(detection));
            } else if !self.runs_in(found.exec_env(), element) {
                continue;
            }
            chosen.push(Chosen {
                element: Rc::new(found.group_element(element)),
                module: found,
            });
        }
        self.run(&chosen);
        self.judge(&chosen)
    }

    /// Whether a module or element that lists `supported` takes part in the current execution environment.
    fn runs_in(&self, supported: &[String], element: &OrderElement) -> bool {
        let Some(current) = self.decisions.exec_env else {
            return true;
        };
        let fits = |name: &String| name == "*" || name == current;
        let runs = supported.is_empty() || supported.iter().any(fits);
        if !runs {
            self.log.debug(format_args!(
                "Skipping {}@{} due to execution environment mismatch; current: {current}, buildpack supports: [{}]",
                element.id,
                element.version,
                supported.join(" ")
            ));
        }
        runs
    }

    /// Whether the run image satisfies one of a module's targets.
    fn matches(&self, targets: &[ModuleTarget]) -> bool {
        let satisfied = |target: &ModuleTarget| {
            let json = target.to_json();
            self.log.debug(format_args!(
                "Checking for match against descriptor: {json}"
            ));
            self.target().satisfies(target)
        };
        targets.is_empty() || targets.iter().any(satisfied)
    }

    fn mismatch(&self, targets: &[ModuleTarget]) -> String {
        let targets: Vec<_> = targets.iter().map(ModuleTarget::to_json).collect();
        format!(
            "unable to satisfy target os/arch constraints; run image: {}, buildpack: [{}]",
            self.target().to_json(),
            targets.join(",")
        )
    }

    fn target(&self) -> &Target {
        self.target.get_or_init(|| self.modules.target())
    }

    /// Runs the modules that no group before had, all at once.
    fn run(&mut self, chosen: &[Chosen]) {
        let missing: Vec<_> = chosen
            .iter()
            .map(|chosen| (key(&chosen.element), &*chosen.module))
            .filter(|(key, _)| !self.detections.contains_key(key))
            .collect();
        if missing.is_empty() {
            return;
        }
        let (modules, target) = (self.modules, self.target());
        let detections = parallel::map(&missing, |(_, module)| modules.detect(module, target));
        let keys = missing.into_iter().map(|(key, _)| key);
        self.detections
            .extend(keys.zip(detections.into_iter().map(Arc::new)));
    }

    fn judge(&mut self, chosen: &[Chosen]) -> Result<Verdict> {
        if self.judged.len() == MAX_GROUPS {
            return Err(Error::other(format!(
                "no group passed among the first {MAX_GROUPS} combinations of the order"
            )));
        }
        let members: Vec<_> = chosen
            .iter()
            .filter_map(|chosen| {
                let detection = self.detections.get(&key(&chosen.element))?;
                Some(Member {
                    element: Rc::clone(&chosen.element),
                    detection: Arc::clone(detection),
                })
            })
            .collect();
        let verdict = resolve::judge(&members)?;
        self.judged.push((members, verdict.clone()));
        Ok(verdict)
    }
}

impl Composite {
    /// The expansion of a composite inside the expansion of others.
    ///
    /// # Errors
    /// It is one of them: the expansion would never end.
    fn inside(element: &OrderElement, around: Option<&Rc<Self>>) -> Result<Rc<Self>> {
        let name = format!("{}@{}", element.id, element.version);
        let ancestors = std::iter::successors(around, |composite| composite.around.as_ref());
        let mut cycle = vec![name.as_str()];
        for ancestor in ancestors {
            cycle.insert(0, &ancestor.name);
            if ancestor.name == name {
                let cycle = cycle.join(" -> ");
                return Err(Error::other(format!(
                    "composite buildpacks contain each other: {cycle}"
                )));
            }
        }
        Ok(Rc::new(Self {
            name,
            around: around.cloned(),
        }))
    }
}

fn waiting(group: &[OrderElement], origin: Option<&Rc<Composite>>) -> Vec<Waiting> {
    let waiting = |element: &OrderElement| Waiting {
        element: Rc::new(element.clone()),
        origin: origin.cloned(),
    };
    group.iter().map(waiting).collect()
}

fn key(element: &GroupElement) -> Key {
    let (id, version) = (element.id.clone(), element.version.clone());
    (element.kind, id, version)
}
