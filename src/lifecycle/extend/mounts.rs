//! `RUN --mount` and `--network`: what is there while a command runs, and in no layer.

use super::disk::Owner;
use crate::dockerfile::Flag;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_image::oci::DiffId;
use rustix::fs::{FlockOperation, Gid, Uid};
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the flags of one `RUN` ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) mounts: Vec<Mount>,
    /// Whether there shall be no network.
    pub(super) offline: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) kind: Kind,
    pub(super) target: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files of the context or of another image; nobody can write to them.
    Bind {
        from: Option<String>,
        source: String,
    },
    /// A directory that stays from build to build.
    Cache(Cache),
    /// An empty directory in memory.
    Tmpfs,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cache {
    id: String,
    owner: Owner,
    mode: u32,
    /// Whether one command at a time may have it.
    exclusive: bool,
}

impl Request {
    /// Reads the flags. `expand` fills variables in, relative targets are below `dir`.
    ///
    /// # Errors
    /// One is malformed or not supported.
    pub(super) fn read(
        flags: &[Flag],
        dir: &Path,
        expand: &dyn Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let mut request = Self::default();
        for flag in flags {
            let value = expand(flag.value.as_deref().unwrap_or_default())?;
            match (flag.name.as_str(), value.as_str()) {
                ("network", "default" | "host") | ("security", "sandbox") => {}
                ("network", "none") => request.offline = true,
                ("mount", value) => {
                    let mount = Mount::read(value, dir).context(|| format!("--mount={value}"))?;
                    request.mounts.push(mount);
                }
                (name, "") => return Err(Error::other(format!("--{name} is not supported"))),
                (name, value) => {
                    return Err(Error::other(format!("--{name}={value} is not supported")));
                }
            }
        }
        Ok(request)
    }

    /// The request, if it asks for nothing.
    ///
    /// # Errors
    /// It does.
    pub(super) fn refused(self) -> Result<Self> {
        match (self.mounts.first(), self.offline) {
            (None, false) => Ok(self),
            (Some(_), _) => Err(Error::other("--mount is not supported")),
            (None, true) => Err(Error::other("--network=none is not supported")),
        }
    }
}

impl Mount {
    /// `type=bind,source=a,target=/b` and so on (Dockerfile reference, RUN --mount).
    fn read(text: &str, dir: &Path) -> Result<Self> {
        let (mut kind, mut target, mut source, mut from) = ("bind", None, None, None);
        let (mut id, mut uid, mut gid, mut mode, mut sharing) = (None, None, None, None, "shared");
        let mut writable = false;
        for pair in text.split(',') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let unsupported = || Err(Error::other(format!("{pair} is not supported")));
            match (name, value) {
                ("type", value) => kind = value,
                ("target" | "dst" | "destination", value) => target = Some(value),
                ("source" | "src", value) => source = Some(value),
                ("from", value) => from = Some(value.to_owned()),
                ("id", value) => id = Some(value),
                ("uid", value) => uid = Some(number(value, 10)?),
                ("gid", value) => gid = Some(number(value, 10)?),
                ("mode", value) => mode = Some(number(value, 8)?),
                ("sharing", "shared" | "private" | "locked") => sharing = value,
                ("ro" | "readonly", "true") | ("rw" | "readwrite", "false") => {}
                ("rw" | "readwrite", "true") => writable = true,
                _ => return unsupported(),
            }
        }
        if writable && kind == "bind" {
            return Err(Error::other("rw is not supported"));
        }
        let target = target.filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| Error::other("there is no target"))?;
        let kind = match kind {
            "bind" => Kind::Bind {
                from,
                source: source.unwrap_or("/").to_owned(),
            },
            "cache" if from.is_none() && source.is_none() => Kind::Cache(Cache {
                id: id.unwrap_or(target).to_owned(),
                owner: (uid.unwrap_or(0), gid.unwrap_or(0)),
                mode: mode.unwrap_or(0o755),
                exclusive: sharing != "shared",
            }),
            "tmpfs" => Kind::Tmpfs,
            "cache" => {
                return Err(Error::other(
                    "a cache with files of its own is not supported",
                ));
            }
            other => return Err(Error::other(format!("type={other} is not supported"))),
        };
        Ok(Self {
            kind,
            target: dir.join(target),
        })
    }
}

fn number(text: &str, radix: u32) -> Result<u32> {
    u32::from_str_radix(text, radix).map_err(|_| Error::other(format!("'{text}' is no number")))
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A mount whose source is there, for as long as the value.
pub(super) struct Held {
    /// Absent for an empty directory in memory.
    source: Option<PathBuf>,
    target: PathBuf,
    read_only: bool,
    /// Keeps others from it.
    _lock: Option<File>,
}

impl Held {
    /// An empty directory in memory.
    pub(super) fn nothing(target: &Path) -> Self {
        Self {
            source: None,
            target: target.to_owned(),
            read_only: false,
            _lock: None,
        }
    }

    /// Files that nobody can write to.
    pub(super) fn files(source: PathBuf, target: &Path) -> Self {
        Self {
            source: Some(source),
            read_only: true,
            ..Self::nothing(target)
        }
    }

    /// A directory in `directory`, made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn cache(cache: &Cache, target: &Path, directory: &Path) -> Result<Self> {
        let context = || format!("make cache {}", cache.id);
        let source = directory.join(DiffId::of(cache.id.as_bytes()).hex());
        if !source.exists() {
            fs::create_dir_all(&source).context(context)?;
            fs::set_permissions(&source, Permissions::from_mode(cache.mode)).context(context)?;
            let (uid, gid) = (Uid::from_raw(cache.owner.0), Gid::from_raw(cache.owner.1));
            rustix::fs::chown(&source, Some(uid), Some(gid))
                .map_err(io::Error::from)
                .context(context)?;
        }
        let lock = match cache.exclusive {
            true => {
                let lock = File::open(&source).context(context)?;
                rustix::fs::flock(&lock, FlockOperation::LockExclusive)
                    .map_err(io::Error::from)
                    .context(context)?;
                Some(lock)
            }
            false => None,
        };
        Ok(Self {
            source: Some(source),
            _lock: lock,
            ..Self::nothing(target)
        })
    }

    /// Where it is mounted.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// The directory or file that is mounted.
    pub(super) fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Whether nobody can write to it.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether what is mounted is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.source.as_ref().is_none_or(|source| source.is_dir())
    }

    /// Three words that say the same on a command line.
    pub(super) fn words(&self) -> [OsString; 3] {
        let source = self.source.clone().unwrap_or_default();
        let access = if self.read_only { "ro" } else { "rw" };
        [source.into(), self.target.clone().into(), access.into()]
    }

    /// What [`Self::words`] said.
    pub(super) fn from_words([source, target, access]: [&OsString; 3]) -> Self {
        Self {
            source: (!source.is_empty()).then(|| PathBuf::from(source)),
            read_only: access == "ro",
            ..Self::nothing(Path::new(target))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flag: (&str, &str), expected: &str) {
        let flags = [Flag {
            name: flag.0.to_owned(),
            value: Some(flag.1.to_owned()),
        }];
        let expand = |text: &str| Ok(text.replace("$x", "y"));
        let found = match Request::read(&flags, Path::new("/w"), &expand) {
            Ok(request) if request.offline => "offline".to_owned(),
            Ok(request) => request.mounts.iter().map(Mount::to_string).collect(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{flag:?}");
    }

    #[test]
    fn flags_say_what_is_mounted() {
        check(
            ("mount", "target=$x"),
            "Mount { kind: Bind { from: None, source: \"/\" }, target: \"/w/y\" }",
        );
        check(
            ("mount", "type=bind,from=a,src=b,dst=/c,ro"),
            "Mount { kind: Bind { from: Some(\"a\"), source: \"b\" }, target: \"/c\" }",
        );
        check(
            (
                "mount",
                "type=cache,target=/c,uid=1,gid=2,mode=700,sharing=locked,rw",
            ),
            "Mount { kind: Cache(Cache { id: \"/c\", owner: (1, 2), mode: 448, exclusive: true }), target: \"/c\" }",
        );
        check(
            ("mount", "type=tmpfs,target=/t"),
            "Mount { kind: Tmpfs, target: \"/t\" }",
        );
        check(("network", "host"), "");
        check(("network", "none"), "offline");
        check(("security", "sandbox"), "");
    }

    #[test]
    fn what_is_not_supported_is_said() {
        check(
            ("mount", "type=secret,target=/s"),
            "--mount=type=secret,target=/s: type=secret is not supported",
        );
        check(
            ("mount", "type=bind,target=/s,rw"),
            "--mount=type=bind,target=/s,rw: rw is not supported",
        );
        check(
            ("mount", "type=cache"),
            "--mount=type=cache: there is no target",
        );
        check(
            ("mount", "type=cache,target=/c,mode=x"),
            "--mount=type=cache,target=/c,mode=x: 'x' is no number",
        );
        check(
            ("security", "insecure"),
            "--security=insecure is not supported",
        );
        check(("bogus", ""), "--bogus is not supported");
    }
}
