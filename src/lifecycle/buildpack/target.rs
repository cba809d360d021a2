use crate::log::Log;
use lifecycle_core::data::target::{Distro, Target, host_architecture};
use lifecycle_core::env::Env;
use lifecycle_core::error::ErrorKind;
use lifecycle_core::file::{self, DOCUMENT_LIMIT};
use std::path::Path;

/// Where the build environment says what distribution it is.
pub const OS_RELEASE: &str = "/etc/os-release";

/// What is known about the run image, completed from the build environment where its labels name no distribution
/// (FACTS 6.3; PLAT-FMT-ANALYZED-009). `os_release` is [`OS_RELEASE`].
#[must_use]
pub fn complete_target(target: Target, os_release: &Path, log: &Log) -> Target {
    if target.distro.is_some() {
        return target;
    }
    log.info("target distro name/version labels not found, reading /etc/os-release file");
    let distro = match file::read(os_release, DOCUMENT_LIMIT) {
        Ok(text) => parse_os_release(&text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            log.warn(format_args!(
                "Encountered error trying to read /etc/os-release file: {error}"
            ));
            None
        }
    };
    let or = |text: String, default: &str| {
        if text.is_empty() {
            default.to_owned()
        } else {
            text
        }
    };
    Target {
        os: or(target.os, "linux"),
        arch: or(target.arch, host_architecture()),
        distro,
        ..target
    }
}

/// Sets the `CNB_TARGET_*` variables (FACTS 6.4; BP-TARGETENV-001 to 003).
pub fn add_target(env: &mut Env, target: &Target) {
    env.set("CNB_TARGET_OS", &target.os);
    env.set("CNB_TARGET_ARCH", &target.arch);
    let distro = target.distro.as_ref();
    let optional = [
        ("CNB_TARGET_ARCH_VARIANT", target.arch_variant.as_deref()),
        (
            "CNB_TARGET_DISTRO_NAME",
            distro.map(|distro| distro.name.as_str()),
        ),
        (
            "CNB_TARGET_DISTRO_VERSION",
            distro.map(|distro| distro.version.as_str()),
        ),
    ];
    for (name, value) in optional {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            env.set(name, value);
        }
    }
}

/// `ID` and `VERSION_ID`, read as the reference does: lines with more than one `=` do not count, quotes are cut off.
fn parse_os_release(text: &str) -> Option<Distro> {
    let mut distro = Distro::default();
    for line in text.split('\n') {
        if !distro.name.is_empty() && !distro.version.is_empty() {
            break;
        }
        match line.split_once('=') {
            Some((_, value)) if value.contains('=') => {}
            Some(("ID", value)) => distro.name = unquote(value),
            Some(("VERSION_ID", value)) => distro.version = unquote(value),
            _ => {}
        }
    }
    (distro != Distro::default()).then_some(distro)
}

fn unquote(value: &str) -> String {
    value.trim_matches(['"', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Level;

    fn check(os_release: &str, expected: Option<(&str, &str)>) {
        let expected = expected.map(|(name, version)| Distro {
            name: name.into(),
            version: version.into(),
        });
        assert_eq!(parse_os_release(os_release), expected, "{os_release:?}");
    }

    #[test]
    fn os_release_is_read_as_the_reference_does() {
        check(
            "ID=ubuntu\nVERSION_ID=\"22.04\"\n",
            Some(("ubuntu", "22.04")),
        );
        check("VERSION_ID=3\nID=a\nID=b\n", Some(("a", "3")));
        check("ID='single'", Some(("'single'", "")));
        check("ID=a=b\nVERSION_ID= 7 ", Some(("", "7")));
        check("ID=\"\"\nID\nNAME=x", None);
        check("", None);
    }

    #[test]
    fn known_distributions_are_kept_and_unknown_files_ignored() {
        let log = Log::to(std::io::sink(), Level::Debug, false);
        let known = Target {
            distro: Some(Distro::default()),
            ..Target::default()
        };
        let nowhere = Path::new("/nonexistent/os-release");
        assert_eq!(complete_target(known.clone(), nowhere, &log), known);
        let completed = complete_target(Target::default(), nowhere, &log);
        assert_eq!((completed.os.as_str(), completed.distro), ("linux", None));
    }
}
