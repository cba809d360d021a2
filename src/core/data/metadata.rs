//! `<layers>/config/metadata.toml` and the label `io.buildpacks.build.metadata`.

use super::ModuleKind;
use super::decode::{Fields, from_toml};
use super::group::GroupElement;
use super::launch::{Label, Process, Slice};
use super::sbom::{BomEntry, bom_to_json};
use crate::api::{Feature, PlatformApi};
use crate::error::Result;
use crate::value::{Table, Value};
use crate::{json, toml};

/// What the build produced besides layers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildMetadata {
    /// Processes, sorted by type.
    pub processes: Vec<Process>,
    /// The type that buildpacks declared as default; empty when none.
    pub default_process_type: String,
    /// Legacy bill of materials (before Platform API 0.9).
    pub bom: Vec<BomEntry>,
    /// The group's buildpacks.
    pub buildpacks: Vec<GroupElement>,
    /// The group's extensions.
    pub extensions: Vec<GroupElement>,
    /// Labels for the app image.
    pub labels: Vec<Label>,
    /// Slices of the app directory.
    pub slices: Vec<Slice>,
}

/// The lifecycle that built an image, for the label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LauncherSource {
    /// The lifecycle's version, without commit.
    pub version: String,
    /// The source repository.
    pub repository: String,
    /// The commit.
    pub commit: String,
}

impl BuildMetadata {
    /// Reads metadata.toml; `command` may be text or a list (FACTS 3.7).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str, api: PlatformApi) -> Result<Self> {
        from_toml(text, |root| {
            let modules =
                |key, kind| root.tables_or_empty(key, |module| GroupElement::read(module, kind));
            let processes = root.tables_or_empty("processes", read_process)?;
            Ok(Self {
                processes: processes
                    .into_iter()
                    .map(|process| as_api_has_it(process, api))
                    .collect(),
                default_process_type: root.text_or_empty("buildpack-default-process-type")?,
                bom: root.tables_or_empty("bom", BomEntry::read)?,
                buildpacks: modules("buildpacks", ModuleKind::Buildpack)?,
                extensions: modules("extensions", ModuleKind::Extension)?,
                labels: root.tables_or_empty("labels", Label::read)?,
                slices: root.tables_or_empty("slices", Slice::read)?,
            })
        })
    }

    /// metadata.toml as `api` has it.
    pub fn to_toml(&self, api: PlatformApi) -> String {
        let label = |label: &Label| {
            Table::new()
                .with("key", label.key.as_str())
                .with("value", label.value.as_str())
        };
        let slice = |slice: &Slice| Table::new().with("paths", slice.paths.clone());
        let process = |process: &Process| process_to_table(process, api, &TOML_KEYS);
        let document = Table::new()
            .with_some("bom", tables(&self.bom, BomEntry::to_table))
            .with_some(
                "buildpacks",
                tables(&self.buildpacks, GroupElement::to_table),
            )
            .with_some(
                "extensions",
                tables(&self.extensions, GroupElement::to_table),
            )
            .with_some("labels", tables(&self.labels, label))
            .with(
                "processes",
                self.processes.iter().map(process).collect::<Vec<_>>(),
            )
            .with_some("slices", tables(&self.slices, slice))
            .with_some("buildpack-default-process-type", self.default_type());
        escape_commands(&toml::to_string(&document))
    }

    /// The JSON of the label `io.buildpacks.build.metadata` (FACTS 4.2).
    pub fn to_label_json(&self, api: PlatformApi, launcher: &LauncherSource) -> String {
        let element = |element: &GroupElement| {
            Table::new()
                .with("id", element.id.as_str())
                .with("version", element.version.as_str())
                .with_some("homepage", element.homepage.as_deref())
        };
        let git = Table::new()
            .with("repository", launcher.repository.as_str())
            .with("commit", launcher.commit.as_str());
        let launcher = Table::new()
            .with("version", launcher.version.as_str())
            .with("source", Table::new().with("git", git));
        let process = |process: &Process| process_to_table(process, api, &JSON_KEYS);
        let bom = (!api.has(Feature::LegacyBomFiles)).then(|| bom_to_json(&self.bom));
        let document = Table::new()
            .with_some("bom", bom)
            .with(
                "buildpacks",
                tables(&self.buildpacks, element).map_or(Value::Null, Value::from),
            )
            .with_some("extensions", tables(&self.extensions, element))
            .with("launcher", launcher)
            .with(
                "processes",
                self.processes.iter().map(process).collect::<Vec<_>>(),
            )
            .with_some("buildpack-default-process-type", self.default_type());
        json::to_string(&Value::Table(document))
    }

    fn default_type(&self) -> Option<&str> {
        Some(self.default_process_type.as_str()).filter(|text| !text.is_empty())
    }
}

/// How metadata.toml and the label name what differs between them, and what stands for absent arguments.
struct Keys {
    buildpack_id: &'static str,
    no_args: Option<Value>,
}

const TOML_KEYS: Keys = Keys {
    buildpack_id: "buildpack-id",
    no_args: None,
};
const JSON_KEYS: Keys = Keys {
    buildpack_id: "buildpackID",
    no_args: Some(Value::Null),
};

fn read_process(fields: &Fields<'_>) -> Result<Process> {
    Ok(Process {
        r#type: fields.text_or_empty("type")?,
        command: fields.text_or_texts("command")?,
        args: fields.texts("args")?,
        direct: fields.flag("direct")?,
        default: fields.flag("default")?,
        buildpack_id: fields.text_or_empty("buildpack-id")?,
        working_dir: fields.text_or_empty("working-dir")?,
        exec_env: fields.texts("exec-env")?.unwrap_or_default(),
    })
}

fn process_to_table(process: &Process, api: PlatformApi, keys: &Keys) -> Table {
    let process = as_api_has_it(process.clone(), api);
    let command = if api.has(Feature::CommandArrays) {
        Value::from(process.command)
    } else {
        Value::from(process.command.into_iter().next().unwrap_or_default())
    };
    Table::new()
        .with("type", process.r#type)
        .with("command", command)
        .with_some(
            "args",
            process.args.map(Value::from).or(keys.no_args.clone()),
        )
        .with("direct", process.direct)
        .with_some("default", process.default.then_some(true))
        .with(keys.buildpack_id, process.buildpack_id)
        .with_some(
            "working-dir",
            Some(process.working_dir).filter(|text| !text.is_empty()),
        )
        .with_some(
            "exec-env",
            Some(process.exec_env).filter(|list| !list.is_empty()),
        )
}

/// Where commands are texts, all but the first entry are arguments (FACTS 3.7).
fn as_api_has_it(mut process: Process, api: PlatformApi) -> Process {
    if !api.has(Feature::CommandArrays) {
        let mut args: Vec<_> = process
            .command
            .drain(1.min(process.command.len())..)
            .collect();
        args.extend(process.args.unwrap_or_default());
        process.args = Some(args);
    }
    process
}

/// Commands are JSON texts in metadata.toml: what JSON escapes and TOML doesn't is escaped in their lines. No other
/// line of this document begins so, and values have no raw line breaks.
fn escape_commands(document: &str) -> String {
    let escape = |line: &str| {
        if !line.starts_with("  command = ") {
            return line.to_owned();
        }
        let mut escaped = String::with_capacity(line.len());
        for character in line.chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
                }
                other => escaped.push(other),
            }
        }
        escaped
    };
    document.split_inclusive('\n').map(escape).collect()
}

fn tables<T>(items: &[T], table: impl Fn(&T) -> Table) -> Option<Vec<Table>> {
    (!items.is_empty()).then(|| items.iter().map(table).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FACTS D.3.
    const TOML: &str = r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "a"
  version = "1"
  api = "0.10"

[[labels]]
  key = "k"
  value = "v"

[[processes]]
  type = "web"
  command = ["cmd", "a\u0026b\u003cc\u003e"]
  args = ["x"]
  direct = true
  buildpack-id = "a"
  working-dir = "/w"
  exec-env = ["production"]

[[slices]]
  paths = ["a/*", "b"]
"#;

    #[test]
    fn the_document_is_read_and_written() {
        let metadata = BuildMetadata::parse(TOML, PlatformApi::V0_12).unwrap();
        assert_eq!(metadata.processes[0].command, ["cmd", "a&b<c>"]);
        assert_eq!(metadata.to_toml(PlatformApi::V0_12), TOML);
        assert_eq!(
            BuildMetadata::default().to_toml(PlatformApi::V0_7),
            "processes = []\n"
        );
    }

    #[test]
    fn commands_are_texts_before_0_10() {
        let text = TOML
            .replace(r#"["cmd", "a\u0026b\u003cc\u003e"]"#, r#""cmd""#)
            .replace(r#"["x"]"#, r#"["a&b<c>", "x"]"#);
        let metadata = BuildMetadata::parse(TOML, PlatformApi::V0_12).unwrap();
        assert_eq!(metadata.to_toml(PlatformApi::V0_9), text);
        assert_eq!(
            BuildMetadata::parse(TOML, PlatformApi::V0_9)
                .unwrap()
                .to_toml(PlatformApi::V0_9),
            text
        );
        let bare = BuildMetadata::parse("[[processes]]\ncommand = 'a'", PlatformApi::V0_9).unwrap();
        assert_eq!(bare.processes[0].args, Some(Vec::new()));
    }

    #[test]
    fn the_label_has_its_own_form() {
        let launcher = LauncherSource {
            version: "0.21.0".into(),
            repository: "github.com/buildpacks/lifecycle".into(),
            commit: "abc".into(),
        };
        let git = r#""git":{"repository":"github.com/buildpacks/lifecycle","commit":"abc"}"#;
        let text = TOML
            .replace("  args = [\"x\"]\n", "")
            .replace("  exec-env = [\"production\"]\n", "")
            .replace("  api = \"0.10\"\n", "  homepage = \"h\"\n");
        let metadata = BuildMetadata::parse(&text, PlatformApi::V0_12).unwrap();
        // FACTS D.2.
        assert_eq!(
            metadata.to_label_json(PlatformApi::V0_12, &launcher),
            format!(
                "{}{git}{}",
                r#"{"buildpacks":[{"id":"a","version":"1","homepage":"h"}],"launcher":{"version":"0.21.0","source":{"#,
                concat!(
                    r#"}},"processes":[{"type":"web","command":["cmd","a\u0026b\u003cc\u003e"],"args":null,"#,
                    r#""direct":true,"buildpackID":"a","working-dir":"/w"}],"buildpack-default-process-type":"web"}"#
                )
            )
        );
        assert_eq!(
            BuildMetadata::default().to_label_json(PlatformApi::V0_7, &launcher),
            format!(
                r#"{{"bom":null,"buildpacks":null,"launcher":{{"version":"0.21.0","source":{{{git}}}}},"processes":[]}}"#
            )
        );
    }
}
