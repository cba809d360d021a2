//! buildpack.toml and extension.toml.

use super::ModuleKind;
use super::decode::{Fields, from_toml};
use super::order::{Order, read_order};
use super::target::{Distro, ModuleTarget};
use crate::api::{BuildpackApi, ModuleFeature};
use crate::error::Result;

/// buildpack.toml or extension.toml, as far as the lifecycle uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Buildpack or extension.
    pub kind: ModuleKind,
    /// The declared Buildpack API as written; it is verified where the module is used.
    pub api: String,
    /// The module's id.
    pub id: String,
    /// The module's name.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The module's homepage.
    pub homepage: String,
    /// Whether user-provided environment is kept from it.
    pub clear_env: bool,
    /// Execution environments that it supports; empty means all.
    pub exec_env: Vec<String>,
    /// Media types of the SBOM files that it may write.
    pub sbom_formats: Vec<String>,
    /// Targets that it declares, those inferred from its stacks included; inference from files is the caller's
    /// ([`Descriptor::with_inferred_targets`]).
    pub targets: Vec<ModuleTarget>,
    /// Non-empty for a composite buildpack.
    pub order: Order,
}

impl Descriptor {
    /// Reads the descriptor of a module of `kind`, inferring targets from stacks (FACTS 3.10).
    ///
    /// # Errors
    /// Malformed TOML or a value of the wrong type.
    pub fn parse(text: &str, kind: ModuleKind) -> Result<Self> {
        from_toml(text, |root| {
            let mut descriptor = Self {
                kind,
                api: root.text_or_empty("api")?,
                id: String::new(),
                name: String::new(),
                version: String::new(),
                homepage: String::new(),
                clear_env: false,
                exec_env: Vec::new(),
                sbom_formats: Vec::new(),
                targets: root.tables_or_empty("targets", ModuleTarget::read)?,
                order: Order::new(),
            };
            let info = match kind {
                ModuleKind::Buildpack => "buildpack",
                ModuleKind::Extension => "extension",
            };
            root.table(info, |info| descriptor.read_info(info))?;
            if kind == ModuleKind::Buildpack {
                descriptor.order = read_order(root, "order", ModuleKind::Buildpack)?;
                if descriptor.targets.is_empty() {
                    descriptor.targets = stack_targets(root, &descriptor.api)?;
                }
            }
            Ok(descriptor)
        })
    }

    fn read_info(&mut self, info: &Fields<'_>) -> Result<()> {
        self.id = info.text_or_empty("id")?;
        self.name = info.text_or_empty("name")?;
        self.version = info.text_or_empty("version")?;
        self.homepage = info.text_or_empty("homepage")?;
        self.clear_env = info.flag("clear-env")?;
        self.exec_env = info.exec_env()?;
        if self.kind == ModuleKind::Buildpack {
            self.sbom_formats = info.texts("sbom-formats")?.unwrap_or_default();
        }
        Ok(())
    }

    /// The same descriptor with targets inferred from the names of the files in its `bin` directory.
    #[must_use]
    pub fn with_inferred_targets(mut self, bin: &[&str]) -> Self {
        if !self.targets.is_empty() {
            return self;
        }
        let linux = || ModuleTarget {
            os: "linux".into(),
            ..ModuleTarget::default()
        };
        match self.kind {
            ModuleKind::Buildpack if bin.contains(&"build") => self.targets.push(linux()),
            // A composite buildpack declares none.
            ModuleKind::Buildpack => {}
            ModuleKind::Extension if bin.contains(&"detect") || bin.contains(&"generate") => {
                self.targets.push(linux());
            }
            ModuleKind::Extension => self.targets.push(ModuleTarget::default()),
        }
        self
    }
}

/// The targets that the stacks of a buildpack of `api` stand for.
fn stack_targets(root: &Fields<'_>, api: &str) -> Result<Vec<ModuleTarget>> {
    let stacks = root.tables_or_empty("stacks", |stack| stack.text_or_empty("id"))?;
    let knows_targets = BuildpackApi::parse(api).is_ok_and(|api| api.has(ModuleFeature::Targets));
    let bionic_counts = knows_targets || stacks.len() == 1;
    let target = |stack: &String| match stack.as_str() {
        "io.buildpacks.stacks.bionic" if bionic_counts => Some(ModuleTarget {
            os: "linux".into(),
            arch: "amd64".into(),
            distros: vec![Distro {
                name: "ubuntu".into(),
                version: "18.04".into(),
            }],
            ..ModuleTarget::default()
        }),
        "*" => Some(ModuleTarget::default()),
        _ => None,
    };
    Ok(stacks.iter().filter_map(target).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIONIC: &str =
        r#"{"os":"linux","arch":"amd64","distros":[{"name":"ubuntu","version":"18.04"}]}"#;
    const ANY: &str = r#"{"os":"","arch":""}"#;
    const LINUX: &str = r#"{"os":"linux","arch":""}"#;

    fn check_targets(kind: ModuleKind, text: &str, bin: &[&str], expected: &[&str]) {
        let descriptor = Descriptor::parse(text, kind)
            .unwrap()
            .with_inferred_targets(bin);
        let targets: Vec<_> = descriptor
            .targets
            .iter()
            .map(ModuleTarget::to_json)
            .collect();
        assert_eq!(targets, expected, "{text}");
    }

    #[test]
    fn targets_are_inferred() {
        use ModuleKind::{Buildpack, Extension};
        let bionic = "[[stacks]]\nid = 'io.buildpacks.stacks.bionic'\n";
        let any = "[[stacks]]\nid = '*'\n";
        check_targets(
            Buildpack,
            &format!("api = '0.9'\n{bionic}"),
            &["build"],
            &[BIONIC],
        );
        check_targets(
            Buildpack,
            &format!("api = '0.9'\n{bionic}{any}"),
            &["build"],
            &[ANY],
        );
        check_targets(
            Buildpack,
            &format!("api = '0.10'\n{bionic}{any}"),
            &["build"],
            &[BIONIC, ANY],
        );
        check_targets(
            Buildpack,
            "[[targets]]\nos = 'linux'\n[[stacks]]\nid = '*'",
            &[],
            &[LINUX],
        );
        check_targets(
            Buildpack,
            "[[stacks]]\nid = 'other'",
            &["build", "detect"],
            &[LINUX],
        );
        check_targets(Buildpack, "", &["build.exe"], &[]);
        check_targets(Extension, any, &["generate"], &[LINUX]);
        check_targets(Extension, "", &[], &[ANY]);
        let variant = r#"{"os":"","arch":"","arch-variant":"v8"}"#;
        check_targets(Buildpack, "[[targets]]\nvariant = 'v8'", &[], &[variant]);
        check_targets(
            Buildpack,
            "[[targets]]\nvariant = 'v7'\narch-variant = 'v8'",
            &[],
            &[variant],
        );
    }

    #[test]
    fn both_forms_of_exec_env_are_read() {
        let base =
            "[buildpack]\nid = 'a/b'\nversion = '1'\nclear-env = true\nsbom-formats = ['x']\n";
        for exec_env in [
            "exec-env = ['test']",
            "[[buildpack.exec-env]]\nname = 'test'",
        ] {
            let text = format!("api = '0.12'\n{base}{exec_env}");
            let descriptor = Descriptor::parse(&text, ModuleKind::Buildpack).unwrap();
            assert_eq!(descriptor.exec_env, ["test"]);
            assert!(descriptor.clear_env);
            assert_eq!(
                (descriptor.id.as_str(), descriptor.api.as_str()),
                ("a/b", "0.12")
            );
            assert_eq!(descriptor.sbom_formats, ["x"]);
        }
    }

    #[test]
    fn composites_have_an_order() {
        let text = "[[order]]\n[[order.group]]\nid = 'a'\nversion = '1'\nexec-env = ['test']";
        let descriptor = Descriptor::parse(text, ModuleKind::Buildpack).unwrap();
        assert_eq!(descriptor.order[0][0].exec_env, ["test"]);
        assert!(
            Descriptor::parse(text, ModuleKind::Extension)
                .unwrap()
                .order
                .is_empty()
        );
    }
}
