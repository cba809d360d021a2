//! Experimental features and whether the platform wants them (FACTS 1.9).

use crate::log::Log;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result};

const VARIABLE: &str = "CNB_EXPERIMENTAL_MODE";

/// A feature that platforms must opt into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experimental {
    /// Image extensions, before Platform API 0.13.
    Dockerfiles,
    /// OCI layouts on disk.
    Layout,
}

impl Experimental {
    const fn name(self) -> &'static str {
        match self {
            Self::Dockerfiles => "Dockerfiles",
            Self::Layout => "export to OCI layout format",
        }
    }
}

/// What to do when an experimental feature is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExperimentalMode {
    /// Go on.
    Quiet,
    /// Go on with a warning.
    Warn,
    /// Stop.
    Error,
}

impl ExperimentalMode {
    /// The mode that `CNB_EXPERIMENTAL_MODE` names. Unset means stop; unknown words mean warn. The specification calls
    /// the quiet mode `silent`, the reference `quiet`: both count (PLAT-EXP-004).
    pub fn from_env(env: &Env) -> Self {
        match env
            .get(VARIABLE)
            .map(|value| value.to_string_lossy())
            .as_deref()
        {
            None | Some("" | "error") => Self::Error,
            Some("quiet" | "silent") => Self::Quiet,
            Some(_) => Self::Warn,
        }
    }

    /// Lets `feature` pass, or not.
    ///
    /// # Errors
    /// The mode is [`ExperimentalMode::Error`].
    pub fn guard(self, feature: Experimental, log: &Log) -> Result<()> {
        let requested = format!(
            "Platform requested experimental feature '{}'",
            feature.name()
        );
        match self {
            Self::Quiet => Ok(()),
            Self::Warn => {
                log.warn(requested);
                Ok(())
            }
            Self::Error => {
                log.error(requested);
                Err(Error::other(format_args!(
                    "experimental features are disabled by {VARIABLE}=error"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Level, tests::Buffer};

    fn check(mode: Option<&str>, passes: bool, logged: &str) {
        let buffer = Buffer::default();
        let env = Env::from_pairs(mode.map(|mode| (VARIABLE, mode)));
        let guarded = ExperimentalMode::from_env(&env).guard(
            Experimental::Layout,
            &Log::to(buffer.clone(), Level::Debug, false),
        );
        let error = "experimental features are disabled by CNB_EXPERIMENTAL_MODE=error";
        assert_eq!(
            guarded.map_err(|error| error.to_string()),
            if passes { Ok(()) } else { Err(error.into()) }
        );
        assert_eq!(buffer.text(), logged, "{mode:?}");
    }

    #[test]
    fn modes() {
        let requested = "Platform requested experimental feature 'export to OCI layout format'\n";
        for mode in [None, Some(""), Some("error")] {
            check(mode, false, &format!("ERROR: {requested}"));
        }
        for mode in ["warn", "bogus", "ERROR"] {
            check(Some(mode), true, &format!("Warning: {requested}"));
        }
        for mode in ["quiet", "silent"] {
            check(Some(mode), true, "");
        }
    }
}
