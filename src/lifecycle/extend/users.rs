//! Users and groups, by the image's own files.

use super::disk::{Disk, Owner};
use lifecycle_core::error::{Error, Result};

/// Whose rights a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
    /// The home directory, as /etc/passwd has it.
    pub(super) home: Option<String>,
}

/// `USER`'s words: `user[:group]`, each a name or a number. Nobody is root.
///
/// # Errors
/// A name is unknown.
pub(super) fn user(words: &str, disk: &Disk) -> Result<User> {
    let accounts = Accounts::read(disk)?;
    let (name, group) = match words.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (words, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let account = accounts.find(name);
    let uid = match (&account, name.parse()) {
        (Some(account), _) => account.uid,
        (None, Ok(uid)) => uid,
        (None, Err(_)) => return Err(Error::other(format!("unable to find user {name}"))),
    };
    let (gid, groups) = match (group, &account) {
        (Some(group), _) => (accounts.group(group)?, Vec::new()),
        (None, Some(account)) => (account.gid, accounts.memberships(account.name)),
        (None, None) => (0, Vec::new()),
    };
    Ok(User {
        uid,
        gid,
        groups,
        home: account
            .map(|account| account.home.to_owned())
            .filter(|home| !home.is_empty()),
    })
}

/// The words of `--chown`. Without a group it is the user's number (Dockerfile reference).
///
/// # Errors
/// A name is unknown.
pub(super) fn owner(words: &str, disk: &Disk) -> Result<Owner> {
    let uid = user(words, disk)?.uid;
    match words.split_once(':') {
        Some((_, group)) if !group.is_empty() => Ok((uid, Accounts::read(disk)?.group(group)?)),
        _ => Ok((uid, uid)),
    }
}

/// /etc/passwd and /etc/group.
struct Accounts {
    passwd: String,
    group: String,
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl Accounts {
    fn read(disk: &Disk) -> Result<Self> {
        Ok(Self {
            passwd: disk.text("/etc/passwd")?,
            group: disk.text("/etc/group")?,
        })
    }

    /// The account of that name, else that of that number.
    fn find(&self, wanted: &str) -> Option<Account<'_>> {
        let accounts = || {
            self.passwd.lines().filter_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                let (_, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
                let (_, home) = (fields.next(), fields.next().unwrap_or_default());
                Some(Account {
                    name,
                    uid: uid.parse().ok()?,
                    gid: gid.parse().ok()?,
                    home,
                })
            })
        };
        let number = wanted.parse().ok();
        accounts()
            .find(|account| account.name == wanted)
            .or_else(|| accounts().find(|account| Some(account.uid) == number))
    }

    /// Name, number and members of every group.
    fn groups(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
            Some((name, gid.parse().ok()?, fields.next().unwrap_or_default()))
        })
    }

    fn group(&self, wanted: &str) -> Result<u32> {
        let named = self.groups().find(|(name, ..)| *name == wanted);
        match (named, wanted.parse()) {
            (Some((_, gid, _)), _) | (None, Ok(gid)) => Ok(gid),
            (None, Err(_)) => Err(Error::other(format!("unable to find group {wanted}"))),
        }
    }

    fn memberships(&self, user: &str) -> Vec<u32> {
        let has_member = |members: &str| members.split(',').any(|member| member.trim() == user);
        self.groups()
            .filter(|(_, _, members)| has_member(members))
            .map(|(_, gid, _)| gid)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extend::namespace::Owners;
    use std::fs;

    fn disk() -> (tempfile::TempDir, Disk) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\ncnb:x:1000:1001::/home/cnb:\n7:x:8:9::/seven:\nbad\n";
        let group = "root:x:0:\nstaff:x:50:cnb,other\ncnb:x:1001:\n60:x:61:\n";
        fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        fs::write(root.path().join("etc/group"), group).unwrap();
        let disk = Disk::new(root.path(), Owners::All);
        (root, disk)
    }

    #[test]
    fn users_are_found_as_docker_does() {
        let (_root, disk) = disk();
        let check = |words: &str, expected: &str| {
            let found = user(words, &disk).map_or_else(
                |error| error.to_string(),
                |user| {
                    let home = user.home.unwrap_or_default();
                    format!("{}:{} {:?} {home}", user.uid, user.gid, user.groups)
                },
            );
            assert_eq!(found, expected, "{words}");
        };
        check("", "0:0 [] /root");
        check("root", "0:0 [] /root");
        check("cnb", "1000:1001 [50] /home/cnb");
        check("1000", "1000:1001 [50] /home/cnb");
        check("1000:", "1000:1001 [50] /home/cnb");
        check("cnb:staff", "1000:50 [] /home/cnb");
        check("cnb:5", "1000:5 [] /home/cnb");
        check("1234", "1234:0 [] ");
        check("1234:1000", "1234:1000 [] ");
        check("7", "8:9 [] /seven");
        check("0:60", "0:61 [] /root");
        check("nobody", "unable to find user nobody");
        check("0:nogroup", "unable to find group nogroup");
    }

    #[test]
    fn owners_without_a_group_have_their_own() {
        let (_root, disk) = disk();
        assert_eq!(owner("cnb", &disk).unwrap(), (1000, 1000));
        assert_eq!(owner("5:staff", &disk).unwrap(), (5, 50));
        assert_eq!(owner("7", &disk).unwrap(), (8, 8));
    }
}
