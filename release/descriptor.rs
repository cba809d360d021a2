//! What a lifecycle can: lifecycle.toml, and the same as JSON in labels (FACTS 3.14).

use lifecycle_core::api::{BuildpackApi, PlatformApi};
use lifecycle_core::value::{Table, Value};
use lifecycle_core::{json, toml};

/// The version of everything here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// lifecycle.toml. `[api]`, one version per kind, is for platforms that don't know `[apis]`.
pub fn lifecycle_toml() -> String {
    let formats = [
        "application/vnd.cyclonedx+json",
        "application/spdx+json",
        "application/vnd.syft+json",
    ];
    let formats: Vec<Value> = formats.map(Value::from).into();
    let lifecycle = Table::new()
        .with("version", VERSION)
        .with("sbom-formats", formats);
    let descriptor = Table::new()
        .with("apis", apis())
        .with("api", earliest_apis())
        .with("lifecycle", lifecycle);
    toml::to_string(&descriptor)
}

/// The labels of the lifecycle image.
pub fn labels() -> [(&'static str, String); 3] {
    let metadata = Table::new()
        .with("lifecycle", Table::new().with("version", VERSION))
        .with("api", earliest_apis());
    [
        ("io.buildpacks.lifecycle.version", VERSION.to_owned()),
        (
            "io.buildpacks.lifecycle.apis",
            json::to_string(&apis().into()),
        ),
        (
            "io.buildpacks.builder.metadata",
            json::to_string(&metadata.into()),
        ),
    ]
}

/// Every supported API version. Platforms take the highest that they know too, by merging lists: they have to ascend.
fn apis() -> Table {
    let versions = |supported: Vec<Value>| {
        Table::new()
            .with("deprecated", Vec::<Value>::new())
            .with("supported", supported)
    };
    let buildpack = BuildpackApi::ALL.iter().map(|api| api.as_str().into());
    let platform = PlatformApi::ALL.iter().map(|api| api.as_str().into());
    Table::new()
        .with("buildpack", versions(buildpack.collect()))
        .with("platform", versions(platform.collect()))
}

fn earliest_apis() -> Table {
    let buildpack = BuildpackApi::ALL.first().map(|api| api.as_str());
    let platform = PlatformApi::ALL.first().map(|api| api.as_str());
    Table::new()
        .with_some("buildpack", buildpack)
        .with_some("platform", platform)
}
