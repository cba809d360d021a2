//! launch.toml of a buildpack.

use super::decode::{Fields, from_toml};
use super::sbom::BomEntry;
use crate::api::{BuildpackApi, ModuleFeature};
use crate::error::{Error, Result};

/// A process that the app image can start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its type, e.g. `web`.
    pub r#type: String,
    /// The command and the arguments that users cannot replace.
    pub command: Vec<String>,
    /// Default arguments; `None` where the document has none (the label then says `null`).
    pub args: Option<Vec<String>>,
    /// Started without a shell.
    pub direct: bool,
    /// Declared as the default process type.
    pub default: bool,
    /// The buildpack that contributed it.
    pub buildpack_id: String,
    /// Its working directory; empty means the app directory.
    pub working_dir: String,
    /// Execution environments in which it exists; empty means all.
    pub exec_env: Vec<String>,
}

/// A label for the app image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The label's key.
    pub key: String,
    /// The label's value.
    pub value: String,
}

/// Glob patterns of one slice of the app directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The patterns.
    pub paths: Vec<String>,
}

/// launch.toml.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launch {
    /// Legacy bill of materials.
    pub bom: Vec<BomEntry>,
    /// Labels.
    pub labels: Vec<Label>,
    /// Processes in file order, without a buildpack id.
    pub processes: Vec<Process>,
    /// Slices.
    pub slices: Vec<Slice>,
    /// Types of processes whose `working-dir` was dropped because the module's API does not know it.
    pub dropped_working_dirs: Vec<String>,
}

impl Launch {
    /// Reads launch.toml of a buildpack that declares `api` (FACTS 3.11).
    ///
    /// # Errors
    /// Malformed TOML, a command of the wrong form for `api`, `direct` where it is not allowed, several defaults.
    pub fn parse(text: &str, api: BuildpackApi) -> Result<Self> {
        from_toml(text, |root| {
            let mut launch = Self {
                bom: root.tables_or_empty("bom", BomEntry::read)?,
                labels: root.tables_or_empty("labels", Label::read)?,
                processes: root
                    .tables_or_empty("processes", |process| Process::read(process, api))?,
                slices: root.tables_or_empty("slices", Slice::read)?,
                dropped_working_dirs: Vec::new(),
            };
            if launch
                .processes
                .iter()
                .filter(|process| process.default)
                .count()
                > 1
            {
                return Err(Error::other(
                    "multiple default process types aren't allowed",
                ));
            }
            if !api.has(ModuleFeature::ProcessWorkingDir) {
                launch.drop_working_dirs();
            }
            Ok(launch)
        })
    }

    fn drop_working_dirs(&mut self) {
        for process in self
            .processes
            .iter_mut()
            .filter(|process| !process.working_dir.is_empty())
        {
            process.working_dir.clear();
            self.dropped_working_dirs.push(process.r#type.clone());
        }
    }
}

impl Process {
    fn read(fields: &Fields<'_>, api: BuildpackApi) -> Result<Self> {
        let direct = fields.optional_flag("direct")?;
        let (command, direct) = if api.has(ModuleFeature::CommandArrays) {
            if direct.is_some() {
                return Err(Error::other(
                    "process.direct is not supported on this buildpack version",
                ));
            }
            (fields.texts("command")?.unwrap_or_default(), true)
        } else {
            (
                vec![fields.text_or_empty("command")?],
                direct.unwrap_or_default(),
            )
        };
        Ok(Self {
            r#type: fields.text_or_empty("type")?,
            command,
            args: fields.texts("args")?,
            direct,
            default: fields.flag("default")?,
            buildpack_id: String::new(),
            working_dir: fields.text_or_empty("working-dir")?,
            exec_env: fields.texts("exec-env")?.unwrap_or_default(),
        })
    }
}

impl Label {
    /// `[[labels]]` of launch.toml and metadata.toml.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            key: fields.text_or_empty("key")?,
            value: fields.text_or_empty("value")?,
        })
    }
}

impl Slice {
    /// `[[slices]]` of launch.toml and metadata.toml.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            paths: fields.texts("paths")?.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(command: &[&str], direct: bool) -> Process {
        Process {
            r#type: "web".into(),
            command: command.iter().map(|&text| text.into()).collect(),
            direct,
            ..Process::default()
        }
    }

    fn check(api: BuildpackApi, process: &str, expected: std::result::Result<Process, &str>) {
        let text = format!("[[processes]]\ntype = 'web'\n{process}");
        let result = Launch::parse(&text, api).map(|launch| launch.processes[0].clone());
        assert_eq!(
            result.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned),
            "{api} {process}"
        );
    }

    #[test]
    fn commands_have_the_form_of_the_modules_api() {
        use BuildpackApi::{V0_8, V0_9};
        check(V0_8, "command = 'a b'", Ok(web(&["a b"], false)));
        check(V0_8, "command = 'a'\ndirect = true", Ok(web(&["a"], true)));
        check(V0_8, "", Ok(web(&[""], false)));
        check(V0_9, "command = ['a', 'b']", Ok(web(&["a", "b"], true)));
        check(V0_9, "", Ok(web(&[], true)));
        check(
            V0_9,
            "args = []",
            Ok(Process {
                args: Some(Vec::new()),
                ..web(&[], true)
            }),
        );
        check(
            V0_9,
            "command = ['a']\ndirect = false",
            Err("process.direct is not supported on this buildpack version"),
        );
        for (api, command, found, wanted) in [
            (V0_8, "['a']", "[]any", "string"),
            (V0_9, "'a'", "string", "slice"),
            (V0_9, "[1]", "int64", "string"),
        ] {
            let error = format!(
                "toml: key \"processes.command\": incompatible types: TOML value has type {found}; destination has type {wanted}"
            );
            check(api, &format!("command = {command}"), Err(&error));
        }
    }

    #[test]
    fn working_dirs_come_with_0_8() {
        let text = "[[processes]]\ntype = 'web'\nworking-dir = '/w'\n[[processes]]\ntype = 'task'";
        let old = Launch::parse(text, BuildpackApi::V0_7).unwrap();
        assert_eq!(
            (
                old.processes[0].working_dir.as_str(),
                old.dropped_working_dirs
            ),
            ("", vec!["web".into()])
        );
        let new = Launch::parse(text, BuildpackApi::V0_8).unwrap();
        assert_eq!(
            (
                new.processes[0].working_dir.as_str(),
                new.dropped_working_dirs.len()
            ),
            ("/w", 0)
        );
    }

    #[test]
    fn one_default_is_enough() {
        let process = "[[processes]]\ntype = 'a'\ndefault = true\n";
        assert!(
            Launch::parse(process, BuildpackApi::V0_9)
                .unwrap()
                .processes[0]
                .default
        );
        assert_eq!(
            Launch::parse(&process.repeat(2), BuildpackApi::V0_9)
                .unwrap_err()
                .to_string(),
            "multiple default process types aren't allowed"
        );
    }

    #[test]
    fn labels_and_slices_are_lists() {
        let text = "[[labels]]\nkey = 'k'\nvalue = 'v'\n[[slices]]\npaths = ['a/*']\n[[slices]]\n[[bom]]\nname = 'n'";
        let launch = Launch::parse(text, BuildpackApi::V0_12).unwrap();
        assert_eq!(
            launch.labels,
            [Label {
                key: "k".into(),
                value: "v".into()
            }]
        );
        assert_eq!(
            launch.slices,
            [
                Slice {
                    paths: vec!["a/*".into()]
                },
                Slice::default()
            ]
        );
        assert_eq!(launch.bom.len(), 1);
    }
}
