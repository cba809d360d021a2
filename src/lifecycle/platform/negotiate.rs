//! Which Platform API is in force (FACTS 1.3).

use crate::log::Log;
use lifecycle_core::api::PlatformApi;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, ErrorKind, Result};

const VARIABLE: &str = "CNB_PLATFORM_API";
const DEPRECATION_VARIABLE: &str = "CNB_DEPRECATION_MODE";

/// The versions that still work but will go; none at present.
const DEPRECATED: &[PlatformApi] = &[];

/// What to do when a deprecated API is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deprecation {
    /// Go on.
    Quiet,
    /// Go on with a warning.
    Warn,
    /// Stop.
    Error,
}

impl Deprecation {
    /// The mode that `CNB_DEPRECATION_MODE` names; unset and unknown words mean warn.
    pub fn from_env(env: &Env) -> Self {
        match env
            .get(DEPRECATION_VARIABLE)
            .map(|value| value.to_string_lossy())
            .as_deref()
        {
            Some("quiet" | "silent") => Self::Quiet,
            Some("error") => Self::Error,
            _ => Self::Warn,
        }
    }

    /// Judges the use of a deprecated API, `requested` being the words for who asks for which; returns whether to go on.
    pub fn allows(self, requested: &str, log: &Log) -> bool {
        match self {
            Self::Quiet => true,
            Self::Warn => {
                log.warn(requested);
                true
            }
            Self::Error => {
                log.error(requested);
                log.error(format_args!(
                    "Deprecated APIs are disabled by {DEPRECATION_VARIABLE}=error"
                ));
                false
            }
        }
    }
}

/// The Platform API that the platform asks for.
///
/// # Errors
/// Kind `PlatformApi`: unset, malformed, unsupported, or deprecated while the mode forbids that.
pub fn negotiate(env: &Env, log: &Log) -> Result<PlatformApi> {
    choose(env, DEPRECATED, log)
}

fn choose(env: &Env, deprecated: &[PlatformApi], log: &Log) -> Result<PlatformApi> {
    let api = PlatformApi::requested(env.get(VARIABLE))?;
    let warning = format!("Platform requested deprecated API '{api}'");
    if deprecated.contains(&api) && !Deprecation::from_env(env).allows(&warning, log) {
        return Err(Error::new(
            ErrorKind::PlatformApi,
            format_args!(
                "failed to set platform API: platform API version '{api}' is incompatible with the lifecycle"
            ),
        ));
    }
    Ok(api)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Level, tests::Buffer};

    /// `mode` decides about the deprecated 0.7; the texts about unusable versions are tested with the run sequence.
    fn check(api: &str, mode: Option<&str>, accepted: bool, logged: &str) {
        let buffer = Buffer::default();
        let mode_pair = mode.map(|mode| (DEPRECATION_VARIABLE, mode));
        let env = Env::from_pairs([(VARIABLE, api)].into_iter().chain(mode_pair));
        let log = Log::to(buffer.clone(), Level::Debug, false);
        let chosen = choose(&env, &[PlatformApi::V0_7], &log);
        assert_eq!(chosen.is_ok(), accepted, "{api} {mode:?}");
        assert_eq!(buffer.text(), logged, "{api} {mode:?}");
    }

    #[test]
    fn deprecated_versions_follow_the_mode() {
        check("0.8", Some("error"), true, "");
        check("0.7", Some("quiet"), true, "");
        for mode in [None, Some(""), Some("warn"), Some("bogus")] {
            check(
                "0.7",
                mode,
                true,
                "Warning: Platform requested deprecated API '0.7'\n",
            );
        }
        let refused = "ERROR: Platform requested deprecated API '0.7'\n\
                       ERROR: Deprecated APIs are disabled by CNB_DEPRECATION_MODE=error\n";
        check("0.7", Some("error"), false, refused);
    }
}
