//! The same against a registry: what production sees.

use crate::report::Cost;
use crate::{Bench, Result};
use spec_tests::net::proxy::Proxy;
use spec_tests::net::registry::Registry;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

/// The layers of which one file changes.
const PARTS: usize = 10;
const FILES: usize = 100;
const FILE_BYTES: usize = 1_000_000;

/// Times the phases against a registry of their own, and counts the requests of an unchanged export.
pub(crate) fn run(bench: &Bench) -> Result<Vec<(&'static str, Cost)>> {
    let registry = Registry::open()?;
    let place = Place::prepare(bench, registry.address())?;
    let cache = format!("-cache-dir={}", bench.site.cache.display());
    let mut rows = Vec::new();

    place.analyze()?;
    rows.push(("export to a registry, cold", place.export(&[])?));
    place.export(&[&cache])?;
    place.begin_again()?;
    rows.push(("restore, registry", place.restore(&cache)?));
    bench.declare_layer()?;
    rows.push(("re-export of what was restored", place.export(&[&cache])?));

    let proxy = Proxy::start(registry.address(), |_| None)?;
    let counted = Place::at(bench, proxy.address());
    counted.analyze()?;
    let before = proxy.seen().len();
    let mut cost = counted.export(&[])?;
    cost.requests = Some(proxy.seen().len() - before);
    rows.push(("re-export, every file read again", cost));

    fs::remove_dir_all(&bench.site.cache)?;
    fs::create_dir(&bench.site.cache)?;
    bench.fresh_layers()?;
    place.make_parts()?;
    place.analyze()?;
    place.export(&[&cache])?;
    place.begin_again()?;
    place.restore(&cache)?;
    place.declare_parts()?;
    let changed = bench.site.layers.join("bench/part-0/file-0");
    fs::write(changed, "changed\n")?;
    rows.push(("one file changed in 1 GB", place.export(&[&cache])?));
    Ok(rows)
}

/// A lifecycle's inputs and the registry that it sees.
struct Place<'a> {
    bench: &'a Bench,
    run_image: String,
    app: String,
}

impl<'a> Place<'a> {
    fn at(bench: &'a Bench, registry: SocketAddr) -> Self {
        Self {
            bench,
            run_image: format!("{registry}/run"),
            app: format!("{registry}/app"),
        }
    }

    /// With the run image in the registry, and the big layer.
    fn prepare(bench: &'a Bench, registry: SocketAddr) -> Result<Self> {
        let place = Self::at(bench, registry);
        let status = Command::new("skopeo")
            .args(["copy", "--quiet", "--dest-tls-verify=false"])
            .arg(format!("oci:{}", bench.site.run_layout().display()))
            .arg(format!("docker://{}", place.run_image))
            .status()?;
        match status.success() {
            true => Ok(place),
            false => Err(format!("skopeo: {status}").into()),
        }
    }

    fn analyze(&self) -> Result<Cost> {
        let run_image = format!("-run-image={}", self.run_image);
        self.bench
            .registry_phase("analyzer", &[&run_image, &self.app])
    }

    fn restore(&self, cache: &str) -> Result<Cost> {
        self.bench.registry_phase("restorer", &[cache])
    }

    fn export(&self, args: &[&str]) -> Result<Cost> {
        let words: Vec<&str> = args.iter().copied().chain([self.app.as_str()]).collect();
        self.bench.registry_phase("exporter", &words)
    }

    /// What a platform does before the next build.
    fn begin_again(&self) -> Result<()> {
        self.bench.fresh_layers()?;
        self.analyze().map(drop)
    }

    fn make_parts(&self) -> Result<()> {
        // Numbers in words: compresses like code does.
        let mut state = 1_u64;
        let mut text = String::with_capacity(FILE_BYTES + 40);
        for part in 0..PARTS {
            let dir = self.bench.site.layers.join(format!("bench/part-{part}"));
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
        self.declare_parts()
    }

    fn declare_parts(&self) -> Result<()> {
        for part in 0..PARTS {
            let path = self
                .bench
                .site
                .layers
                .join(format!("bench/part-{part}.toml"));
            fs::write(path, "[types]\nlaunch = true\ncache = true\n")?;
        }
        Ok(())
    }
}
