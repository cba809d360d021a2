//! How a registry is reached, and what it wants: asked once.

use super::challenge::Challenge;
use super::error::{operation, refused};
use super::http::{Http, Request, Response};
use super::retry;
use crate::oci::Reference;
use lifecycle_core::error::{Error, ErrorKind, Result, ResultExt};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Method, StatusCode, Url};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long HTTPS has before HTTP is tried beside it, where both are allowed.
const HTTPS_AHEAD: Duration = Duration::from_millis(300);

/// The address of the registry of `reference`, and its challenge if it has one (FACTS 13.1, 13.3).
///
/// # Errors
/// It does not answer like a registry, neither with TLS nor, where that is allowed, without.
pub(super) async fn reach(
    http: &Http,
    reference: &Reference,
    insecure: bool,
) -> Result<(Url, Option<Challenge>)> {
    let registry = reference.registry();
    let base = |scheme: &str| Url::parse(&format!("{scheme}://{registry}/")).map_err(Error::other);
    let mut pings = JoinSet::new();
    pings.spawn(ping(http.clone(), base("https")?));
    let mut answer = None;
    if insecure || reference.allows_http() {
        answer = timeout(HTTPS_AHEAD, pings.join_next()).await.ok().flatten();
        if !matches!(answer, Some(Ok(Ok(_)))) {
            pings.spawn(ping(http.clone(), base("http")?));
        }
    }
    let mut failures: Vec<Error> = Vec::new();
    loop {
        let next = match answer.take() {
            Some(answer) => Some(answer),
            None => pings.join_next().await,
        };
        match next {
            Some(Ok(Ok(found))) => return Ok(found),
            Some(Ok(Err(error))) => failures.push(error),
            Some(Err(error)) => failures.push(Error::other(error)),
            None => return Err(unreachable(&failures, registry)),
        }
    }
}

/// Asks the registry at `base` whether it is one, and what it wants.
async fn ping(http: Http, base: Url) -> Result<(Url, Option<Challenge>)> {
    let url = base.join("v2/").map_err(Error::other)?;
    let request = Request::new(Method::GET, url);
    let mut attempt = 0;
    loop {
        let answer = http.once(&base, &request, None).await;
        let delay = match answer {
            Ok(response) if response.status() == StatusCode::OK => return Ok((base, None)),
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                let unknown =
                    || Error::other("the registry asks for an unknown kind of authentication");
                let challenge = challenge(&response).ok_or_else(unknown);
                return Ok((
                    base,
                    Some(challenge.context(|| operation(&Method::GET, &request.url))?),
                ));
            }
            Ok(response)
                if retry::is_temporary(response.status()) && attempt + 1 < retry::ATTEMPTS =>
            {
                http.delay(attempt, retry::asked(response.headers()))
            }
            Ok(response) => {
                return Err(refused(&http, &Method::GET, response, "no credentials tried").await);
            }
            Err(error) => return Err(error),
        };
        sleep(delay).await;
        attempt += 1;
    }
}

/// Neither way led to the registry; the cause may be in either.
fn unreachable(failures: &[Error], registry: &str) -> Error {
    let kind = failures.first().map_or(ErrorKind::Other, Error::kind);
    let causes: Vec<_> = failures.iter().map(Error::to_string).collect();
    Error::new(kind, causes.join("; ")).in_context(format!("reach registry {registry}"))
}

/// The challenge of a refused request.
pub(super) fn challenge(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    Challenge::first(headers.iter().filter_map(|value| value.to_str().ok()))
}
