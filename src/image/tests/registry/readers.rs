//! What this client pushed, read by others.

use crate::images::{LARGE, image, name, save, store};
use spec_tests::net::registry::Registry;
use std::path::Path;
use std::process::Command;

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect(program);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {text}{errors}"
    );
    text
}

#[test]
fn skopeo_and_umoci_read_it() {
    let registry = Registry::open().unwrap();
    let app = name(registry.address(), "app");
    let saved = save(&store(), &image(1, LARGE), &app).unwrap();
    let source = format!("docker://{app}");
    let inspected = run("skopeo", &["inspect", "--tls-verify=false", &source]);
    assert!(inspected.contains(&saved.short_id), "{inspected}");

    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout").display().to_string();
    let target = format!("oci:{layout}:app");
    run(
        "skopeo",
        &["copy", "--src-tls-verify=false", &source, &target],
    );
    let bundle = dir.path().join("bundle").display().to_string();
    let layout = format!("{layout}:app");
    run(
        "umoci",
        &["unpack", "--rootless", "--image", &layout, &bundle],
    );
    let file = Path::new(&bundle).join("rootfs/file-1");
    assert_eq!(file.metadata().unwrap().len(), LARGE as u64);
}
