//! The programs of the lifecycle: eight that platforms start, and one for use without a platform.

/// One of the programs; creator runs the phases of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Finds the previous image and the run image.
    Analyzer,
    /// Chooses the buildpack group.
    Detector,
    /// Brings cached layers and metadata back.
    Restorer,
    /// Applies the extensions' Dockerfiles.
    Extender,
    /// Runs the buildpacks.
    Builder,
    /// Assembles the app image and the cache.
    Exporter,
    /// Runs all phases from analyze to export.
    Creator,
    /// Swaps the base image of an app image.
    Rebaser,
    /// Makes an image by one Dockerfile. No platform knows it.
    Dockerfile,
}

impl Program {
    /// The program's own name, e.g. `detector`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Analyzer => "analyzer",
            Self::Detector => "detector",
            Self::Restorer => "restorer",
            Self::Extender => "extender",
            Self::Builder => "builder",
            Self::Exporter => "exporter",
            Self::Creator => "creator",
            Self::Rebaser => "rebaser",
            Self::Dockerfile => "dockerfile",
        }
    }

    /// The name as a subcommand of `lifecycle`, e.g. `detect`.
    pub const fn subcommand(self) -> &'static str {
        match self {
            Self::Analyzer => "analyze",
            Self::Detector => "detect",
            Self::Restorer => "restore",
            Self::Extender => "extend",
            Self::Builder => "build",
            Self::Exporter => "export",
            Self::Creator => "create",
            Self::Rebaser => "rebase",
            Self::Dockerfile => "dockerfile",
        }
    }

    /// What follows the flags on the command line.
    pub const fn operands(self) -> &'static str {
        match self {
            Self::Analyzer | Self::Creator => "<image>",
            Self::Exporter | Self::Rebaser => "<image> [<tag>...]",
            Self::Detector | Self::Restorer | Self::Extender | Self::Builder | Self::Dockerfile => {
                ""
            }
        }
    }
}
