//! The version that this lifecycle reports.

use lifecycle_core::data::metadata::LauncherSource;

/// `MAJOR.MINOR.PATCH`, as labels have it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `-version` prints: the version, and `+commit` in builds that know theirs (FACTS 1.4).
pub fn version_text() -> String {
    match option_env!("LIFECYCLE_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{VERSION}+{commit}"),
        _ => VERSION.to_owned(),
    }
}

/// Where this lifecycle comes from, as labels have it.
pub fn launcher_source() -> LauncherSource {
    LauncherSource {
        version: VERSION.to_owned(),
        repository: option_env!("LIFECYCLE_REPOSITORY")
            .unwrap_or_default()
            .to_owned(),
        commit: option_env!("LIFECYCLE_COMMIT")
            .unwrap_or_default()
            .to_owned(),
    }
}
