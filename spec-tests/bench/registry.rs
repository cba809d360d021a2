//! Export to a registry and back: what production sees.

use crate::image::Exported;
use crate::report::Cost;
use crate::scene::Scene;
use crate::{Measured, Result};
use spec_tests::net::registry::Registry;
use std::fs;
use std::process::Command;

/// The layers of which one file changes.
const PARTS: usize = 10;
const FILES: usize = 100;
const FILE_BYTES: usize = 1_000_000;
const APP: &str = "app";

pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    let place = Place::prepare(scene)?;
    let cache = scene.cache_flag();
    let mut rows = Measured::new();

    rows.push(("analyze", place.analyze()?));
    rows.push(("export, cold", place.export(&[])?));
    place.analyze()?;
    rows.push(("export, every file read again", place.export(&[])?));
    place.export(&[&cache])?;
    scene.fresh_layers()?;
    place.analyze()?;
    rows.push(("restore", place.restore(&cache)?));
    scene.declare_layer("files")?;
    rows.push(("export of what was restored", place.export(&[&cache])?));

    scene.fresh_cache()?;
    scene.fresh_layers()?;
    make_parts(scene)?;
    place.analyze()?;
    place.export(&[&cache])?;
    scene.fresh_layers()?;
    place.analyze()?;
    place.restore(&cache)?;
    declare_parts(scene)?;
    fs::write(scene.layer("part-0").join("file-0"), "changed\n")?;
    rows.push(("export, one file changed in 1 GB", place.export(&[&cache])?));
    Ok(rows)
}

/// A lifecycle's inputs and the registry that it sees.
struct Place<'a> {
    scene: &'a Scene,
    registry: Registry,
    address: String,
}

impl<'a> Place<'a> {
    /// With the run image in the registry.
    fn prepare(scene: &'a Scene) -> Result<Self> {
        let registry = Registry::open()?;
        let address = registry.address().to_string();
        let run_image = format!("oci:{}", scene.site.run_layout().display());
        copy(&run_image, &format!("docker://{address}/run"))?;
        Ok(Self {
            scene,
            registry,
            address,
        })
    }

    fn analyze(&self) -> Result<Cost> {
        let run_image = format!("-run-image={}/run", self.address);
        self.phase("analyzer", &[&run_image, &self.app()])
    }

    fn restore(&self, cache: &str) -> Result<Cost> {
        self.phase("restorer", &[cache])
    }

    fn export(&self, args: &[&str]) -> Result<Cost> {
        let app = self.app();
        let args: Vec<&str> = args.iter().copied().chain([app.as_str()]).collect();
        let cost = self.phase("exporter", &args)?;
        Ok(Cost {
            exported: Some(Exported::in_registry(&self.address, APP)?),
            ..cost
        })
    }

    fn app(&self) -> String {
        format!("{}/{APP}", self.address)
    }

    /// Runs a phase and counts its requests.
    fn phase(&self, name: &str, args: &[&str]) -> Result<Cost> {
        let before = self.registry.requests()?;
        let cost = self.scene.phase(name, args)?;
        Ok(Cost {
            requests: Some(self.registry.requests()? - before),
            ..cost
        })
    }
}

/// Copies an image from place to place, as skopeo spells them.
pub(crate) fn copy(from: &str, to: &str) -> Result<()> {
    let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let mut command = Command::new("skopeo");
    command
        .args(["copy", "--quiet"])
        .args(plain)
        .args([from, to]);
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("skopeo: {status}").into()),
    }
}

fn make_parts(scene: &Scene) -> Result<()> {
    // Numbers in words: compresses like code does.
    let mut state = 1_u64;
    let mut text = String::with_capacity(FILE_BYTES + 40);
    for part in 0..PARTS {
        let dir = scene.layer(&format!("part-{part}"));
        fs::create_dir_all(&dir)?;
        for file in 0..FILES {
            text.clear();
            while text.len() < FILE_BYTES {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text += &format!("let value_{} = {};\n", state >> 60, state >> 40);
            }
            fs::write(dir.join(format!("file-{file}")), &text)?;
        }
    }
    declare_parts(scene)
}

fn declare_parts(scene: &Scene) -> Result<()> {
    (0..PARTS).try_for_each(|part| scene.declare_layer(&format!("part-{part}")))
}
