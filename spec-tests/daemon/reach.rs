//! Ways to a daemon other than its socket, and what travels on them.

use crate::{Setup, has, set_up_tcp};
use spec_tests::net::certificates::Authority;
use spec_tests::net::proxy::{Fault, Proxy, first};
use spec_tests::pack::RUN_IMAGE;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

const ARGS: [&str; 3] = ["-run-image", RUN_IMAGE, "samples/app"];
/// The size of the layer that is kept: much more than everything else that an app image has.
const KEPT: u64 = 20 << 20;

/// A daemon without TLS, and a build that adds a layer of `KEPT` bytes.
fn set_up_plain() -> (Setup, SocketAddr) {
    let (setup, address) = set_up_tcp(&["--tls=false"]);
    let script = setup.build.dir.join("buildpacks/kept/1/bin/build");
    let text = fs::read_to_string(&script).unwrap();
    let large = format!("head -c {KEPT} /dev/urandom > \"$1/kept/large\"\n    echo kept");
    fs::write(script, text.replace("echo kept", &large)).unwrap();
    (setup, address)
}

#[test]
fn only_new_layers_travel() {
    let (mut setup, address) = set_up_plain();
    let proxy = Proxy::start(address, |_| None).unwrap();
    setup
        .build
        .set_variable("DOCKER_HOST", &format!("tcp://{}", proxy.address()));
    let (daemon, build) = (&setup.daemon, &setup.build);
    // What an export uploads, and how often it asks for an image's layers.
    let cost = |args: &[&str]| {
        let before = (proxy.uploaded(), proxy.count("GET", "/get"));
        build.create(args).unwrap();
        (
            proxy.uploaded() - before.0,
            proxy.count("GET", "/get") - before.1,
        )
    };
    let (first, fetched) = cost(&ARGS);
    assert!(first > KEPT, "{first}");
    assert_eq!(fetched, 0);
    assert_eq!(
        proxy.count("POST", "/v1.41/images/load"),
        1,
        "{:?}",
        proxy.seen()
    );

    assert_eq!(cost(&ARGS), (0, 0), "an unchanged app");

    build.change_app("changed").unwrap();
    let (again, fetched) = cost(&ARGS);
    assert!(again < KEPT / 4, "{again}");
    assert_eq!(fetched, 0, "the daemon has the reused layer");
    assert_eq!(daemon.run("samples/app", &[]).unwrap(), "changedkept");

    build.change_app("other").unwrap();
    let args = [
        "-run-image",
        RUN_IMAGE,
        "-previous-image",
        "samples/app",
        "samples/other",
    ];
    let (other, fetched) = cost(&args);
    assert!(other < KEPT / 4, "{other}");
    assert_eq!(fetched, 0, "a previous image of another name");
    assert_eq!(daemon.run("samples/other", &[]).unwrap(), "otherkept");
}

#[test]
fn a_daemon_that_wants_all_layers_gets_them() {
    let (mut setup, address) = set_up_plain();
    setup.build.create(&ARGS).unwrap();
    let line = "{\"errorDetail\":{\"message\":\"no such layer\"},\"error\":\"no such layer\"}\n";
    for (page, refusal) in [
        ("1", Fault::Answer(200, Vec::new(), line.into())),
        (
            "2",
            Fault::Answer(500, Vec::new(), b"{\"message\":\"no such layer\"}".to_vec()),
        ),
    ] {
        let proxy = Proxy::start(address, first(1, "POST", "/images/load", refusal)).unwrap();
        setup
            .build
            .set_variable("DOCKER_HOST", &format!("tcp://{}", proxy.address()));
        setup.build.change_app(page).unwrap();
        setup.build.create(&ARGS).unwrap();
        assert_eq!(proxy.count("POST", "/images/load"), 2);
        assert!(proxy.uploaded() > KEPT);
        let printed = setup.daemon.run("samples/app", &[]).unwrap();
        assert_eq!(printed, format!("{page}kept"));
    }
}

#[test]
fn certificates_are_those_of_dockers_client() {
    let authority = Authority::new().unwrap();
    let server = authority.issue("daemon").unwrap();
    let text = |path: &Path| path.display().to_string();
    let ca = format!("--tlscacert={}", text(&authority.certificate()));
    let certificate = format!("--tlscert={}", text(&server.certificate));
    let key = format!("--tlskey={}", text(&server.key));
    let (mut setup, address) = set_up_tcp(&["--tlsverify", &ca, &certificate, &key]);

    let client = authority.issue("client").unwrap();
    let directory = |name: &str, authority: &Authority| {
        let directory = setup.work.path().join(name);
        fs::create_dir(&directory).unwrap();
        for (from, to) in [
            (authority.certificate(), "ca.pem"),
            (client.certificate.clone(), "cert.pem"),
            (client.key.clone(), "key.pem"),
        ] {
            fs::copy(from, directory.join(to)).unwrap();
        }
        text(&directory)
    };
    let trusting = directory("trusting", &authority);
    let other = directory("other", &Authority::new().unwrap());
    let named = format!("the docker daemon at tcp://{address}");
    for (path, verify, code, expected) in [
        (trusting.as_str(), "1", 0, "*** Images"),
        (&other, "", 0, "*** Images"),
        (&other, "1", 32, "certificate"),
        ("/absent", "1", 1, "open /absent/ca.pem"),
        ("", "", 32, &named),
    ] {
        setup.build.set_variable("DOCKER_CERT_PATH", path);
        setup.build.set_variable("DOCKER_TLS_VERIFY", verify);
        setup.build.begin().unwrap();
        let outcome = setup.build.phase("creator", &ARGS).unwrap();
        assert_eq!(outcome.code, Some(code), "{}", outcome.text);
        has(&outcome.text, &[expected]);
    }
}
