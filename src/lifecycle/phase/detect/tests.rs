use super::*;
use crate::buildpack::Outcome;
use lifecycle_core::data::descriptor::Descriptor;
use lifecycle_core::data::order::{Order, OrderElement};
use lifecycle_core::data::plan::BuildPlan;
use lifecycle_core::data::system::System;
use lifecycle_core::data::target::ModuleTarget;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Modules by name. The text says what a module is and does: `fail`, `err`, `err 7`, plan alternatives separated by `or`
/// with `+name` for provides and `-name` for requires, `= a b | c` for a composite, `arm64` for a target,
/// `env:test` for an execution environment. A module that is not listed passes without a plan; `none` is not there.
#[derive(Default)]
struct Fakes {
    modules: HashMap<String, String>,
    ran: Mutex<Vec<String>>,
}

fn fakes(modules: &[(&str, &str)]) -> Fakes {
    let modules = modules.iter().map(|&(id, what)| (id.into(), what.into()));
    Fakes {
        modules: modules.collect(),
        ran: Mutex::default(),
    }
}

impl Modules for Fakes {
    fn find(&self, kind: ModuleKind, id: &str, version: &str) -> Result<Arc<Module>> {
        let what = self.modules.get(id).map_or("", String::as_str);
        if what == "none" {
            return Err(Error::new(ErrorKind::NotFound, format!("no {id}")));
        }
        let mut descriptor = Descriptor::parse("", kind).unwrap();
        (descriptor.id, descriptor.version) = (id.into(), version.into());
        descriptor.api = "0.12".into();
        descriptor.order = what.strip_prefix("= ").map_or_else(Vec::new, order);
        if what == "arm64" {
            descriptor.targets.push(ModuleTarget {
                arch: "arm64".into(),
                ..ModuleTarget::default()
            });
        }
        descriptor.exec_env = what
            .strip_prefix("env:")
            .map(str::to_owned)
            .into_iter()
            .collect();
        let root = PathBuf::from("/modules").join(id);
        Ok(Arc::new(Module { root, descriptor }))
    }

    fn detect(&self, module: &Module, _: &Target) -> Detection {
        let id = &module.descriptor.id;
        self.ran.lock().unwrap().push(id.clone());
        let what = self.modules.get(id).map_or("", String::as_str);
        let outcome = match what {
            "fail" => Outcome::Failed,
            _ if what.starts_with("err") => Outcome::Errored {
                code: what.split_once(' ').map(|(_, code)| code.parse().unwrap()),
                reason: None,
            },
            _ => Outcome::Passed(plan(what)),
        };
        let output = format!("{id} ran").into_bytes();
        Detection { output, outcome }
    }

    fn target(&self) -> Target {
        Target {
            arch: "amd64".into(),
            ..Target::default()
        }
    }
}

fn plan(text: &str) -> BuildPlan {
    let table = |or: &str, part: &str| match part.split_at(1) {
        ("+", name) => format!("[[{or}provides]]\nname = {name:?}\n"),
        ("-", name) => format!("[[{or}requires]]\nname = {name:?}\n"),
        _ => String::new(),
    };
    let mut toml = String::new();
    for (index, option) in text.split(" or ").enumerate() {
        let or = if index == 0 { "" } else { "or." };
        if index > 0 {
            toml.push_str("[[or]]\n");
        }
        toml.extend(option.split_whitespace().map(|part| table(or, part)));
    }
    BuildPlan::parse(&toml).unwrap()
}

/// `a b? | c`: groups separated by bars, optional elements with a question mark.
fn order(text: &str) -> Order {
    elements(text, ModuleKind::Buildpack)
}

fn elements(text: &str, kind: ModuleKind) -> Order {
    let element = |text: &str| OrderElement {
        kind,
        id: text.trim_end_matches('?').into(),
        version: "1".into(),
        optional: text.ends_with('?') || kind == ModuleKind::Extension,
        exec_env: Vec::new(),
    };
    let group = |text: &str| text.split_whitespace().map(element).collect();
    text.split('|').map(group).collect()
}

/// `extensions ; buildpacks`, the first part optional.
fn orders(text: &str) -> Orders {
    let (extensions, buildpacks) = text.split_once(';').unwrap_or(("", text));
    let extensions = match extensions {
        "" => Order::new(),
        text => elements(text, ModuleKind::Extension),
    };
    Orders {
        buildpacks: order(buildpacks),
        extensions,
    }
}

/// The detected group and plan: `e / a b: x by a for 1`, or the error.
fn summary(result: Result<(Group, Plan)>) -> String {
    let (group, plan) = match result {
        Ok(found) => found,
        Err(error) => return error.to_string(),
    };
    let ids = |elements: &[lifecycle_core::data::group::GroupElement]| -> String {
        let ids: Vec<_> = elements.iter().map(|element| element.id.as_str()).collect();
        ids.join(" ")
    };
    let mut text = ids(&group.buildpacks);
    if !group.extensions.is_empty() {
        text = format!("{} / {text}", ids(&group.extensions));
    }
    for entry in plan.entries {
        let by: Vec<_> = entry.providers.iter().map(|p| p.id.as_str()).collect();
        let name = &entry.requires[0].name;
        let (by, count) = (by.join("+"), entry.requires.len());
        text.push_str(&format!(", {name} by {by} for {count}"));
    }
    text
}

fn check_with(decisions: Decisions<'_>, text: &str, modules: &Fakes, expected: &str) {
    let log = Log::to(std::io::sink(), Level::Debug, false);
    let result = detect(&orders(text), decisions, modules, &log);
    assert_eq!(summary(result), expected, "{text} {:?}", modules.modules);
}

fn check(text: &str, modules: &[(&str, &str)], expected: &str) {
    check_with(Decisions::default(), text, &fakes(modules), expected);
}

const FAILED: &str = "no buildpacks participating";
const ERRED: &str = "buildpack(s) failed with err";

#[test]
fn the_first_group_that_passes_is_chosen() {
    check("a", &[], "a");
    check("a b | c", &[("b", "fail")], "c");
    check("a b? c", &[("b", "fail")], "a c");
    check("a b? c", &[("b", "err")], "a c");
    check("a a b a", &[], "a b");
    check("a | b", &[("a", "fail"), ("b", "fail")], FAILED);
    check("a | b", &[("a", "err"), ("b", "fail")], ERRED);
    check("a? b?", &[("a", "fail"), ("b", "fail")], FAILED);
    check("a? b?", &[("a", "err"), ("b", "fail")], FAILED);
    check("", &[], FAILED);
    check("none", &[("none", "none")], "no none");
}

#[test]
fn composites_expand_in_place() {
    let nested = [("m", "= b c | c d?"), ("o", "= a m"), ("b", "fail")];
    check("o d", &nested, "a c d");
    check("m? z", &[("m", "= a"), ("a", "fail")], "z");
    check("m z", &[("m", "= a"), ("a", "fail")], FAILED);
    check(
        "m z",
        &[("m", "= a | b"), ("a", "+x"), ("b", "+y"), ("z", "-y")],
        "b z, y by b for 1",
    );
    // The same composite twice is no cycle.
    check("m x m", &[("m", "= a b")], "a b x");
    check(
        "m | x",
        &[("m", "= m2 x"), ("m2", "= m"), ("x", "fail")],
        "composite buildpacks contain each other: m@1 -> m2@1 -> m@1",
    );
    // As long as an earlier group passes nobody looks.
    check("m", &[("m", "= a | m")], "a");
    let many = vec!["m"; MANY].join(" ");
    check(
        &many,
        &[("m", "= a")],
        "a group of the order contains more than 250 composite buildpacks",
    );
}

const MANY: usize = 300;

#[test]
fn extensions_come_first_and_never_decide() {
    check("e ; a", &[("e", "+x"), ("a", "-x")], "e / a, x by e for 1");
    check("e ; a", &[("e", "fail")], "a");
    check("e ; a", &[("e", "+x")], "a");
    check("e ; a", &[("a", "fail")], FAILED);
    check(
        "e | f ; a",
        &[("f", "+x"), ("a", "-x")],
        "f / a, x by f for 1",
    );
    check("e ; e", &[], "e / e");
}

#[test]
fn plans_are_resolved() {
    check("a b", &[("a", "+x"), ("b", "-x")], "a b, x by a for 1");
    check("a", &[("a", "-x")], FAILED);
    check("a", &[("a", "+x")], FAILED);
    check("a b", &[("a", "-x"), ("b", "+x")], FAILED);
    check("a", &[("a", "+x -x")], "a, x by a for 1");
    check("a? b", &[("a", "-x")], "b");
    check("a? b? c", &[("a", "+x -q"), ("b", "-x")], "c");
    check("a? b", &[("a", "+x")], "b");
    check("a?", &[("a", "-x")], FAILED);
    check(
        "a b c",
        &[("a", "+x"), ("b", "+x"), ("c", "-x")],
        "a b c, x by a+b for 1",
    );
    check(
        "a b c",
        &[("a", "+x"), ("b", "-x"), ("c", "-x")],
        "a b c, x by a for 2",
    );
    check("a", &[("a", "-x or +y -y")], "a, y by a for 1");
    check(
        "a b",
        &[("a", "+1 or +2 or +3"), ("b", "-9 or -3")],
        "a b, 3 by a for 1",
    );
    // An optional module is left out only with its last alternative.
    check("a? b", &[("a", "-x or +y -y")], "a b, y by a for 1");
    // Names in the order in which they are met.
    check(
        "a b",
        &[("a", "+z +y"), ("b", "-y -z")],
        "a b, z by a for 1, y by a for 1",
    );
}

#[test]
fn targets_must_match_where_the_platform_says_so() {
    let arm = || fakes(&[("a", "arm64")]);
    let matching = Decisions {
        match_targets: true,
        ..Decisions::default()
    };
    check_with(matching, "a b | b", &arm(), "b");
    check_with(matching, "a", &arm(), ERRED);
    check_with(Decisions::default(), "a b", &arm(), "a b");
    // As with the reference, an optional module runs all the same.
    check_with(matching, "a? b", &arm(), "a b");
    let modules = arm();
    check_with(matching, "a b | b", &modules, "b");
    assert_eq!(*modules.ran.lock().unwrap(), ["b"]);
}

#[test]
fn modules_of_other_execution_environments_are_passed_over() {
    let modules = || fakes(&[("t", "env:test"), ("s", "env:*")]);
    let in_env = |exec_env| Decisions {
        exec_env,
        ..Decisions::default()
    };
    check_with(in_env(Some("production")), "t a s", &modules(), "a s");
    check_with(in_env(Some("production")), "t", &modules(), FAILED);
    check_with(in_env(Some("test")), "t a", &modules(), "t a");
    check_with(in_env(None), "t a", &modules(), "t a");
}

#[test]
fn modules_run_once() {
    let modules = fakes(&[("b", "fail"), ("m", "= b | c")]);
    check_with(Decisions::default(), "a b | m d | z", &modules, "c d");
    let mut ran = modules.ran.into_inner().unwrap();
    ran.sort();
    assert_eq!(ran, ["a", "b", "c", "d"]);
}

#[test]
fn system_buildpacks_surround_groups_that_do_not_list_them() {
    let [pre, post]: [_; 2] = order("pre a | post?").try_into().unwrap();
    let log = Log::to(std::io::sink(), Level::Debug, false);
    let orders = with_system(orders("e ; a | b"), &System { pre, post }, &log);
    assert_eq!(orders.buildpacks, order("pre a post? | pre a b post?"));
    assert_eq!(orders.extensions.len(), 1);
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn check_lines(level: Level, text: &str, modules: &[(&str, &str)], expected: &[&str]) {
    let buffer = Buffer::default();
    let log = Log::to(buffer.clone(), level, false);
    let _ = detect(&orders(text), Decisions::default(), &fakes(modules), &log);
    let written = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = written
        .lines()
        .filter(|line| !line.starts_with("Timer"))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn lines_follow_the_contract() {
    let modules = [("a", "-x"), ("b", "err 7"), ("c", "err")];
    let info = [
        "======== Output: b@1 ========",
        "b ran",
        "err:  b@1 (7)",
        "1 of 3 buildpacks participating",
        "longer 1",
    ];
    check_lines(Level::Info, "a? b? longer", &modules, &info);
    let debug = [
        "======== Output: a@1 ========",
        "a ran",
        "======== Output: b@1 ========",
        "b ran",
        "======== Output: longer@1 ========",
        "longer ran",
        "======== Results ========",
        "pass: a@1",
        "err:  b@1 (7)",
        "pass: longer@1",
        "Resolving plan... (try #1)",
        "skip: a@1 requires x",
        "1 of 3 buildpacks participating",
        "longer 1",
    ];
    check_lines(Level::Debug, "a? b? longer", &modules, &debug);
    let failure = [
        "======== Output: a@1 ========",
        "a ran",
        "======== Results ========",
        "pass: a@1",
        "Resolving plan... (try #1)",
        "fail: a@1 requires x",
        "======== Output: c@1 ========",
        "c ran",
        "======== Results ========",
        "err:  c@1",
        "ERROR: No buildpack groups passed detection.",
    ];
    check_lines(Level::Error, "a | c", &modules, &failure);
    let nothing = [
        "======== Output: d@1 ========",
        "d ran",
        "======== Results ========",
        "skip: d@1",
        "fail: no viable buildpacks in group",
        "ERROR: No buildpack groups passed detection.",
        "ERROR: Please check that you are running against the correct path.",
    ];
    check_lines(Level::Error, "d?", &[("d", "fail")], &nothing);
}
