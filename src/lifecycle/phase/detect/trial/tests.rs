use super::*;
use lifecycle_core::data::ModuleKind;
use lifecycle_core::data::plan::PlanSections;
use proptest::prelude::*;

fn element(index: usize, optional: bool) -> GroupElement {
    GroupElement {
        kind: ModuleKind::Buildpack,
        id: format!("m{index}"),
        version: "1".into(),
        api: "0.12".into(),
        homepage: None,
        optional,
    }
}

fn sections() -> impl Strategy<Value = PlanSections> {
    let names = || prop::collection::vec(prop::sample::select(vec!["w", "x", "y", "z"]), 0..3);
    (names(), names()).prop_map(|(provides, requires)| PlanSections {
        provides: provides.into_iter().map(str::to_owned).collect(),
        requires: requires
            .into_iter()
            .map(|name| Require {
                name: name.into(),
                ..Require::default()
            })
            .collect(),
    })
}

fn modules() -> impl Strategy<Value = Vec<(bool, BuildPlan)>> {
    let plan = prop::collection::vec(sections(), 1..4).prop_map(|options| BuildPlan { options });
    prop::collection::vec((any::<bool>(), plan), 0..6)
}

fn name_modules(modules: &[(bool, BuildPlan)]) -> Vec<(GroupElement, BuildPlan)> {
    let named = modules.iter().enumerate();
    named
        .map(|(index, (optional, plan))| (element(index, *optional), plan.clone()))
        .collect()
}

proptest! {
    /// The search finds what the plain product of all alternatives finds first.
    #[test]
    fn search_agrees_with_the_product(modules in modules()) {
        let modules = name_modules(&modules);
        let problem = Problem::new(modules.iter().map(|(element, plan)| (element, plan)));
        let expected = problem.products().find_map(|picks| problem.attempt(&picks, &mut |_| {}));
        prop_assert_eq!(problem.solve().unwrap(), expected);
    }

    /// In a trial that works out nothing is missing, nothing is superfluous, and no required module is left out.
    #[test]
    fn results_are_consistent(modules in modules()) {
        let modules = name_modules(&modules);
        let problem = Problem::new(modules.iter().map(|(element, plan)| (element, plan)));
        let Some(trial) = problem.solve().unwrap() else { return Ok(()); };
        let mut provided = Vec::new();
        let mut unused = Vec::new();
        for (((element, plan), pick), kept) in modules.iter().zip(&trial.picks).zip(&trial.kept) {
            let option = &plan.options[*pick];
            prop_assert!(*kept || (element.optional && pick + 1 == plan.options.len()));
            if *kept {
                provided.extend(&option.provides);
                unused.extend(&option.provides);
                for require in &option.requires {
                    prop_assert!(provided.contains(&&require.name));
                    unused.retain(|name| **name != require.name);
                }
            }
        }
        prop_assert!(unused.is_empty());
        for entry in problem.plan(&trial).entries {
            prop_assert!(!entry.providers.is_empty() && !entry.requires.is_empty());
        }
    }
}

fn many(count: usize, options: &[(&str, &str)]) -> Vec<(GroupElement, BuildPlan)> {
    let name = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let option = |(provide, require): &(&str, &str)| PlanSections {
        provides: name(provide).into_iter().collect(),
        requires: name(require)
            .map(|name| Require {
                name,
                ..Require::default()
            })
            .into_iter()
            .collect(),
    };
    let plan = BuildPlan {
        options: options.iter().map(option).collect(),
    };
    (0..count)
        .map(|index| (element(index, false), plan.clone()))
        .collect()
}

#[test]
fn hopeless_beginnings_are_not_pursued() {
    // A product of 3^40 trials none of which works out, and one of which only the last does.
    let modules = many(40, &[("", "x"), ("", "y"), ("", "z")]);
    let problem = Problem::new(modules.iter().map(|(element, plan)| (element, plan)));
    assert_eq!(problem.solve().unwrap(), None);
    let modules = many(40, &[("", "x"), ("y", ""), ("", "")]);
    let problem = Problem::new(modules.iter().map(|(element, plan)| (element, plan)));
    assert_eq!(problem.solve().unwrap().unwrap().picks, [2; 40]);
}

#[test]
fn the_search_gives_up_in_time() {
    // Everyone could provide x, and the last one needs something else.
    let mut modules = many(40, &[("x", "x"), ("y", "y")]);
    modules.push((
        element(40, false),
        BuildPlan {
            options: vec![PlanSections {
                requires: vec![Require {
                    name: "q".into(),
                    ..Require::default()
                }],
                ..PlanSections::default()
            }],
        },
    ));
    let problem = Problem::new(modules.iter().map(|(element, plan)| (element, plan)));
    let error = problem.solve_within(10_000).unwrap_err().to_string();
    assert!(
        error.starts_with("gave up resolving the build plan"),
        "{error}"
    );
}
