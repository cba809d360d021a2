//! What went wrong with a request: method, address, the registry's own words, credentials tried, what to do.

use super::http::{Http, Response};
use lifecycle_core::error::{Error, ErrorKind};
use lifecycle_core::json::{self, Numbers};
use lifecycle_core::value::Value;
use reqwest::{Method, StatusCode, Url};
use std::error::Error as _;

const MAX_ERROR_BODY: u64 = 64 << 10;
const MAX_WORDS: usize = 500;

/// `METHOD URL` for messages. A query stays out: signed addresses carry secrets in it.
pub(super) fn operation(method: &Method, url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    let _ = (shown.set_username(""), shown.set_password(None));
    format!("{method} {shown}")
}

/// A request that was answered with a status that nobody wanted.
pub(super) async fn refused(
    http: &Http,
    method: &Method,
    response: Response,
    source: &str,
) -> Error {
    let status = response.status();
    let operation = operation(method, response.url());
    let body = http
        .body(response, MAX_ERROR_BODY)
        .await
        .unwrap_or_default();
    let words = match words(&body) {
        Some(words) => format!("{words} (status code {})", status.as_u16()),
        None => format!("unexpected status code {status}"),
    };
    let (kind, hint) = match status {
        StatusCode::UNAUTHORIZED => {
            let advice = "log in there, or name credentials in CNB_REGISTRY_AUTH";
            (ErrorKind::Unauthorized, format!(" ({source}; {advice})"))
        }
        StatusCode::FORBIDDEN => (
            ErrorKind::Unauthorized,
            format!(" ({source}; access has to be granted)"),
        ),
        StatusCode::NOT_FOUND => (ErrorKind::NotFound, String::new()),
        _ => (ErrorKind::Other, String::new()),
    };
    Error::new(kind, format!("{words}{hint}")).in_context(operation)
}

/// `CODE: message` of every error in a registry's JSON.
fn words(body: &[u8]) -> Option<String> {
    let value = json::parse(std::str::from_utf8(body).ok()?, Numbers::Exact).ok()?;
    let errors = value.as_table()?.get("errors")?.as_array()?;
    let word = |error: &Value| {
        let text = |key| error.as_table()?.get(key)?.as_str();
        let (code, message) = (
            text("code").unwrap_or_default(),
            text("message").unwrap_or_default(),
        );
        (!code.is_empty()).then(|| match message {
            "" => code.to_owned(),
            message => format!("{code}: {message}"),
        })
    };
    let words: Vec<_> = errors.iter().filter_map(word).collect();
    // A registry must not write escape sequences or pages of text into the log.
    let printable = |char: char| if char.is_control() { ' ' } else { char };
    (!words.is_empty()).then(|| {
        words
            .join("; ")
            .chars()
            .map(printable)
            .take(MAX_WORDS)
            .collect()
    })
}

/// A request that got no answer.
pub(super) fn unanswered(method: &Method, url: &Url, error: &reqwest::Error) -> Error {
    let mut cause = &error as &dyn std::error::Error;
    let mut deepest = error.source();
    while let Some(inner) = deepest {
        cause = inner;
        deepest = inner.source();
    }
    Error::other(cause.to_string().to_lowercase()).in_context(operation(method, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_s_own_words() {
        let check = |body: &str, expected: Option<&str>| {
            assert_eq!(words(body.as_bytes()).as_deref(), expected, "{body}");
        };
        check(
            r#"{"errors":[{"code":"DENIED","message":"no"},{"code":"X"}]}"#,
            Some("DENIED: no; X"),
        );
        check(
            r#"{"errors":[{"code":"DENIED","message":"a\u001b[1m"}]}"#,
            Some("DENIED: a [1m"),
        );
        check(r#"{"errors":[]}"#, None);
        check("<html>", None);
    }

    #[test]
    fn addresses_show_no_secrets() {
        let url = Url::parse("https://user:pw@host/path?X-Signature=secret").unwrap();
        assert_eq!(operation(&Method::GET, &url), "GET https://host/path");
    }
}
