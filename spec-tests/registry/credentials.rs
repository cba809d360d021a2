//! Where credentials come from, and what an error says about that.

use crate::build::{Build, succeeded};
use spec_tests::net::certificates::Authority;
use spec_tests::net::registry::{Access, PASSWORD, Registry, Transport, USER};
use spec_tests::net::tokens::{IDENTITY, TokenServer};
use spec_tests::subject::Outcome;
use std::env;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// `user:secret` in base64.
const ENCODED: &str = "dXNlcjpzZWNyZXQ=";
const WRONG: &str = "dXNlcjpndWVzcw==";
/// What a helper says that knows user and password.
const KNOWS: &str = r#"echo '{"Username":"user","Secret":"secret"}'"#;

/// A Docker configuration, and the helper `docker-credential-test` in `PATH`, which counts how often it is asked.
struct Home {
    directory: TempDir,
}

impl Home {
    fn new(config: &str, helper: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("config.json"), config).unwrap();
        let log = path("asked").display().to_string();
        let script = format!("#!/bin/sh\necho \"$1 $(cat)\" >>{log}\n{helper}\n");
        fs::write(path("docker-credential-test"), script).unwrap();
        let mode = Permissions::from_mode(0o755);
        fs::set_permissions(path("docker-credential-test"), mode).unwrap();
        Self { directory }
    }

    fn enter(&self, command: &mut Command) {
        let directory = self.directory.path().to_owned();
        let path = env::var_os("PATH").unwrap_or_default();
        let places = [directory.clone()].into_iter();
        let path = env::join_paths(places.chain(env::split_paths(&path))).unwrap();
        command.env("PATH", path).env("DOCKER_CONFIG", directory);
        command.args(["-log-level", "debug"]);
    }

    /// What the helper was asked.
    fn asked(&self) -> String {
        fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default()
    }
}

/// Nobody learns a secret from what a phase prints.
fn tells_nothing(outcome: &Outcome) {
    for secret in [PASSWORD, ENCODED, "guess", WRONG, IDENTITY] {
        assert!(!outcome.text.contains(secret), "{}", outcome.text);
    }
}

/// A registry for [`USER`] alone, with a run image.
fn guarded() -> (Registry, Build) {
    let registry = Registry::start(Access::Htpasswd, Transport::Http).unwrap();
    let build = Build::with_script("");
    let credentials = format!("--dest-creds={USER}:{PASSWORD}");
    let to = format!("docker://{}/run", registry.address());
    build.copy_run_image(&["--dest-tls-verify=false", &credentials], &to);
    (registry, build)
}

#[test]
fn configurations_and_helpers() {
    let (registry, build) = guarded();
    let place = registry.address().to_string();
    let check = |config: &str, helper: &str, refusal: Option<&str>| {
        let config = config.replace("PLACE", &place);
        let home = Home::new(&config, helper);
        let outcome = build.analyze(&place, |command| home.enter(command));
        tells_nothing(&outcome);
        match refusal {
            None => assert_eq!(outcome.code, Some(0), "{config}: {}", outcome.text),
            Some(words) => {
                assert_eq!(outcome.code, Some(32), "{config}: {}", outcome.text);
                assert!(outcome.text.contains(words), "{config}: {}", outcome.text);
                assert!(outcome.text.contains(&place), "{}", outcome.text);
            }
        }
        home.asked()
    };
    let helpers = r#"{"credHelpers":{"PLACE":"test"}}"#;
    let once = format!("get {place}\n");
    assert_eq!(check(helpers, KNOWS, None), once, "asked once");
    assert_eq!(check(r#"{"credsStore":"test"}"#, KNOWS, None), once);
    check(helpers, &format!("sleep 2; {KNOWS}"), None);
    let fails = "echo secret; echo secret >&2; exit 1";
    check(helpers, fails, Some("docker-credential-test"));
    check(helpers, "echo secret", Some("docker-credential-test"));
    let missing = r#"{"credHelpers":{"PLACE":"missing"}}"#;
    check(missing, KNOWS, Some("no such program"));
    let nothing = "echo 'credentials not found in native keychain'; exit 1";
    check(helpers, nothing, Some("no credentials found"));
    let both = format!(r#"{{"credsStore":"test","auths":{{"PLACE":{{"auth":"{ENCODED}"}}}}}}"#);
    check(&both, nothing, None);
    let auths = |encoded: &str| format!(r#"{{"auths":{{"PLACE":{{"auth":"{encoded}"}}}}}}"#);
    assert_eq!(check(&auths(ENCODED), KNOWS, None), "");
    check(&auths(WRONG), KNOWS, Some("config.json"));
    check("{", KNOWS, Some("config.json"));
    check("{}", KNOWS, Some("no credentials found"));
}

#[test]
fn the_platform_s_variable_comes_first() {
    let (registry, build) = guarded();
    let place = registry.address().to_string();
    let config = format!(r#"{{"auths":{{"{place}":{{"auth":"{WRONG}"}}}}}}"#);
    let home = Home::new(&config, KNOWS);
    for (header, code, words) in [
        (format!("Basic {ENCODED}"), Some(0), ""),
        (format!("Basic {WRONG}"), Some(32), "CNB_REGISTRY_AUTH"),
        ("Digest secret".to_owned(), Some(32), "unknown auth type"),
    ] {
        let outcome = build.analyze(&place, |command| {
            home.enter(command);
            command.env("CNB_REGISTRY_AUTH", auth(registry.address(), &header));
        });
        tells_nothing(&outcome);
        assert_eq!(outcome.code, code, "{}", outcome.text);
        assert!(outcome.text.contains(words), "{}", outcome.text);
    }
}

fn auth(registry: SocketAddr, header: &str) -> String {
    format!("{{\"{registry}\":\"{header}\"}}")
}

#[test]
fn identity_tokens_are_exchanged() {
    let authority = Arc::new(Authority::new().unwrap());
    let server = TokenServer::start(Arc::clone(&authority)).unwrap();
    let access = Access::Tokens(server.address(), &authority);
    let registry = Registry::start(access, Transport::Http).unwrap();
    let place = registry.address().to_string();
    let build = Build::with_script("");
    let credentials = format!("--dest-creds={USER}:{PASSWORD}");
    let to = format!("docker://{place}/run");
    build.copy_run_image(&["--dest-tls-verify=false", &credentials], &to);
    let token = format!(r#"{{"auths":{{"{place}":{{"identitytoken":"{IDENTITY}"}}}}}}"#);
    let helper = format!(r#"echo '{{"Username":"<token>","Secret":"{IDENTITY}"}}'"#);
    let variable = auth(registry.address(), &format!("X-Identity {IDENTITY}"));
    for (config, variable) in [
        (token.as_str(), None),
        (r#"{"credsStore":"test"}"#, None),
        ("{}", Some(variable)),
    ] {
        let home = Home::new(config, &helper);
        let before = server.issued().len();
        let outcome = build.analyze(&place, |command| {
            home.enter(command);
            command.envs(variable.map(|value| ("CNB_REGISTRY_AUTH", value)));
        });
        succeeded(&outcome);
        tells_nothing(&outcome);
        let issued = server.issued().split_off(before);
        assert!(
            !issued.is_empty() && issued.iter().all(|scope| scope.starts_with("POST")),
            "{issued:?}"
        );
    }
}
