//! A Dockerfile whose `RUN` makes one file, on a run image of many: what looking for changes costs. Needs root and 3 GB.

use crate::report::Cost;
use crate::scene::Scene;
use crate::{Measured, Result, measure};
use serde_json::json;
use spec_tests::layout::write_documents;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const DIRECTORIES: usize = 1000;
/// In each directory.
const FILES: usize = 500;
const DOCKERFILE: &str = "FROM base\nRUN echo x > /one\nUSER 1234\n";
const GROUP: &str = "[[group]]\nid = \"bp\"\nversion = \"1\"\napi = \"0.10\"\n\
    [[group-extensions]]\nid = \"bench\"\nversion = \"1\"\napi = \"0.10\"\n";
/// A mount namespace makes a container of the root directory.
const ENTER: &str =
    "mount --rbind /proc \"$0/proc\" && exec chroot \"$0\" /cnb/lifecycle/extender -kind run";

pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    Ok(vec![("one-file RUN, 500,000 files", extend(scene)?)])
}

fn extend(scene: &Scene) -> Result<Cost> {
    let root = scene.work.join("root");
    for number in 0..DIRECTORIES {
        let directory = root.join(format!("data/{}/{number}", number / 50));
        fs::create_dir_all(&directory)?;
        for file in 0..FILES {
            fs::write(directory.join(file.to_string()), [b'x'; 1000])?;
        }
    }
    for name in [
        "bin",
        "cnb/lifecycle",
        "proc",
        "tmp",
        "workspace",
        "layers/generated/bench",
    ] {
        fs::create_dir_all(root.join(name))?;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut busybox = env::split_paths(&path).map(|dir| dir.join("busybox"));
    let busybox = busybox
        .find(|path| path.is_file())
        .ok_or("busybox is missing")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    symlink("busybox", root.join("bin/sh"))?;
    let extender = scene.subject.directory().join("extender");
    fs::copy(extender, root.join("cnb/lifecycle/extender"))?;
    write_inputs(&root)?;
    let mut command = measure::command(Path::new("unshare"))?;
    command.args(["--mount", "sh", "-c", ENTER]).arg(&root);
    command
        .env("container", "bench")
        .env("CNB_PLATFORM_API", "0.13");
    measure::run(command)
}

/// What restorer and detector leave.
fn write_inputs(root: &Path) -> Result<()> {
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "1".repeat(64))]},
        "config": {"User": "0", "Env": ["PATH=/bin"]},
    });
    let digest = write_documents(&root.join("kaniko/cache/base"), &config)?;
    let layers = root.join("layers");
    let analyzed = format!(
        "[run-image]\nreference = \"bench/run@{digest}\"\nimage = \"bench/run\"\nextend = true\n"
    );
    fs::write(layers.join("analyzed.toml"), analyzed)?;
    fs::write(layers.join("group.toml"), GROUP)?;
    fs::write(layers.join("generated/bench/run.Dockerfile"), DOCKERFILE)?;
    Ok(())
}
