//! Run images that move to a mirror between analysis and restoration (PLAT-RESTORE-010).

use crate::build::{Build, succeeded, tagged};
use spec_tests::net::registry::Registry;
use spec_tests::subject::Outcome;
use std::fs;

/// Nobody listens there.
const GONE: &str = "127.0.0.1:1/run";

#[test]
fn restorer_pins_the_mirror_that_is_there() {
    let registry = Registry::open().unwrap();
    let build = Build::with_run_image_in(registry.address());
    let place = registry.address().to_string();
    let group = build.site.layers.join("group.toml");
    fs::write(
        &group,
        "[[group]]\nid = \"test/scripted\"\nversion = \"1\"\napi = \"0.12\"\n",
    )
    .unwrap();
    let run_toml = build.work.path().join("mirrors.toml");
    let digest = tagged(&registry, "run").unwrap();
    let pinned = format!("{place}/run@{digest}");
    for (api, mirrors, code, reference, image) in [
        ("0.14", vec!["none", "run"], Some(0), pinned.as_str(), "run"),
        ("0.14", vec!["none"], Some(1), GONE, GONE),
        // Before, nobody looks at it once more.
        ("0.13", vec!["run"], Some(0), GONE, GONE),
    ] {
        let names: Vec<_> = mirrors
            .iter()
            .map(|name| format!("\"{place}/{name}\""))
            .collect();
        let names = names.join(", ");
        let listed = format!("[[images]]\nimage = \"{GONE}\"\nmirrors = [{names}]\n");
        fs::write(&run_toml, listed).unwrap();
        let analyzed = format!(
            "[run-image]\nreference = \"{GONE}\"\nimage = \"{GONE}\"\n[run-image.target]\n\
             os = \"linux\"\narch = \"amd64\"\n"
        );
        let path = build.site.layers.join("analyzed.toml");
        fs::write(&path, analyzed).unwrap();
        let mut command = build.command("restorer");
        command.env("CNB_PLATFORM_API", api);
        if api == "0.14" {
            command.arg("-run").arg(&run_toml);
        }
        let outcome = Outcome::of(&mut command).unwrap();
        assert_eq!(outcome.code, code, "{}", outcome.text);
        let analyzed: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        let found = |key: &str| analyzed["run-image"][key].as_str().unwrap().to_owned();
        let image = match image {
            GONE => GONE.to_owned(),
            name => format!("{place}/{name}"),
        };
        assert_eq!([found("reference"), found("image")], [reference, &image]);
        match code {
            Some(0) => succeeded(&outcome),
            _ => assert!(
                outcome.text.contains("is not accessible"),
                "{}",
                outcome.text
            ),
        }
    }
}
