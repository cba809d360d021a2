//! The same into a Docker daemon of its own: what developers see first.

use crate::report::Cost;
use crate::{Bench, Result};
use spec_tests::docker::Daemon;
use std::fs;

const RUN_IMAGE: &str = "bench/run";
const APP: &str = "bench/app";

/// Times a first export and one that changes nothing, with a launch cache as platforms have it.
pub(crate) fn run(bench: &Bench) -> Result<Vec<(&'static str, Cost)>> {
    let (dir, launch_cache) = (bench.work.join("daemon"), bench.work.join("launch-cache"));
    fs::create_dir(&dir)?;
    fs::create_dir(&launch_cache)?;
    let daemon = Daemon::start(&dir)?;
    daemon.make_run_image(RUN_IMAGE, "bench")?;
    let host = daemon.host();
    let run_image = format!("-run-image={RUN_IMAGE}");
    let launch_cache = format!("-launch-cache={}", launch_cache.display());
    let phase = |name: &str, args: &[&str]| {
        let mut words = bench.words(name);
        words.push("-daemon".to_owned());
        words.extend(args.iter().map(|&word| word.to_owned()));
        bench.measure_with(name, &words, None, &[("DOCKER_HOST", host.as_str())])
    };
    let export = || {
        phase("analyzer", &[&run_image, &launch_cache, APP])?;
        phase("exporter", &[&launch_cache, APP])
    };
    Ok(vec![
        ("export to a daemon, first", export()?),
        ("export to a daemon, unchanged", export()?),
    ])
}
