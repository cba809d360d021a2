//! What programs that execute Dockerfiles take from the container that they run in.

use crate::extend::container;
use crate::extend::snapshot::Ignored;
use lifecycle_core::env::Env;
use lifecycle_core::error::{Error, Result, ResultExt};
use std::fs;
use std::path::{Path, PathBuf};

/// Variables that Docker hands to every `RUN` without an `ARG`.
pub const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// What no layer of the container's own files holds: mounts, this program, and `paths`.
///
/// # Errors
/// This is no container, or its mounts are not to be found.
pub fn ignored(env: &Env, paths: &[&Path]) -> Result<Ignored> {
    if !container::detected(env) {
        return Err(Error::other(
            "Dockerfiles change the root file system, and this does not look like a container",
        ));
    }
    let mountinfo = fs::read("/proc/self/mountinfo").context(|| "list mounts")?;
    let program = program();
    let paths = paths.iter().copied().chain(program.as_deref());
    Ok(Ignored::new(&mountinfo, paths))
}

/// This program: the directory that platforms put the lifecycle in, else the file alone.
fn program() -> Option<PathBuf> {
    let program = fs::read_link("/proc/self/exe").ok()?;
    let directory = program.parent()?;
    match directory.ends_with("lifecycle") {
        true => Some(directory.to_owned()),
        false => Some(program),
    }
}

/// The proxies of the environment.
pub fn proxies(env: &Env) -> Vec<(String, String)> {
    let names = PROXIES
        .iter()
        .flat_map(|name| [(*name).to_owned(), name.to_ascii_lowercase()]);
    let known = names.filter_map(|name| {
        let value = env.get(&name)?.to_str()?.to_owned();
        Some((name, value))
    });
    known.collect()
}

/// A directory for scripts and layers in `parent`.
///
/// # Errors
/// It cannot be made.
pub fn work_dir(parent: &Path) -> Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let work_dir = tempfile::Builder::new()
        .prefix("work.dir")
        .tempdir_in(parent)?;
    // The image's user executes scripts in it, but need not know what else there is.
    fs::set_permissions(work_dir.path(), fs::Permissions::from_mode(0o711))?;
    Ok(work_dir)
}
