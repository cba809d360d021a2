//! How registries are reached: certificates, proxies, names of this machine.

use crate::build::{Build, succeeded};
use spec_tests::net::certificates::Authority;
use spec_tests::net::proxy::{Fault, Head, Proxy};
use spec_tests::net::registry::{Access, Registry, Transport};
use spec_tests::subject::Outcome;
use std::fs;
use std::process::Command;

/// The host for which [`Authority::issue`] makes certificates, and which exists behind proxies alone.
const OUTSIDE: &str = "registry.example:5000";

/// A command that sees mounts of its own, which `prepare` makes (a shell script with `$1`).
fn in_own_mounts(command: &Command, prepare: &str, argument: &std::path::Path) -> Command {
    let mut wrapped = Command::new("unshare");
    wrapped.args(["--mount", "sh", "-euc"]);
    wrapped.arg(format!("{prepare}; shift; exec \"$@\""));
    wrapped.arg("sh").arg(argument);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.env_clear();
    for (name, value) in command.get_envs() {
        wrapped.envs(value.map(|value| (name, value)));
    }
    wrapped
}

#[test]
fn certificates_come_from_the_environment() {
    let authority = Authority::new().unwrap();
    let registry = Registry::start(Access::Open, Transport::Tls(&authority)).unwrap();
    let build = Build::with_run_image_in(registry.address());
    let place = registry.address().to_string();
    // Files of any name count, as in the reference.
    let directory = tempfile::tempdir().unwrap();
    fs::copy(
        authority.certificate(),
        directory.path().join("company.pem"),
    )
    .unwrap();
    for (variable, value) in [
        ("SSL_CERT_FILE", authority.certificate()),
        ("SSL_CERT_DIR", directory.path().to_owned()),
    ] {
        succeeded(&build.analyze(&place, |command| {
            command.env(variable, value);
        }));
    }
    let outcome = build.analyze(&place, |_| {});
    assert_eq!(outcome.code, Some(32), "{}", outcome.text);
    assert!(outcome.text.contains("certificate"), "{}", outcome.text);
}

#[test]
fn insecure_registries_may_have_any_certificate() {
    let authority = Authority::new().unwrap();
    let registry = Registry::start(Access::Open, Transport::Tls(&authority)).unwrap();
    let build = Build::with_run_image_in(registry.address());
    let place = registry.address().to_string();
    for (insecure, code) in [("127.0.0.1:", Some(0)), ("other.example", Some(32))] {
        let mut command = build.creator(&place);
        command.args(["-insecure-registry", insecure]);
        let outcome = Outcome::of(command.arg(format!("{place}/app"))).unwrap();
        assert_eq!(outcome.code, code, "{insecure}: {}", outcome.text);
    }
}

/// The key of the client's certificate is for root alone: it is read before privileges drop.
#[test]
fn client_certificates_come_from_certs_d() {
    let authority = Authority::new().unwrap();
    let registry = Registry::start(Access::Open, Transport::MutualTls(&authority)).unwrap();
    let build = Build::with_script("");
    let place = registry.address().to_string();
    let identity = authority.issue("client").unwrap();
    let certs = tempfile::tempdir().unwrap();
    let directory = certs.path().join(&place);
    fs::create_dir(&directory).unwrap();
    fs::copy(authority.certificate(), directory.join("ca.crt")).unwrap();
    fs::copy(identity.certificate, directory.join("client.cert")).unwrap();
    fs::copy(identity.key, directory.join("client.key")).unwrap();
    let to = format!("docker://{place}/run");
    let certs_option = format!("--dest-cert-dir={}", directory.display());
    build.copy_run_image(&[&certs_option], &to);

    let mut command = build.command("analyzer");
    command.args(["-uid", "65534", "-gid", "65534"]);
    command.args(["-run-image", &format!("{place}/run")]);
    command.arg(format!("{place}/app"));
    let prepare = "mount -t tmpfs none /etc/containers; \
        mkdir /etc/containers/certs.d; cp -a $1/. /etc/containers/certs.d; \
        chmod -R go-rwx /etc/containers/certs.d/*/*.key";
    succeeded(&Outcome::of(&mut in_own_mounts(&command, prepare, certs.path())).unwrap());
    let refused = Outcome::of(&mut in_own_mounts(&command, ":", certs.path())).unwrap();
    assert_eq!(refused.code, Some(32), "{}", refused.text);
}

#[test]
fn proxies_come_from_the_environment() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let proxy = Proxy::start(registry.address(), |_| None).unwrap();
    let address = format!("http://{}", proxy.address());
    for (no_proxy, code) in [
        ("elsewhere.example", Some(0)),
        ("registry.example", Some(32)),
        ("example", Some(32)),
        ("*", Some(32)),
    ] {
        let outcome = build.analyze(OUTSIDE, |command| {
            command
                .env("HTTP_PROXY", &address)
                .env("NO_PROXY", no_proxy);
            command.args(["-insecure-registry", OUTSIDE]);
        });
        assert_eq!(outcome.code, code, "{no_proxy}: {}", outcome.text);
    }
    assert!(proxy.count("GET", &format!("http://{OUTSIDE}/v2/")) > 0);
    // Nobody asks a proxy for this machine.
    let before = proxy.seen().len();
    succeeded(&build.analyze(&registry.address().to_string(), |command| {
        command.env("HTTP_PROXY", &address);
    }));
    assert_eq!(proxy.seen().len(), before);
}

#[test]
fn tls_goes_through_proxies_that_want_a_password() {
    /// `user:hunter2`.
    const PASSWORD: &str = "Basic dXNlcjpodW50ZXIy";
    let authority = Authority::new().unwrap();
    let registry = Registry::start(Access::Open, Transport::Tls(&authority)).unwrap();
    let build = Build::with_run_image_in(registry.address());
    let rule = |head: &Head| {
        let known = head.header("proxy-authorization") == Some(PASSWORD);
        let challenge = ("Proxy-Authenticate", "Basic".to_owned());
        (!known).then(|| Fault::Answer(407, vec![challenge], Vec::new()))
    };
    let proxy = Proxy::start(registry.address(), rule).unwrap();
    for (variable, user, code) in [
        ("HTTPS_PROXY", "user:hunter2", Some(0)),
        ("https_proxy", "user:hunter2", Some(0)),
        ("HTTPS_PROXY", "user:hunter3", Some(32)),
        // It is for addresses without TLS.
        ("HTTP_PROXY", "user:hunter2", Some(32)),
    ] {
        let address = format!("http://{user}@{}", proxy.address());
        let outcome = build.analyze(OUTSIDE, |command| {
            command.env("SSL_CERT_FILE", authority.certificate());
            command.env(variable, address);
            command.args(["-log-level", "debug"]);
        });
        assert_eq!(outcome.code, code, "{variable} {user}: {}", outcome.text);
        assert!(!outcome.text.contains("hunter"), "{}", outcome.text);
    }
    assert!(proxy.count("CONNECT", OUTSIDE) > 2);
    let all = proxy.seen();
    assert!(
        all.iter().all(|head| head.method == "CONNECT"),
        "everything else is for the registry's eyes"
    );
}

#[test]
fn localhost_may_be_ipv6_first() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let hosts = tempfile::NamedTempFile::new().unwrap();
    fs::write(hosts.path(), "::1 localhost\n127.0.0.1 localhost\n").unwrap();
    let place = format!("localhost:{}", registry.address().port());
    let mut command = build.creator(&place);
    command.arg(format!("{place}/app"));
    let prepare = "mount --bind $1 /etc/hosts";
    succeeded(&Outcome::of(&mut in_own_mounts(&command, prepare, hosts.path())).unwrap());
}
