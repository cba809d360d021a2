use lifecycle_core::data::launch::Process;
use std::collections::BTreeMap;

/// The processes of all buildpacks so far (FACTS 7.6; BP-FMT-LAUNCH-018 and 019).
#[derive(Default)]
pub(super) struct Processes {
    by_type: BTreeMap<String, Process>,
    default_type: String,
}

impl Processes {
    /// Adds the processes of one buildpack; the last one of a type counts. Returns the default type that was lost to
    /// a process that is no default, unless the buildpack names a new default after it.
    pub(super) fn add(&mut self, processes: Vec<Process>) -> Option<String> {
        let mut lost = None;
        for process in processes {
            if process.default {
                self.default_type.clone_from(&process.r#type);
                lost = None;
            } else if process.r#type == self.default_type {
                self.default_type.clear();
                lost = Some(process.r#type.clone());
            }
            self.by_type.insert(process.r#type.clone(), process);
        }
        lost
    }

    /// The processes sorted by type, and the default type, which they no longer carry.
    pub(super) fn finish(self) -> (Vec<Process>, String) {
        let processes = self.by_type.into_values().map(|process| Process {
            default: false,
            ..process
        });
        (processes.collect(), self.default_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each buildpack as `type` or `type*` for a default; expected: types with the number of their buildpack, the
    /// default, what each buildpack lost.
    fn check(buildpacks: &[&[&str]], types: &[&str], default: &str, lost: &[Option<&str>]) {
        let mut processes = Processes::default();
        let mut found = Vec::new();
        for (index, buildpack) in buildpacks.iter().enumerate() {
            let process = |text: &&str| Process {
                r#type: text.trim_end_matches('*').to_owned(),
                default: text.ends_with('*'),
                buildpack_id: index.to_string(),
                ..Process::default()
            };
            found.push(processes.add(buildpack.iter().map(process).collect()));
        }
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), lost);
        let (merged, default_type) = processes.finish();
        let name = |process: &Process| format!("{}:{}", process.r#type, process.buildpack_id);
        assert_eq!(merged.iter().map(name).collect::<Vec<_>>(), types);
        assert_eq!(default_type, default);
        assert!(merged.iter().all(|process| !process.default));
    }

    #[test]
    fn later_processes_replace_earlier_ones() {
        check(&[&["web", "a"]], &["a:0", "web:0"], "", &[None]);
        check(
            &[&["web*"], &["a"]],
            &["a:1", "web:0"],
            "web",
            &[None, None],
        );
        check(&[&["web*"], &["a*"]], &["a:1", "web:0"], "a", &[None, None]);
        check(&[&["web*"], &["web"]], &["web:1"], "", &[None, Some("web")]);
        check(
            &[&["web*"], &["web", "a*"]],
            &["a:1", "web:1"],
            "a",
            &[None, None],
        );
        check(
            &[&["web"], &["web"], &["web*"]],
            &["web:2"],
            "web",
            &[None, None, None],
        );
    }
}
