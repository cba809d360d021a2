//! The version that this lifecycle reports.

/// `MAJOR.MINOR.PATCH`, as labels have it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `-version` prints: the version, and `+commit` in builds that know theirs (FACTS 1.4).
pub fn version_text() -> String {
    match option_env!("LIFECYCLE_COMMIT") {
        Some(commit) if !commit.is_empty() => format!("{VERSION}+{commit}"),
        _ => VERSION.to_owned(),
    }
}
