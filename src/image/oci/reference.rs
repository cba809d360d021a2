//! Image references, read as leniently as platforms write them (FACTS 13.1).

use super::Digest;
use lifecycle_core::error::{Error, ErrorKind, Result};
use std::fmt;
use std::net::Ipv4Addr;

/// The registry of references that name none.
pub const DEFAULT_REGISTRY: &str = "index.docker.io";
const DEFAULT_TAG: &str = "latest";

/// The name of an image: registry, repository, and tag or digest. Displays as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    written: String,
    registry: String,
    repository: String,
    identifier: Identifier,
}

/// What a reference picks in its repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// A tag; `latest` when the reference names none.
    Tag(String),
    /// The digest of a manifest.
    Digest(Digest),
}

impl Reference {
    /// Reads a reference: `[registry/]repository[:tag][@sha256:...]`. A tag before a digest is dropped.
    ///
    /// # Errors
    /// Kind `InvalidArguments`: `could not parse reference: <text>`.
    pub fn parse(text: &str) -> Result<Self> {
        let parsed = tagged(text).or_else(|| digested(text));
        let (registry, repository, identifier) = parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArguments,
                format!("could not parse reference: {text}"),
            )
        })?;
        Ok(Self {
            written: text.to_owned(),
            registry,
            repository,
            identifier,
        })
    }

    /// The registry's authority, `host[:port]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository inside the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag or digest.
    pub fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// `registry/repository`.
    pub fn context(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The fully qualified name: `registry/repository:tag` or `registry/repository@sha256:...`.
    pub fn name(&self) -> String {
        let separator = match self.identifier {
            Identifier::Tag(_) => ':',
            Identifier::Digest(_) => '@',
        };
        format!("{}{separator}{}", self.context(), self.identifier)
    }

    /// The same repository with a digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        let written = format!("{}@{digest}", self.context());
        Self {
            written,
            identifier: Identifier::Digest(digest),
            ..self.clone()
        }
    }

    /// Whether the registry may be reached without TLS although nobody marked it insecure: hosts that are local or
    /// in a private network by name.
    pub fn allows_http(&self) -> bool {
        let host = match self.registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => self.registry.as_str(),
        };
        let has_port = host.len() < self.registry.len();
        let private = |ip: Ipv4Addr| ip.is_private() || ip == Ipv4Addr::LOCALHOST;
        (host == "localhost" && has_port)
            || host.ends_with(".localhost")
            || host == "[::1]"
            || host.parse().is_ok_and(private)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

type Parts = (String, String, Identifier);

fn tagged(text: &str) -> Option<Parts> {
    // A colon before a slash belongs to the registry's port.
    let (base, tag) = match text.rsplit_once(':') {
        Some((base, tag)) if !tag.contains('/') => (base, tag),
        _ => (text, DEFAULT_TAG),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !(1..=128).contains(&tag.len()) || !tag.bytes().all(allowed) {
        return None;
    }
    let (registry, repository) = repository(base)?;
    Some((registry, repository, Identifier::Tag(tag.to_owned())))
}

fn digested(text: &str) -> Option<Parts> {
    let (base, digest) = text.split_once('@')?;
    let digest = Digest::parse(digest).ok()?;
    let (registry, repository) = match tagged(base) {
        Some((registry, repository, _)) => (registry, repository),
        None => repository(base)?,
    };
    Some((registry, repository, Identifier::Digest(digest)))
}

fn repository(text: &str) -> Option<(String, String)> {
    let (registry, repository) = match text.split_once('/') {
        Some((first, rest)) if first == "localhost" || first.contains(['.', ':']) => (first, rest),
        _ => (DEFAULT_REGISTRY, text),
    };
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte);
    if !(2..=255).contains(&repository.len())
        || !repository.bytes().all(allowed)
        || !is_authority(registry)
    {
        return None;
    }
    let registry = if registry == "docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    let implicit = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let repository = if implicit {
        format!("library/{repository}")
    } else {
        repository.to_owned()
    };
    Some((registry.to_owned(), repository))
}

/// Whether `text` is `host[:port]` with a host that a URL can carry unescaped (RFC 3986, 3.2), no user.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text
        .strip_prefix('[')
        .and_then(|rest| rest.rsplit_once(']'))
    {
        Some((literal, port)) if literal.parse::<std::net::Ipv6Addr>().is_ok() => ("literal", port),
        _ => text
            .find(':')
            .map_or((text, ""), |colon| text.split_at(colon)),
    };
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host.bytes().all(in_host) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let name = Reference::parse(text).map(|reference| reference.name());
        match expected {
            Some(expected) => assert_eq!(name.unwrap(), expected, "{text}"),
            None => {
                let error = name.unwrap_err();
                assert_eq!(
                    error.to_string(),
                    format!("could not parse reference: {text}")
                );
                assert_eq!(error.kind(), ErrorKind::InvalidArguments);
            }
        }
    }

    #[test]
    fn names_are_completed() {
        for (text, name) in [
            ("app", "index.docker.io/library/app:latest"),
            ("some/app:v1", "index.docker.io/some/app:v1"),
            ("docker.io/app", "index.docker.io/library/app:latest"),
            (
                "index.docker.io/some/app",
                "index.docker.io/some/app:latest",
            ),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("localhost:5000/app/", "localhost:5000/app/:latest"),
            ("r.example/a/b/c:Tag_1.x-y", "r.example/a/b/c:Tag_1.x-y"),
            ("[::1]:5000/app:t", "[::1]:5000/app:t"),
            ("r.example:/app", "r.example:/app:latest"),
        ] {
            check(text, Some(name));
        }
        let digest = format!("sha256:{}", "ab".repeat(32));
        check(
            &format!("app@{digest}"),
            Some(&format!("index.docker.io/library/app@{digest}")),
        );
        check(
            &format!("r:5000/app:tag@{digest}"),
            Some(&format!("r:5000/app@{digest}")),
        );
    }

    #[test]
    fn malformed_references_are_refused() {
        let digest = format!("sha256:{}", "AB".repeat(32));
        for text in [
            "",
            "a",
            "a:",
            "Bad/UPPER:x y",
            "x:y:z:",
            "r un",
            "_:",
            "a@sha256:1",
            "user@r.example/app",
            "r.example:port/app",
            "a:b:80/app",
            "a.b?/app",
            &format!("app@{digest}"),
            &format!("app:{}", "t".repeat(129)),
            &"r".repeat(256),
        ] {
            check(text, None);
        }
    }

    #[test]
    fn http_is_for_local_and_private_hosts() {
        for (text, expected) in [
            ("localhost:5000/app", true),
            ("localhost/app", false),
            ("x.localhost/app", true),
            ("x.localhost:80/app", true),
            ("127.0.0.1:5000/app", true),
            ("[::1]:5000/app", true),
            ("10.1.2.3/app", true),
            ("172.16.0.1:1/app", true),
            ("172.32.0.1/app", false),
            ("192.168.9.9/app", true),
            ("127.0.0.1.evil.example/app", false),
            ("r.example/app", false),
            ("app", false),
        ] {
            assert_eq!(
                Reference::parse(text).unwrap().allows_http(),
                expected,
                "{text}"
            );
        }
    }
}
