//! Export to an OCI layout and a volume cache, and restoration: free of any network.

use crate::image::Exported;
use crate::report::Cost;
use crate::scene::Scene;
use crate::{Measured, Result};

pub(crate) fn rows(scene: &Scene) -> Result<Measured> {
    let cache = scene.cache_flag();
    let mut rows = Measured::new();

    scene.layout_phase("analyzer", &[])?;
    rows.push(("export, cold", export(scene, &[])?));
    scene.layout_phase("analyzer", &[])?;
    rows.push(("export, unchanged", export(scene, &[])?));
    rows.push((
        "export, unchanged, to a new cache",
        export(scene, &[&cache])?,
    ));
    scene.fresh_layers()?;
    scene.layout_phase("analyzer", &[])?;
    rows.push(("restore", scene.layout_phase("restorer", &[&cache])?));
    scene.declare_layer("files")?;
    rows.push(("export of what was restored", export(scene, &[&cache])?));
    Ok(rows)
}

fn export(scene: &Scene, args: &[&str]) -> Result<Cost> {
    let cost = scene.layout_phase("exporter", args)?;
    let exported = Exported::in_layout(&scene.app_layout())?;
    Ok(Cost {
        exported: Some(exported),
        ..cost
    })
}
