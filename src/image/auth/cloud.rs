//! Credential helper programs of cloud registries, used when they are installed.

use super::{Credentials, Sources, helper};

/// Asks the program that goes with the registry's host, if there is one.
pub(super) fn lookup(registry: &str, sources: &Sources) -> Option<(Credentials, String)> {
    let name = program(registry, sources)?;
    helper::find(name, &sources.path)?;
    match helper::get(name, registry, &sources.path) {
        Ok(credentials) => credentials.map(|found| (found, format!("docker-credential-{name}"))),
        Err(error) => Some((
            Credentials::Anonymous,
            format!("no credentials found ({error})"),
        )),
    }
}

fn program(registry: &str, sources: &Sources) -> Option<&'static str> {
    let host = registry.split(':').next().unwrap_or(registry);
    let within = |domains: &[&str]| {
        domains.iter().any(|domain| {
            host == *domain
                || host
                    .strip_suffix(domain)
                    .is_some_and(|rest| rest.ends_with('.'))
        })
    };
    let amazon = within(&["public.ecr.aws", "ecr-public.aws.com"])
        || (host.contains(".dkr.ecr") && within(&["amazonaws.com", "amazonaws.com.cn"]))
        || (host.contains(".dkr-ecr") && within(&["on.aws"]));
    let azure = within(&["azurecr.io", "azurecr.cn", "azurecr.de", "azurecr.us"]);
    match () {
        () if amazon && !sources.skip_amazon => Some("ecr-login"),
        () if azure && !sources.skip_azure => Some("acr-env"),
        () if within(&["gcr.io", "pkg.dev"]) => Some("gcr"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_go_with_their_program() {
        let (all, none) = (
            Sources::default(),
            Sources {
                skip_amazon: true,
                skip_azure: true,
                ..Sources::default()
            },
        );
        for (registry, expected, skipped) in [
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                Some("ecr-login"),
                None,
            ),
            ("public.ecr.aws", Some("ecr-login"), None),
            ("team.azurecr.io", Some("acr-env"), None),
            ("gcr.io", Some("gcr"), Some("gcr")),
            ("eu.gcr.io:443", Some("gcr"), Some("gcr")),
            ("europe-docker.pkg.dev", Some("gcr"), Some("gcr")),
            ("evilgcr.io", None, None),
            ("localhost:5000", None, None),
            ("dkr.ecr.amazonaws.com.evil.example", None, None),
        ] {
            assert_eq!(program(registry, &all), expected, "{registry}");
            assert_eq!(program(registry, &none), skipped, "{registry}");
        }
    }
}
