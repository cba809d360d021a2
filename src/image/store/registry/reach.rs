//! How a registry is reached, and what it wants: asked once.

use super::challenge::Challenge;
use super::error::{operation, refused};
use super::http::{Http, Request, Response};
use super::pull::manifest_request;
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
    race(reference, insecure, |base| ping(http.clone(), base)).await
}

/// A registry that was reached by asking for what is wanted from it.
pub(super) struct Reached {
    pub(super) base: Url,
    pub(super) challenge: Option<Challenge>,
    /// The answer, unless it was the challenge.
    pub(super) answer: Option<Response>,
}

/// [`reach`] with a request that is of use: for the manifest of `reference`. `None` where the answer is not one that
/// only a registry gives, so that it remains to be asked whether it is one.
///
/// # Errors
/// Nothing answers, neither with TLS nor, where that is allowed, without.
pub(super) async fn reach_manifest(
    http: &Http,
    reference: &Reference,
    insecure: bool,
) -> Result<Option<Reached>> {
    let ask = |base: Url| {
        let http = http.clone();
        let request = manifest_request(&base, reference, Method::GET);
        async move {
            let answer = http.once(&base, &request?, None).await?;
            Ok((base, answer))
        }
    };
    let (base, answer) = race(reference, insecure, ask).await?;
    let challenge = challenge(&answer);
    Ok(match answer.status() {
        StatusCode::OK => Some(Reached {
            base,
            challenge: None,
            answer: Some(answer),
        }),
        StatusCode::UNAUTHORIZED if challenge.is_some() => Some(Reached {
            base,
            challenge,
            answer: None,
        }),
        _ => None,
    })
}

/// Asks at the addresses that the registry of `reference` may have: by HTTPS, and by HTTP a little later where that is
/// allowed; whoever answers first is it.
async fn race<T, F>(reference: &Reference, insecure: bool, ask: impl Fn(Url) -> F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let registry = reference.registry();
    let base = |scheme: &str| Url::parse(&format!("{scheme}://{registry}/")).map_err(Error::other);
    let mut asked = JoinSet::new();
    asked.spawn(ask(base("https")?));
    let mut answer = None;
    if insecure || reference.allows_http() {
        answer = timeout(HTTPS_AHEAD, asked.join_next()).await.ok().flatten();
        if !matches!(answer, Some(Ok(Ok(_)))) {
            asked.spawn(ask(base("http")?));
        }
    }
    let mut failures: Vec<Error> = Vec::new();
    loop {
        let next = match answer.take() {
            Some(answer) => Some(answer),
            None => asked.join_next().await,
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
