//! Docker with the containerd image store, and Podman: the same story on each, and what only one of them can show.

use crate::{has, phases};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spec_tests::docker::Daemon;
use spec_tests::layout::Image;
use spec_tests::pack::{Build, RUN_IMAGE};
use spec_tests::site::work_directory;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use tempfile::TempDir;

const APP: [&str; 3] = ["-run-image", RUN_IMAGE, "samples/app"];

fn set_up(start: fn(&Path) -> io::Result<Daemon>) -> (TempDir, Daemon, Build) {
    let work = work_directory().unwrap();
    let daemon = start(work.path()).unwrap();
    daemon.make_run_image(RUN_IMAGE, "1").unwrap();
    let build = Build::new(&work.path().join("build"), &daemon.host()).unwrap();
    (work, daemon, build)
}

/// What `docker save` of the image writes, unpacked.
fn saved(daemon: &Daemon, image: &str) -> PathBuf {
    let (archive, dir) = (daemon.dir().join("saved.tar"), daemon.dir().join("saved"));
    let path = archive.display().to_string();
    daemon.output(&["save", "-o", &path, image]).unwrap();
    let _ = fs::remove_dir_all(&dir);
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    archive.unpack(&dir).unwrap();
    dir
}

/// Builds, builds again, builds on another run image, rebases. Whoever reads images (`check_saved`) has to find what
/// the daemon says of them.
fn check(daemon: &Daemon, build: &Build, check_saved: fn(&Daemon, &str)) {
    let text = build
        .create(&[&["-tag", "samples/app:two"], &APP[..]].concat())
        .unwrap();
    let first = daemon.id("samples/app").unwrap();
    assert_eq!(daemon.id("samples/app:two").unwrap(), first);
    let images = format!(
        "*** Images ({}):\n      samples/app\n      samples/app:two\n",
        &first[..12]
    );
    has(&text, &["Adding layer 'kept:kept'", &images]);
    let report = build.document("report.toml").unwrap();
    assert_eq!(report["image"]["image-id"].as_str(), Some(first.as_str()));
    let image = daemon.inspect("samples/app").unwrap();
    assert_eq!(image["Created"], "1980-01-01T00:00:01Z");
    assert_eq!(image["Config"]["User"], "65534");
    let history = [
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "samples/app",
    ];
    has(
        &daemon.output(&history).unwrap(),
        &[
            "Layer: 'kept', Created by buildpack: kept@1",
            "Application Layer",
        ],
    );
    check_saved(daemon, "samples/app");
    assert_eq!(daemon.run("samples/app", &[]).unwrap(), "pagekept");

    let text = build.create(&APP).unwrap();
    has(
        &text,
        &["Reusing layer 'kept:kept'", "Reused 1/1 app layer(s)"],
    );
    assert_eq!(daemon.id("samples/app").unwrap(), first, "an unchanged app");
    build.change_app("other").unwrap();
    build.create(&APP).unwrap();
    assert_eq!(daemon.run("samples/app", &[]).unwrap(), "otherkept");
    assert_eq!(daemon.run("samples/app:two", &[]).unwrap(), "pagekept");

    // The kept layer lies on other layers now, and only the cache or the daemon has it.
    daemon.make_run_image("samples/other", "2").unwrap();
    for cached in [true, false] {
        if !cached {
            fs::remove_dir_all(build.dir.join("launch-cache/committed")).unwrap();
        }
        let previous = ["-previous-image", "samples/app:two"];
        let args = ["-run-image", "samples/other", "samples/moved"];
        let text = build.create(&[&previous[..], &args].concat()).unwrap();
        has(&text, &["Reusing layer 'kept:kept'"]);
        check_saved(daemon, "samples/moved");
        assert_eq!(daemon.run("samples/moved", &[]).unwrap(), "otherkept");
        daemon.output(&["rmi", "samples/moved"]).unwrap();
    }

    daemon.make_run_image(RUN_IMAGE, "3").unwrap();
    let report = build.dir.join("layers/rebased.toml").display().to_string();
    let text = build
        .done("rebaser", &["-report", &report, "samples/app:two"])
        .unwrap();
    let rebased = daemon.id("samples/app:two").unwrap();
    has(&text, &[&format!("*** Images ({}):", &rebased[..12])]);
    assert_ne!(rebased, first);
    check_saved(daemon, "samples/app:two");
    assert_eq!(daemon.run("samples/app:two", &[]).unwrap(), "pagekept");
    let mark = daemon.run("samples/app:two", &["cat", "/mark"]);
    assert_eq!(mark.unwrap(), "3");
}

#[test]
fn containerd_image_store() {
    let (_work, daemon, build) = set_up(Daemon::start_with_containerd);
    check(&daemon, &build, |daemon, name| {
        let image = Image::open(&saved(daemon, name)).unwrap();
        image.verify().unwrap();
        let found = daemon.inspect(name).unwrap();
        assert_eq!(
            found["Id"],
            image.digest.as_str(),
            "the store's id is the manifest's digest"
        );
        assert_eq!(
            found["RootFS"]["Layers"],
            image.config["rootfs"]["diff_ids"]
        );
        for key in ["Env", "Entrypoint", "Labels", "WorkingDir"] {
            assert_eq!(found["Config"][key], image.config["config"][key], "{key}");
        }
    });
}

#[test]
fn podman() {
    let (_work, daemon, build) = set_up(Daemon::start_podman);
    check(&daemon, &build, |daemon, name| {
        let dir = saved(daemon, name);
        let read = |name: &str| -> Value {
            serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap()
        };
        let manifest = &read("manifest.json")[0];
        let found = daemon.inspect(name).unwrap();
        let layers = manifest["Layers"].as_array().unwrap().iter();
        let digests =
            layers.map(|layer| digest(&fs::read(dir.join(layer.as_str().unwrap())).unwrap()));
        let digests: Value = digests.collect();
        assert_eq!(found["RootFS"]["Layers"], digests);
        let config = manifest["Config"].as_str().unwrap();
        assert_eq!(found["Id"], digest(&fs::read(dir.join(config)).unwrap()));
    });
}

/// What is left of an image if it is pulled after the files of its layers came from elsewhere: the store skips blobs.
fn make_hollow(daemon: &Daemon, image: &str, name: &str) {
    let image = Image::open(&saved(daemon, image)).unwrap();
    let config = image.config.to_string().into_bytes();
    let describe = |kind: &str, bytes: &[u8]| {
        let media_type = format!("application/vnd.oci.image.{kind}.v1+json");
        json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
    };
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": format!("sha256:{}", "0".repeat(64)),
        "size": 1,
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe("config", &config),
        "layers": [layer],
    });
    let manifest = manifest.to_string().into_bytes();
    let index = json!({"schemaVersion": 2, "manifests": [describe("manifest", &manifest)]});
    let path = daemon.dir().join("hollow.tar");
    let mut archive = tar::Builder::new(fs::File::create(&path).unwrap());
    let id = digest(&manifest);
    for (name, bytes) in [
        (
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion": "1.0.0"}"#.to_vec(),
        ),
        ("index.json".to_owned(), index.to_string().into_bytes()),
        (format!("blobs/{}", id.replace(':', "/")), manifest),
        (
            format!("blobs/{}", digest(&config).replace(':', "/")),
            config,
        ),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, bytes.as_slice())
            .unwrap();
    }
    archive.into_inner().unwrap();
    daemon
        .output(&["load", "-i", &path.display().to_string()])
        .unwrap();
    daemon.output(&["tag", &id, name]).unwrap();
}

#[test]
fn layers_without_data_come_from_elsewhere_or_are_named() {
    let (_work, daemon, build) = set_up(Daemon::start_with_containerd);
    build.create(&APP).unwrap();
    make_hollow(&daemon, RUN_IMAGE, "samples/hollow");
    let args = ["-run-image", "samples/hollow", "samples/new"];
    build.begin().unwrap();
    let outcome = build.phase("creator", &args).unwrap();
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    let layer = &daemon.inspect(RUN_IMAGE).unwrap()["RootFS"]["Layers"][0];
    let layer = layer.as_str().unwrap();
    let cause = format!(
        "the docker daemon at {} has no data of layer {layer}",
        daemon.host()
    );
    has(&outcome.text, &[&cause]);
    assert_eq!(daemon.id("samples/new").unwrap(), "");

    build.change_app("other").unwrap();
    build
        .create(&[&["-previous-image", "samples/app"], &args[..]].concat())
        .unwrap();
    Image::open(&saved(&daemon, "samples/new"))
        .unwrap()
        .verify()
        .unwrap();
    assert_eq!(daemon.run("samples/new", &[]).unwrap(), "otherkept");
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

#[test]
fn phases_build_what_creator_builds() {
    for start in [Daemon::start_with_containerd, Daemon::start_podman] {
        let (_work, daemon, build) = set_up(start);
        phases::check(&daemon, &build);
    }
}

#[test]
fn an_image_that_the_daemon_changed_gets_no_name() {
    let (work, daemon, build) = set_up(Daemon::start_with_containerd);
    build.create(&APP).unwrap();
    let old = daemon.id("samples/app").unwrap();
    let count = || {
        daemon
            .output(&["image", "ls", "--all", "--quiet"])
            .unwrap()
            .lines()
            .count()
    };
    let images = count();

    let liar = work.path().join("liar.sock");
    let listener = UnixListener::bind(&liar).unwrap();
    let socket = daemon.socket();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let _ = forward(client, &socket);
        }
    });
    build.change_app("other").unwrap();
    let host = format!("unix://{}", liar.display());
    let build = Build::new(&work.path().join("build"), &host).unwrap();
    build.change_app("other").unwrap();
    let outcome = build.phase("creator", &APP).unwrap();
    assert_eq!(outcome.code, Some(62), "{}", outcome.text);
    let cause = format!(
        "compare the loaded image with what was sent: the docker daemon at {host} made another image of it"
    );
    has(&outcome.text, &[&cause]);
    assert_eq!(daemon.id("samples/app").unwrap(), old);
    assert_eq!(count(), images, "the image that nobody asked for is gone");
}

/// Passes a connection on to the daemon, and changes a label's value in what comes back.
fn forward(client: UnixStream, daemon: &Path) -> io::Result<()> {
    const TRUTH: &[u8] = b"\"labelled\"";
    const LIE: &[u8] = b"\"mistaken\"";
    let daemon = UnixStream::connect(daemon)?;
    let (mut requests, mut to_daemon) = (client.try_clone()?, daemon.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut requests, &mut to_daemon);
        let _ = to_daemon.shutdown(Shutdown::Write);
    });
    let (mut answers, mut client) = (daemon, client);
    thread::spawn(move || {
        let (mut held, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while let Ok(read @ 1..) = answers.read(&mut buffer) {
            held.extend_from_slice(&buffer[..read]);
            while let Some(at) = held.windows(TRUTH.len()).position(|part| part == TRUTH) {
                held[at..at + LIE.len()].copy_from_slice(LIE);
            }
            // What may be the beginning of it waits for the rest.
            let kept = (1..TRUTH.len())
                .rev()
                .find(|length| held.ends_with(&TRUTH[..*length]));
            let ready = held.len() - kept.unwrap_or(0);
            if client.write_all(&held[..ready]).is_err() {
                break;
            }
            held.drain(..ready);
        }
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}
