//! `WWW-Authenticate` headers.

use std::collections::BTreeMap;

/// How a registry wants requests to be authorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password in every request.
    Basic,
    /// A token from the server at `realm`.
    Bearer {
        /// Where tokens are.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// What the refused request needs.
        scope: Option<String>,
    },
}

impl Challenge {
    /// The first challenge of a known scheme among the headers' values.
    pub(super) fn first<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        headers
            .into_iter()
            .flat_map(parse)
            .find_map(|(scheme, mut parameters)| match scheme.as_str() {
                "basic" => Some(Self::Basic),
                "bearer" => Some(Self::Bearer {
                    realm: parameters.remove("realm")?,
                    service: parameters.remove("service"),
                    scope: parameters.remove("scope").filter(|scope| !scope.is_empty()),
                }),
                _ => None,
            })
    }
}

/// Scheme and parameters of each challenge in one header; names in lower case.
fn parse(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut challenges: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',', '\t']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let behind = behind.trim_start();
        rest = match behind.strip_prefix('=') {
            Some(value) => {
                let (value, behind) = parameter(value.trim_start());
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.insert(name.to_ascii_lowercase(), value);
                }
                behind
            }
            None => {
                challenges.push((name.to_ascii_lowercase(), BTreeMap::new()));
                behind
            }
        };
        rest = rest.trim_start_matches([' ', ',', '\t']);
        if name.is_empty() && behind.len() == rest.len() {
            break;
        }
    }
    challenges
}

/// A quoted or bare value, and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let (mut value, mut escaped) = (String::new(), false);
    for (at, char) in quoted.char_indices() {
        match char {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, quoted.get(at + 1..).unwrap_or_default()),
            other => {
                escaped = false;
                value.push(other);
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(headers: &[&str], expected: Option<Challenge>) {
        assert_eq!(
            Challenge::first(headers.iter().copied()),
            expected,
            "{headers:?}"
        );
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service,
            scope,
        })
    }

    #[test]
    fn challenges() {
        check(&[], None);
        check(&["Negotiate"], None);
        check(&["Basic realm=\"x\""], Some(Challenge::Basic));
        check(&["Negotiate, basic"], Some(Challenge::Basic));
        check(
            &["Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a:pull,push\""],
            bearer("https://a/t", Some("s"), Some("repository:a:pull,push")),
        );
        check(
            &["bearer Realm=r , service=\"a\\\"b\""],
            bearer("r", Some("a\"b"), None),
        );
        check(
            &["Negotiate x", "Bearer realm=\"r\",scope=\"\""],
            bearer("r", None, None),
        );
        check(&["Bearer service=\"no realm\""], None);
        check(
            &["Bearer realm=\"unfinished"],
            bearer("unfinished", None, None),
        );
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in ".{0,60}") {
            let _ = Challenge::first([header.as_str()]);
        }
    }
}
