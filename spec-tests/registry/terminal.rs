//! What people see while layers travel: on a terminal one live line, elsewhere the lines of the contract and nothing else.

use crate::build::{Build, NOISE, succeeded, tagged};
use spec_tests::net::proxy::{Fault, Head, Proxy, first};
use spec_tests::net::registry::Registry;
use spec_tests::subject::Outcome;
use std::process::Command;

/// Back to the begin of the line, and nothing on it.
const CLEAR: &str = "\r\u{1b}[K";

/// The same command on a terminal of its own.
fn on_terminal(command: &Command) -> Command {
    let quoted = |text: &std::ffi::OsStr| {
        let text = text.to_str().unwrap().replace('\'', "'\\''");
        format!("'{text}'")
    };
    let words: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(quoted)
        .collect();
    let mut wrapped = Command::new("script");
    wrapped.args(["--quiet", "--return", "--command", &words.join(" ")]);
    wrapped.arg("/dev/null").env_clear();
    for (name, value) in command.get_envs() {
        wrapped.envs(value.map(|value| (name, value)));
    }
    wrapped
}

#[test]
fn uploads_show_on_terminals_alone() {
    let registry = Registry::open().unwrap();
    // Beside the layer for image and cache one for the cache alone, so that both uploads take their time.
    let script = format!(
        "{NOISE}; mkdir -p $1/own; head -c 2000000 /dev/urandom >$1/own/file; \
         printf '[types]\\ncache = true\\n' >$1/own.toml"
    );
    let build = Build::with_script(&script);
    let to = format!("docker://{}/run", registry.address());
    build.copy_run_image(&["--dest-tls-verify=false"], &to);
    for terminal in [true, false] {
        let wait = || Fault::Answer(503, vec![("Retry-After", "1".to_owned())], Vec::new());
        let rules = [
            first(1, "PUT", "/app/manifests/", wait()),
            first(1, "PUT", "/cache/manifests/", wait()),
        ];
        let rule = move |head: &Head| rules.iter().find_map(|rule| rule(head));
        let proxy = Proxy::start(registry.address(), rule).unwrap();
        let place = proxy.address().to_string();
        let mut command = build.creator(&place);
        command.args(["-cache-image", &format!("{place}/cache")]);
        command.arg(format!("{place}/app"));
        let outcome = match terminal {
            true => Outcome::of(&mut on_terminal(&command)),
            false => Outcome::of(&mut command),
        };
        let outcome = outcome.unwrap();
        succeeded(&outcome);
        let (image, cache) = outcome.text.split_once("*** Images").unwrap();
        // The layer for both is in the registry when the cache follows.
        for (part, live) in [(image, " MB uploaded, "), (cache, "2.0 MB uploaded, ")] {
            assert_eq!(part.contains(live), terminal, "{part:?}");
            assert_eq!(part.contains(" MB/s"), terminal, "{part:?}");
            assert_eq!(part.contains(CLEAR), terminal, "{part:?}");
        }
        // What is left when live lines are taken away ends as it does without them.
        let last = outcome.text.trim_end().lines().last().unwrap_or_default();
        assert!(!last.ends_with("MB/s"), "{last:?}");
        assert_eq!(tagged(&registry, "app"), Some(build.reported()));
    }
}
