//! The same into a Docker daemon of its own: what developers see first.

use crate::scene::Scene;
use crate::{Measured, Result};
use spec_tests::docker::Daemon;
use std::fs;

const RUN_IMAGE: &str = "bench/run";
const APP: &str = "bench/app";

/// A first export and one that changes nothing, with a launch cache as platforms have it.
pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    let (dir, launch_cache) = (scene.work.join("daemon"), scene.work.join("launch-cache"));
    fs::create_dir(&dir)?;
    fs::create_dir(&launch_cache)?;
    let daemon = Daemon::start(&dir)?;
    daemon.make_run_image(RUN_IMAGE, "bench")?;
    let host = daemon.host();
    let run_image = format!("-run-image={RUN_IMAGE}");
    let launch_cache = format!("-launch-cache={}", launch_cache.display());
    let phase = |name: &str, args: &[&str]| {
        let words: Vec<&str> = ["-daemon"].iter().chain(args).copied().collect();
        scene.phase_with(name, &words, &[("DOCKER_HOST", host.as_str())])
    };
    let export = || {
        phase("analyzer", &[&run_image, &launch_cache, APP])?;
        phase("exporter", &[&launch_cache, APP])
    };
    Ok(vec![
        ("export, first", export()?),
        ("export, unchanged", export()?),
    ])
}
