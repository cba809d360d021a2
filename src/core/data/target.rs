//! Targets: what a module supports and what a run image is.

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

impl Target {
    /// Whether a module that declares `module` runs on this target (FACTS 6.3).
    pub fn satisfies(&self, module: &ModuleTarget) -> bool {
        let _ = module;
        todo!()
    }

    /// The JSON form used in messages: `os, arch, arch-variant?, distro?`.
    pub fn to_json(&self) -> String {
        todo!()
    }
}

impl ModuleTarget {
    /// The JSON form used in messages: `os, arch, arch-variant?, distros?`.
    pub fn to_json(&self) -> String {
        todo!()
    }
}
