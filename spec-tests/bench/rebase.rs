//! A new run image under a finished app: in one registry, and from another.

use super::registry::copy;
use crate::report::Cost;
use crate::scene::Scene;
use crate::{Measured, Result, measure};
use spec_tests::builder;
use spec_tests::net::registry::Registry;
use stacks::Platform;
use std::fs;
use tempfile::TempDir;

const REBASES: u32 = 10;
/// Launch layers of the app.
const LAYERS: usize = 10;

pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    let (near, far) = (Registry::open()?, Registry::open()?);
    let (new, new_far) = (
        format!("{}/new", near.address()),
        format!("{}/new", far.address()),
    );
    make_app(scene, &near)?;
    for name in [&new, &new_far] {
        make_new_run_image(name)?;
    }
    let rebase = |run_image: &str| {
        let requests = || Ok::<_, Box<dyn std::error::Error>>(near.requests()? + far.requests()?);
        measure::mean(REBASES, |_| {
            // One that has never seen the new run image.
            let repository = format!("{}/app-{}", near.address(), requests()?);
            let app = format!("docker://{}/app", near.address());
            copy(&app, &format!("docker://{repository}"))?;
            let report = format!("-report={}", scene.work.join("rebased.toml").display());
            let run_image = format!("-run-image={run_image}");
            // It is none of those in run.toml.
            let words = ["-force".to_owned(), report, run_image, repository];
            let before = requests()?;
            let cost = scene.run("rebaser", &words, None)?;
            Ok(Cost {
                requests: Some(requests()? - before),
                ..cost
            })
        })
    };
    Ok(vec![
        ("in one registry", rebase(&new)?),
        ("from another registry", rebase(&new_far)?),
    ])
}

/// Exports `app`, of small layers, onto `run`.
fn make_app(scene: &Scene, registry: &Registry) -> Result<()> {
    let run = format!("{}/run", registry.address());
    let layout = format!("oci:{}", scene.site.run_layout().display());
    copy(&layout, &format!("docker://{run}"))?;
    scene.fresh_layers()?;
    for number in 0..LAYERS {
        let name = format!("small-{number}");
        fs::create_dir(scene.layer(&name))?;
        fs::write(scene.layer(&name).join("file"), &name)?;
        scene.declare_layer(&name)?;
    }
    let app = format!("{}/app", registry.address());
    scene.phase("analyzer", &[&format!("-run-image={run}"), &app])?;
    scene.phase("exporter", &[&app]).map(drop)
}

/// The run image with another release of its operating system, and 20 MB more.
fn make_new_run_image(name: &str) -> Result<()> {
    let work = TempDir::new()?;
    let (rootfs, layout) = (work.path().join("rootfs.tar"), work.path().join("layout"));
    let mut tar = tar::Builder::new(fs::File::create(&rootfs)?);
    let mut noise = vec![0; 20_000_000];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut noise)?;
    let mut header = tar::Header::new_gnu();
    header.set_size(noise.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "usr/lib/noise", noise.as_slice())?;
    tar.finish()?;
    let definition = fs::read_to_string(builder::repository().join("stacks/tiny/image.toml"))?;
    let platform = Platform {
        rootfs: Some(&rootfs),
        ..Platform::host()
    };
    let definition = definition.replace("VERSION_ID=1", "VERSION_ID=1.1");
    stacks::make(&definition, vec![platform], &layout)?;
    copy(
        &format!("oci:{}", layout.display()),
        &format!("docker://{name}"),
    )
}
