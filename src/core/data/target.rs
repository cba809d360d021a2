//! Targets: what a module supports and what a run image is.

use super::decode::Fields;
use crate::error::Result;
use crate::json;
use crate::value::{Table, Value};

/// A distribution by name and version; empty text in a module's entry matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distro {
    /// `ID` of os-release.
    pub name: String,
    /// `VERSION_ID` of os-release.
    pub version: String,
}

/// What a run image is (analyzed.toml `[run-image.target]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Label `io.buildpacks.base.id`.
    pub id: Option<String>,
    /// The operating system, e.g. `linux`.
    pub os: String,
    /// The architecture, e.g. `amd64`.
    pub arch: String,
    /// The architecture's variant, e.g. `v8`.
    pub arch_variant: Option<String>,
    /// The distribution.
    pub distro: Option<Distro>,
}

/// A target that a module supports (buildpack.toml `[[targets]]`); empty fields match anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleTarget {
    /// The operating system.
    pub os: String,
    /// The architecture.
    pub arch: String,
    /// The architecture's variant.
    pub arch_variant: String,
    /// Distributions, any of which will do; empty means all.
    pub distros: Vec<Distro>,
}

/// The architecture that this program was built for, in the words of image configurations.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Target {
    /// Whether a module that declares `module` runs on this target (FACTS 6.3).
    pub fn satisfies(&self, module: &ModuleTarget) -> bool {
        let matches = |own: &str, other: &str| own.is_empty() || other.is_empty() || own == other;
        let in_distro = |distro: &Distro| {
            self.distro.as_ref().is_some_and(|own| {
                matches(&own.name, &distro.name) && matches(&own.version, &distro.version)
            })
        };
        matches(&self.os, &module.os)
            && matches(&self.arch, &module.arch)
            && matches(
                self.arch_variant.as_deref().unwrap_or_default(),
                &module.arch_variant,
            )
            && (module.distros.is_empty() || module.distros.iter().any(in_distro))
    }

    /// `[run-image.target]` of analyzed.toml.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            id: fields.non_empty_text("id")?,
            os: fields.text_or_empty("os")?,
            arch: fields.text_or_empty("arch")?,
            arch_variant: read_variant(fields)?,
            distro: fields.table("distro", Distro::read)?,
        })
    }

    /// The form in analyzed.toml and in messages: `id?, os, arch, arch-variant?, distro?`.
    pub(super) fn to_table(&self) -> Table {
        Table::new()
            .with_some("id", self.id.as_deref())
            .with("os", self.os.as_str())
            .with("arch", self.arch.as_str())
            .with_some("arch-variant", self.arch_variant.as_deref())
            .with_some("distro", self.distro.as_ref().map(Distro::to_table))
    }

    /// The JSON form used in messages: `id?, os, arch, arch-variant?, distro?`.
    pub fn to_json(&self) -> String {
        json::to_string(&Value::Table(self.to_table()))
    }
}

impl ModuleTarget {
    /// The JSON form used in messages: `os, arch, arch-variant?, distros?`.
    pub fn to_json(&self) -> String {
        let distros: Vec<_> = self.distros.iter().map(Distro::to_table).collect();
        let table = Table::new()
            .with("os", self.os.as_str())
            .with("arch", self.arch.as_str())
            .with_some(
                "arch-variant",
                Some(self.arch_variant.as_str()).filter(|text| !text.is_empty()),
            )
            .with_some("distros", Some(distros).filter(|list| !list.is_empty()));
        json::to_string(&Value::Table(table))
    }

    /// `[[targets]]` of buildpack.toml and extension.toml.
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            os: fields.text_or_empty("os")?,
            arch: fields.text_or_empty("arch")?,
            arch_variant: read_variant(fields)?.unwrap_or_default(),
            distros: fields.tables_or_empty("distros", Distro::read)?,
        })
    }
}

impl Distro {
    fn read(fields: &Fields<'_>) -> Result<Self> {
        Ok(Self {
            name: fields.text_or_empty("name")?,
            version: fields.text_or_empty("version")?,
        })
    }

    fn to_table(&self) -> Table {
        Table::new()
            .with("name", self.name.as_str())
            .with("version", self.version.as_str())
    }
}

/// The variant under the reference's key or else the specification's (BP-TARGET-002).
fn read_variant(fields: &Fields<'_>) -> Result<Option<String>> {
    Ok(fields
        .non_empty_text("arch-variant")?
        .or(fields.non_empty_text("variant")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distro(text: &str) -> Distro {
        let (name, version) = text.split_once(' ').unwrap();
        Distro {
            name: name.into(),
            version: version.into(),
        }
    }

    /// Targets are `os/arch/variant`, optionally followed by `name version` of distributions.
    fn check(target: &str, module: &str, matches: bool) {
        let parts = |text: &str| {
            let mut words = text.split('|');
            let platform: Vec<_> = words
                .next()
                .unwrap()
                .split('/')
                .map(str::to_owned)
                .collect();
            (platform, words.map(distro).collect::<Vec<_>>())
        };
        let (platform, distros) = parts(target);
        let [os, arch, variant] = platform.try_into().unwrap();
        let target = Target {
            id: None,
            os,
            arch,
            arch_variant: Some(variant),
            distro: distros.into_iter().next(),
        };
        let (platform, distros) = parts(module);
        let [os, arch, arch_variant] = platform.try_into().unwrap();
        let module = ModuleTarget {
            os,
            arch,
            arch_variant,
            distros,
        };
        assert_eq!(
            target.satisfies(&module),
            matches,
            "{} {}",
            target.to_json(),
            module.to_json()
        );
    }

    #[test]
    fn empty_matches_anything() {
        check("linux/amd64/", "linux/amd64/", true);
        check("linux/amd64/", "//", true);
        check("//", "linux/arm64/v8", true);
        check("linux/amd64/", "windows/amd64/", false);
        check("linux/amd64/", "linux/arm64/", false);
        check("linux/arm/v6", "linux/arm/v7", false);
        check("linux/amd64/|ubuntu 24.04", "//", true);
        check(
            "linux/amd64/|ubuntu 24.04",
            "//|debian 12|ubuntu 24.04",
            true,
        );
        check("linux/amd64/|ubuntu 24.04", "//|ubuntu ", true);
        check("linux/amd64/|ubuntu 24.04", "//|ubuntu 22.04", false);
        check("linux/amd64/", "//|ubuntu ", false);
    }

    #[test]
    fn json_leaves_out_what_is_unknown() {
        let target = Target {
            os: "linux".into(),
            arch: "arm64".into(),
            ..Target::default()
        };
        assert_eq!(target.to_json(), r#"{"os":"linux","arch":"arm64"}"#);
        let module = ModuleTarget {
            os: "linux".into(),
            arch_variant: "v8".into(),
            distros: vec![distro("ubuntu 24.04")],
            ..ModuleTarget::default()
        };
        assert_eq!(
            module.to_json(),
            r#"{"os":"linux","arch":"","arch-variant":"v8","distros":[{"name":"ubuntu","version":"24.04"}]}"#
        );
    }
}
