use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

fn basic(username: &str, password: &str) -> Credentials {
    Credentials::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    }
}

#[test]
fn the_platform_s_headers_come_first() {
    let check = |json: &str, registry: &str, expected: Result<Credentials, &str>| {
        let sources = Sources {
            platform_auth: Some(json.to_owned()),
            ..Sources::default()
        };
        let keychain = Keychain::resolve(&sources, [registry.to_owned()]);
        let found = keychain.and_then(|keychain| Ok(keychain.credentials(registry)?.0));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{json}"),
            (Err(found), Err(expected)) => {
                assert!(found.to_string().starts_with(expected), "{found}")
            }
            (found, expected) => panic!("{json}: {found:?}, not {expected:?}"),
        }
    };
    let user = r#"{"https://r.example/v2/x":"basic dTpwOnc="}"#;
    check(user, "r.example", Ok(basic("u", "p:w")));
    check(user, "other.example", Ok(Credentials::Anonymous));
    check(
        r#"{"r":"Bearer t"}"#,
        "r",
        Ok(Credentials::Bearer("t".into())),
    );
    check(
        r#"{"r":"X-Identity t"}"#,
        "r",
        Ok(Credentials::Identity("t".into())),
    );
    let unknown = "parsing auth header: unknown auth type from header";
    check(r#"{"r":"Digest x"}"#, "r", Err(unknown));
    check(r#"{"r":"Basic"}"#, "r", Err(unknown));
    check(
        r#"{"r":"Basic !"}"#,
        "r",
        Err("parsing auth header: value of 'Basic'"),
    );
    let broken = "reading auth env var: failed to parse CNB_REGISTRY_AUTH value: ";
    check("nope", "r", Err(broken));
    check("[]", "r", Err(broken));
    check(r#"{"r":1}"#, "r", Err(broken));
}

/// A home directory with a Docker configuration and a credential helper `mock`.
fn home(config: &str, helper: &str) -> (tempfile::TempDir, Sources) {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".docker")).unwrap();
    fs::write(home.path().join(".docker/config.json"), config).unwrap();
    let program = home.path().join("docker-credential-mock");
    fs::write(&program, format!("#!/bin/sh\n{helper}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let config = ConfigPlaces {
        home: Some(home.path().to_owned()),
        ..ConfigPlaces::default()
    };
    let path = format!("{}:/usr/bin:/bin", home.path().display()).into();
    let sources = Sources {
        config,
        path,
        ..Sources::default()
    };
    (home, sources)
}

fn check_config(config: &str, helper: &str, registry: &str, expected: Credentials, source: &str) {
    let (_home, sources) = home(config, helper);
    let keychain = Keychain::resolve(&sources, [registry.to_owned()]).unwrap();
    let (credentials, found) = keychain.credentials(registry).unwrap();
    assert_eq!(credentials, expected, "{config}");
    let later = Keychain::resolve(&sources, []).unwrap();
    assert_eq!(later.credentials(registry).unwrap().0, expected, "{config}");
    assert!(found.contains(source), "{found}");
    assert!(!found.contains("s3cret"), "{found}");
}

#[test]
fn docker_configurations_are_understood() {
    let user = || basic("u", "s3cret");
    let check = |config, registry, expected, source| {
        check_config(config, "exit 9", registry, expected, source)
    };
    check(
        r#"{"auths":{"r:5000":{"auth":"dTpzM2NyZXQ="}}}"#,
        "r:5000",
        user(),
        "config.json",
    );
    check(
        r#"{"auths":{"r":{"username":"u","password":"s3cret"}}}"#,
        "r",
        user(),
        "config.json",
    );
    check(
        r#"{"auths":{"https://r/v1/":{"auth":"dTpzM2NyZXQ="}}}"#,
        "r",
        user(),
        "config.json",
    );
    check(
        r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpzM2NyZXQ="}}}"#,
        "index.docker.io",
        user(),
        "config.json",
    );
    check(
        r#"{"auths":{"r":{"identitytoken":"s3cret"}}}"#,
        "r",
        Credentials::Identity("s3cret".into()),
        "config.json",
    );
    check(
        r#"{"auths":{"r":{}}}"#,
        "r",
        Credentials::Anonymous,
        "no credentials found",
    );
    check("{", "r", Credentials::Anonymous, "no credentials found (");
    check(
        r#"{"credHelpers":{"r":"../evil"}}"#,
        "r",
        Credentials::Anonymous,
        "no such program",
    );
}

#[test]
fn helpers_are_asked() {
    let config = r#"{"credsStore":"mock","auths":{"r":{"auth":"dTpw"}}}"#;
    let user = r#"read r; echo "{\"Username\":\"$r\",\"Secret\":\"s3cret\"}""#;
    check_config(
        config,
        user,
        "r",
        basic("r", "s3cret"),
        "docker-credential-mock",
    );
    let token = r#"echo '{"Username":"<token>","Secret":"s3cret"}'"#;
    check_config(
        config,
        token,
        "r",
        Credentials::Identity("s3cret".into()),
        "mock",
    );
    let nothing = "echo credentials not found in native keychain; exit 1";
    check_config(config, nothing, "r", basic("u", "p"), "config.json");
    check_config(
        config,
        "echo s3cret; exec sleep 30",
        "r",
        Credentials::Anonymous,
        "no answer after 1s",
    );
    check_config(
        config,
        "echo s3cret; exit 1",
        "r",
        Credentials::Anonymous,
        "it failed",
    );
    check_config(
        config,
        "echo s3cret",
        "r",
        Credentials::Anonymous,
        "is not JSON",
    );
}
