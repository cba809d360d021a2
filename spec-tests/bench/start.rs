//! What starting processes takes.

use crate::report::Cost;
use crate::scene::Scene;
use crate::{Measured, Result, measure};
use std::fs;
use std::os::unix::fs::chown;

/// The user that detects: buildpacks don't run as root.
const USER: u32 = 1000;
const LAUNCHES: u32 = 200;

/// Detection with a hundred buildpacks, and a launch.
pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    Ok(vec![
        ("detect, 100 buildpacks", detect(scene)?),
        ("launch, mean of 200", launch(scene)?),
    ])
}

fn detect(scene: &Scene) -> Result<Cost> {
    let out = scene.work.join("detected");
    fs::create_dir(&out)?;
    let user = (scene.uid == 0).then_some(USER);
    chown(&out, user, user)?;
    let words = [
        format!("-app={}", scene.site.app.display()),
        format!("-buildpacks={}", scene.site.builder.buildpacks.display()),
        format!("-order={}", scene.site.builder.order.display()),
        format!("-layers={}", out.display()),
    ];
    scene.run("detector", &words, user)
}

/// The mean of many launches of a program that does nothing.
fn launch(scene: &Scene) -> Result<Cost> {
    let words = ["--".to_owned(), "/bin/true".to_owned()];
    measure::mean(LAUNCHES, |_| scene.run("launcher", &words, None))
}
