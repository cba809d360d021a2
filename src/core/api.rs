//! API versions, and the one table that says which version brought what. Nothing else compares versions.

use crate::error::{Error, ErrorKind, Result};
use std::ffi::OsStr;
use std::fmt;

/// Why a version text is not one this lifecycle speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionError {
    /// Not of the form `MAJOR[.MINOR]`.
    Malformed,
    /// Well-formed, but not supported.
    Unsupported,
}

macro_rules! versions {
    ($(#[$doc:meta])* $name:ident: $($variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("Version ", $text, ".")] $variant,)+
        }

        impl $name {
            /// Every supported version, ascending.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The newest version.
            pub const NEWEST: Self = {
                let [.., newest] = [$(Self::$variant),+];
                newest
            };

            /// `MAJOR.MINOR`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads `MAJOR[.MINOR]` with an optional leading `v`, in the reference's lenient grammar (FACTS 1.1).
            ///
            /// # Errors
            /// [`VersionError`] if the text is malformed or the version is not supported.
            pub fn parse(text: &str) -> Result<Self, VersionError> {
                let version = parse_version(text).ok_or(VersionError::Malformed)?;
                Self::ALL.iter().copied()
                    .find(|known| parse_version(known.as_str()) == Some(version))
                    .ok_or(VersionError::Unsupported)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

versions! {
    /// A supported Platform API version.
    PlatformApi: V0_7 = "0.7", V0_8 = "0.8", V0_9 = "0.9", V0_10 = "0.10", V0_11 = "0.11",
    V0_12 = "0.12", V0_13 = "0.13", V0_14 = "0.14", V0_15 = "0.15",
}

versions! {
    /// A supported Buildpack API version; every module declares its own.
    BuildpackApi: V0_7 = "0.7", V0_8 = "0.8", V0_9 = "0.9", V0_10 = "0.10", V0_11 = "0.11", V0_12 = "0.12",
}

/// `v?DIGITS(.DIGITS?)?`, a missing minor being 0.
fn parse_version(text: &str) -> Option<(u64, u64)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (major, minor) = text.split_once('.').unwrap_or((text, ""));
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
    };
    Some((
        number(major)?,
        if minor.is_empty() { 0 } else { number(minor)? },
    ))
}

/// What a Platform API version brings (spec/api-changes.md). Later versions keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// SBOM layers, SBOM restore and copying of SBOM files.
    SbomLayers,
    /// Analyzer `-launch-cache` and `-skip-layers`.
    AnalyzerSkipLayers,
    /// The legacy BOM leaves metadata.toml, label and report for `sbom.legacy.json`.
    LegacyBomFiles,
    /// `SOURCE_DATE_EPOCH` sets the created time.
    SourceDateEpoch,
    /// Image extensions: detector and restorer flags, generate, extender.
    ImageExtensions,
    /// Process commands are arrays in metadata.toml and in the label.
    CommandArrays,
    /// User arguments replace default arguments, by the Buildpack API of the process's buildpack.
    OverridableArgs,
    /// Creator runs the restore stage even with `-skip-restore` (for store.toml).
    CreatorAlwaysRestores,
    /// `<build-config>` as a flag.
    BuildConfigFlag,
    /// `-launcher-sbom`, and lifecycle and launcher SBOM files in the output.
    LauncherSbom,
    /// Rebaser `-previous-image`.
    RebaserPreviousImage,
    /// run.toml replaces stack.toml.
    RunToml,
    /// Target data in analyzed.toml, target matching in detect, target validation at rebase.
    Targets,
    /// OCI layout as source and destination.
    Layout,
    /// Run images can be extended.
    RunImageExtension,
    /// History entries keep `created_by`.
    History,
    /// Rebaser `-force` and the check that the new run image is listed in the label.
    ForceRebase,
    /// `runImage.image` and `.mirrors` in the lifecycle metadata label.
    RunImageInLabel,
    /// Restorer `-daemon`.
    RestorerDaemon,
    /// `-insecure-registry`.
    InsecureRegistries,
    /// The generated directory's second form with context folders; Dockerfiles are no longer experimental.
    GeneratedContexts,
    /// Old cache images stay after a new one was written.
    KeepsOldCacheImage,
    /// Restorer `-run` and its access check of the run image.
    RestorerRunToml,
    /// Metadata of cached launch layers comes from the cache when the app image does not know them.
    CachedLaunchMetadata,
    /// Execution environments.
    ExecEnv,
    /// system.toml.
    SystemBuildpacks,
}

impl Feature {
    /// The first Platform API with this feature.
    pub const fn since(self) -> PlatformApi {
        match self {
            Self::SbomLayers => PlatformApi::V0_8,
            Self::AnalyzerSkipLayers | Self::LegacyBomFiles | Self::SourceDateEpoch => {
                PlatformApi::V0_9
            }
            Self::ImageExtensions
            | Self::CommandArrays
            | Self::OverridableArgs
            | Self::CreatorAlwaysRestores => PlatformApi::V0_10,
            Self::BuildConfigFlag | Self::LauncherSbom | Self::RebaserPreviousImage => {
                PlatformApi::V0_11
            }
            Self::RunToml
            | Self::Targets
            | Self::Layout
            | Self::RunImageExtension
            | Self::History
            | Self::ForceRebase
            | Self::RunImageInLabel
            | Self::RestorerDaemon => PlatformApi::V0_12,
            Self::InsecureRegistries | Self::GeneratedContexts | Self::KeepsOldCacheImage => {
                PlatformApi::V0_13
            }
            Self::RestorerRunToml | Self::CachedLaunchMetadata => PlatformApi::V0_14,
            Self::ExecEnv | Self::SystemBuildpacks => PlatformApi::V0_15,
        }
    }
}

impl PlatformApi {
    /// The version that a platform asks for with the value of `CNB_PLATFORM_API`.
    ///
    /// # Errors
    /// Kind `PlatformApi`, with the contract's text (FACTS 1.3): unset, malformed or unsupported.
    pub fn requested(value: Option<&OsStr>) -> Result<Self> {
        let text = value.map(OsStr::to_string_lossy).unwrap_or_default();
        let fail = |text: String| Err(Error::new(ErrorKind::PlatformApi, text));
        if text.trim().is_empty() {
            return fail(
                "failed to get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version"
                    .to_owned(),
            );
        }
        match Self::parse(&text) {
            Ok(api) => Ok(api),
            Err(VersionError::Malformed) => fail(format!("failed to parse platform API '{text}'")),
            Err(VersionError::Unsupported) => fail(format!(
                "failed to set platform API: platform API version '{text}' is incompatible with the lifecycle"
            )),
        }
    }

    /// The newest supported version that is not newer than the one that an image records.
    pub fn recorded(text: &str) -> Option<Self> {
        let recorded = parse_version(text)?;
        let known =
            |api: &&Self| parse_version(api.as_str()).is_some_and(|known| known <= recorded);
        Self::ALL.iter().rev().find(known).copied()
    }

    /// Whether this version has `feature`.
    pub const fn has(self, feature: Feature) -> bool {
        self as u8 >= feature.since() as u8
    }
}

/// What a Buildpack API version brings to a module that declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleFeature {
    /// Paths in `CNB_PLATFORM_DIR`, `CNB_BUILD_PLAN_PATH`, `CNB_BP_PLAN_PATH` and `CNB_LAYERS_DIR`.
    PathVariables,
    /// `working-dir` of processes.
    ProcessWorkingDir,
    /// `command` is an array, processes are direct, default arguments can be replaced.
    CommandArrays,
    /// `CNB_TARGET_*`, and the bionic stack as a target even among others.
    Targets,
    /// `CNB_EXEC_ENV` and `exec-env` lists.
    ExecEnv,
}

impl ModuleFeature {
    /// The first Buildpack API with this feature.
    pub const fn since(self) -> BuildpackApi {
        match self {
            Self::PathVariables | Self::ProcessWorkingDir => BuildpackApi::V0_8,
            Self::CommandArrays => BuildpackApi::V0_9,
            Self::Targets => BuildpackApi::V0_10,
            Self::ExecEnv => BuildpackApi::V0_12,
        }
    }
}

impl BuildpackApi {
    /// Whether a module of this version has `feature`.
    pub const fn has(self, feature: ModuleFeature) -> bool {
        self as u8 >= feature.since() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<PlatformApi, VersionError>) {
        assert_eq!(PlatformApi::parse(text), expected, "{text:?}");
    }

    #[test]
    fn versions_parse_as_the_reference_does() {
        check("0.7", Ok(PlatformApi::V0_7));
        check("v0.12", Ok(PlatformApi::V0_12));
        check("00.12", Ok(PlatformApi::V0_12));
        for text in ["0.6", "0.16", "1.0", "1", "0", "0."] {
            check(text, Err(VersionError::Unsupported));
        }
        for text in [
            "",
            "abc",
            "0.12.1",
            " 0.12",
            "-1",
            "+1",
            ".7",
            "v",
            "99999999999999999999.0",
        ] {
            check(text, Err(VersionError::Malformed));
        }
    }

    #[test]
    fn images_record_older_and_newer_versions() {
        for (text, expected) in [
            ("0.6", None),
            ("x", None),
            ("0.12", Some(PlatformApi::V0_12)),
            ("0.99", Some(PlatformApi::V0_15)),
            ("1.0", Some(PlatformApi::V0_15)),
        ] {
            assert_eq!(PlatformApi::recorded(text), expected, "{text}");
        }
    }

    #[test]
    fn features_start_at_their_version() {
        assert!(PlatformApi::V0_15.has(Feature::ExecEnv));
        assert!(!PlatformApi::V0_14.has(Feature::ExecEnv));
        assert!(BuildpackApi::V0_9.has(ModuleFeature::CommandArrays));
        assert!(!BuildpackApi::V0_8.has(ModuleFeature::CommandArrays));
    }
}
