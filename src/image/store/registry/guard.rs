//! Which addresses a registry may send us to.

use lifecycle_core::error::{Error, ErrorKind, Result};
use reqwest::Url;
use std::net::IpAddr;

/// Checks an address that the registry at `base` named: a token server, a redirect, an upload location.
///
/// # Errors
/// Kind `Unauthorized`: plain HTTP to another host, or to an address inside a private network that is not the
/// registry's own host.
pub(super) fn check(base: &Url, target: &Url, what: &str) -> Result<()> {
    let refuse = |why: &str| {
        let cause = format!(
            "{what} {} refused: {why}",
            target.origin().ascii_serialization()
        );
        Err(Error::new(ErrorKind::Unauthorized, cause))
    };
    let same_host = base.host_str() == target.host_str();
    match target.scheme() {
        "https" => {}
        "http" if same_host && base.scheme() == "http" => {}
        "http" => return refuse("plain http to another host would show content and credentials"),
        _ => return refuse("not an http address"),
    }
    let literal = target
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .parse::<IpAddr>();
    match literal {
        Ok(ip) if !same_host && is_internal(ip) => refuse("an internal network address"),
        _ => Ok(()),
    }
}

/// Whether requests to `a` and `b` reach the same server.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_internal(IpAddr::V4(ip)),
            None => {
                ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_pass() {
        let check = |base: &str, target: &str, passes: bool| {
            let (base, target) = (Url::parse(base).unwrap(), Url::parse(target).unwrap());
            assert_eq!(
                check(&base, &target, "redirect").is_ok(),
                passes,
                "{base} {target}"
            );
        };
        check("https://r.example/", "https://auth.example/token", true);
        check("https://r.example/", "http://r.example/token", false);
        check(
            "http://localhost:5000/",
            "http://localhost:5001/token",
            true,
        );
        check("http://localhost:5000/", "http://evil.example/token", false);
        check(
            "https://r.example/",
            "https://169.254.169.254/latest",
            false,
        );
        check("https://r.example/", "https://[::ffff:10.0.0.1]/", false);
        check("https://10.0.0.1/", "https://10.0.0.1:444/blob", true);
        check("https://r.example/", "ftp://r.example/", false);
    }
}
