//! A user namespace: in it a process is root over files that it makes, without rights over anything else.

use crate::platform::privileges;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use rustix::thread::UnshareFlags;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How many ids an image needs at least to have users besides root: 65534 is nobody.
const ENOUGH: u64 = 65_535;
/// Each waits for a line, then maps ids of the process that is named first: from outside of the namespace, where there are
/// the rights to do so.
const MAP_GRANTED: &str =
    r#"read -r go && newuidmap "$1" 0 "$2" 1 1 $3 && newgidmap "$1" 0 "$4" 1 1 $5"#;
const MAP_ALL: &str =
    r#"read -r go && printf %s "$2" > "/proc/$1/uid_map" && printf %s "$3" > "/proc/$1/gid_map""#;

/// Whose files there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Everybody's.
    All,
    /// Root's alone: the kernel maps no other id.
    OnlyRoot,
}

/// Puts this process into a user namespace. Root keeps all ids; another user gets those that `/etc/subuid` and `/etc/subgid`
/// grant, if `newuidmap` is installed, else only its own as root's. The process must have no other thread.
///
/// # Errors
/// The kernel does not let it: the text names the setting.
pub fn enter() -> Result<Owners> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let helper = match uid.is_root() {
        true => Some(start_helper(
            MAP_ALL,
            &[&identity("uid_map")?, &identity("gid_map")?],
        )?),
        false => granted(uid.as_raw())?
            .map(|(uids, gids)| {
                let (uid, gid) = (uid.to_string(), gid.to_string());
                start_helper(MAP_GRANTED, &[&uid, &uids, &gid, &gids])
            })
            .transpose()?,
    };
    unshare(UnshareFlags::NEWUSER).map_err(refusal)?;
    // A process that hides its memory does not own its files in /proc either.
    privileges::show_memory();
    let mapped = match helper {
        Some(helper) => finish(helper).map(|()| Owners::All),
        None => map_one(uid.as_raw(), gid.as_raw()).map(|()| Owners::OnlyRoot),
    };
    privileges::hide_memory();
    mapped.context(|| "map users into the user namespace")
}

/// The only flags here make namespaces; what makes the call unsafe is the one that shares open files no longer.
#[expect(
    deprecated,
    reason = "the replacement is unsafe for one flag, which is not used here"
)]
pub(super) fn unshare(flags: UnshareFlags) -> std::io::Result<()> {
    Ok(rustix::thread::unshare(flags)?)
}

fn refusal(error: std::io::Error) -> Error {
    let settings = [
        (
            "/proc/sys/user/max_user_namespaces",
            "0",
            "user.max_user_namespaces is 0",
        ),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "kernel.unprivileged_userns_clone is 0",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns is 1",
        ),
    ];
    let is_set = |(path, value, _): &&(&str, &str, &str)| {
        fs::read_to_string(path).is_ok_and(|text| text.trim() == *value)
    };
    let reason = settings.iter().find(is_set).map_or(
        "perhaps a seccomp or security profile of the container",
        |(_, _, reason)| reason,
    );
    Error::from(error).in_context(format!(
        "a root of its own needs a user namespace, which the kernel refuses ({reason}); \
         in a container whose files are those of the base image, use -root /"
    ))
}

/// Users and groups that a user may map, each as the first id and how many there are; nothing where that is not set up.
fn granted(uid: u32) -> Result<Option<(String, String)>> {
    let read = |path: &str| {
        let text = file::read_if_exists(Path::new(path), DOCUMENT_LIMIT)?;
        Ok::<_, Error>(text.unwrap_or_default())
    };
    let passwd = read("/etc/passwd")?;
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then_some(name)
    });
    let uids = range(&read("/etc/subuid")?, name, uid);
    let gids = range(&read("/etc/subgid")?, name, uid);
    Ok(uids
        .zip(gids)
        .filter(|_| is_installed("newuidmap") && is_installed("newgidmap")))
}

fn is_installed(program: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/local/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists())
}

/// The first range for the user that is large enough.
fn range(file: &str, name: Option<&str>, uid: u32) -> Option<String> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let user = fields.next()?;
        let first: u64 = fields.next()?.trim().parse().ok()?;
        let count: u64 = fields.next()?.trim().parse().ok()?;
        let own = Some(user) == name || user == uid.to_string();
        (own && count >= ENOUGH).then(|| format!("{first} {count}"))
    })
}

/// Starts what maps ids once this process is in its namespace.
fn start_helper(script: &str, arguments: &[&str]) -> Result<Child> {
    let helper = Command::new("/bin/sh")
        .args(["-c", script, "sh", &std::process::id().to_string()])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/local/bin")
        .stdin(Stdio::piped())
        .spawn();
    helper.context(|| "start /bin/sh to map users")
}

fn finish(mut helper: Child) -> Result<()> {
    if let Some(mut go) = helper.stdin.take() {
        go.write_all(b"go\n").context(|| "tell the helper")?;
    }
    let status = helper.wait().context(|| "wait for the helper")?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::other("the kernel, or newuidmap, refuses")),
    }
}

/// The ids that this process's user namespace has, each for itself in one below.
fn identity(name: &str) -> Result<String> {
    let path = format!("/proc/self/{name}");
    let map = fs::read_to_string(&path).context(|| path)?;
    let lines = map.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (first, count) = (fields.next()?, fields.nth(1)?);
        Some(format!("{first} {first} {count}\n"))
    });
    Ok(lines.collect())
}

/// Makes root of one user.
fn map_one(uid: u32, gid: u32) -> Result<()> {
    for (name, text) in [
        // Otherwise somebody could give up a group that keeps him out (user_namespaces(7)).
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        let path = format!("/proc/self/{name}");
        fs::write(&path, text).context(|| path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let file = "other:1:65536\nme:5:10\nme:100000:65536\n7:300000:70000\n";
        let check = |name: Option<&str>, uid: u32, expected: Option<&str>| {
            assert_eq!(
                range(file, name, uid).as_deref(),
                expected,
                "{name:?} {uid}"
            );
        };
        check(Some("me"), 1, Some("100000 65536"));
        check(Some("you"), 7, Some("300000 70000"));
        check(None, 8, None);
        assert_eq!(range("me:x:65536\nme\n", Some("me"), 1), None);
    }
}
