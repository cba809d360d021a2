//! A registry as we talk to it: address and authentication, found out once; tokens, fetched once per scope.

use super::challenge::Challenge;
use super::error::{operation, refused};
use super::follow::Streams;
use super::http::{Http, Payload, Request, Response};
use super::reach::{Reached, challenge, reach, reach_manifest};
use super::{Network, guard, retry};
use crate::auth::Credentials;
use crate::oci::{Digest, Reference};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lifecycle_core::error::{Error, ErrorKind, Result};
use lifecycle_core::json::{self, Numbers};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use tokio::time::sleep;

const MAX_TOKEN: u64 = 1 << 20;
const CLIENT_ID: &str = "lifecycle";
const UPLOADS_AT_ONCE: usize = 4;

/// A connection's settings and state for one registry.
pub(super) struct Session {
    pub(super) base: Url,
    pub(super) http: Http,
    credentials: Credentials,
    source: String,
    state: Mutex<State>,
    pub(super) uploads: Uploads,
}

/// Set once a blob is there.
type Arrival = Arc<OnceCell<()>>;

/// What this process brings to a registry.
pub(super) struct Uploads {
    /// How many may be under way.
    pub(super) permits: Semaphore,
    /// By repository and blob.
    pub(super) blobs: Mutex<HashMap<(String, Digest), Arrival>>,
    /// A repository that is known to have the blob; locked while somebody brings it to one.
    pub(super) homes: Mutex<HashMap<Digest, Arc<Mutex<Option<String>>>>>,
    /// What is sent while it is being made, to any registry.
    pub(super) streams: Arc<Streams>,
}

/// A document as a registry sends it.
pub(super) struct Document {
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

struct State {
    challenge: Option<Challenge>,
    tokens: HashMap<String, HeaderValue>,
}

impl Session {
    /// Finds out how the registry of `reference` is reached (FACTS 13.1, 13.3).
    pub(super) async fn open(
        reference: &Reference,
        insecure: bool,
        network: &Network,
    ) -> Result<Self> {
        let registry = reference.registry();
        let (credentials, source) = network.keychain.credentials(registry)?;
        let http = Http::new(registry, insecure, network)?;
        let (base, challenge) = reach(&http, reference, insecure).await?;
        Ok(Self::at(
            base,
            http,
            challenge,
            credentials,
            format!("{registry}: {source}"),
            network,
        ))
    }

    /// [`Session::open`] by asking for the manifest of `reference`, and the answer where it is one. Who has credentials asks the
    /// registry first how it wants them: it may have nothing to show to others, and not say so.
    pub(super) async fn open_with_manifest(
        reference: &Reference,
        insecure: bool,
        network: &Network,
    ) -> Result<(Self, Option<Response>)> {
        let registry = reference.registry();
        let (credentials, source) = network.keychain.credentials(registry)?;
        if let Credentials::Anonymous = credentials {
            let http = Http::new(registry, insecure, network)?;
            if let Some(reached) = reach_manifest(&http, reference, insecure).await? {
                let Reached {
                    base,
                    challenge,
                    answer,
                } = reached;
                let source = format!("{registry}: {source}");
                let session = Self::at(base, http, challenge, credentials, source, network);
                return Ok((session, answer));
            }
        }
        Ok((Self::open(reference, insecure, network).await?, None))
    }

    fn at(
        base: Url,
        http: Http,
        challenge: Option<Challenge>,
        credentials: Credentials,
        source: String,
        network: &Network,
    ) -> Self {
        let state = State {
            challenge,
            tokens: HashMap::new(),
        };
        Self {
            base,
            http,
            credentials,
            source,
            state: Mutex::new(state),
            uploads: Uploads {
                permits: Semaphore::new(UPLOADS_AT_ONCE),
                blobs: Mutex::default(),
                homes: Mutex::default(),
                streams: Arc::clone(&network.streams),
            },
        }
    }

    /// An address below `/v2/`.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        self.base.join(&format!("v2/{path}")).map_err(Error::other)
    }

    /// Sends `request` with the authority of `scopes`, again on a refused token and on passing failures.
    pub(super) async fn send(&self, request: &Request, scopes: &[String]) -> Result<Response> {
        let mut refreshed = false;
        let mut attempt = 0;
        loop {
            let authorization = self.authorization(scopes).await?;
            let answer = self
                .http
                .once(&self.base, request, authorization.as_ref())
                .await;
            let last = attempt + 1 >= retry::ATTEMPTS;
            let delay = match answer {
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED && !refreshed => {
                    refreshed = true;
                    if !self.learn(&response, scopes).await? {
                        return Ok(response);
                    }
                    continue;
                }
                Ok(response) if retry::is_temporary(response.status()) && !last => {
                    self.http.delay(attempt, retry::asked(response.headers()))
                }
                Ok(response) => return Ok(response),
                Err(error) if last || error.kind() != ErrorKind::Other => return Err(error),
                Err(_) => self.http.delay(attempt, None),
            };
            sleep(delay).await;
            attempt += 1;
        }
    }

    /// [`Session::send`], and one of `expected` has to be the answer's status.
    pub(super) async fn expect(
        &self,
        request: &Request,
        scopes: &[String],
        expected: &[StatusCode],
    ) -> Result<Response> {
        let response = self.send(request, scopes).await?;
        match expected.contains(&response.status()) {
            true => Ok(response),
            false => Err(self.refusal(&request.method, response).await),
        }
    }

    /// A whole document of at most `limit` bytes; `None` if there is none. A transfer that breaks off begins anew.
    /// `answer`: the first answer, where the request has been sent already.
    pub(super) async fn document(
        &self,
        request: &Request,
        scopes: &[String],
        limit: u64,
        mut answer: Option<Response>,
    ) -> Result<Option<Document>> {
        let mut attempt = 0;
        loop {
            let response = match answer.take() {
                Some(response) => response,
                None => self.send(request, scopes).await?,
            };
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(None),
                _ => return Err(self.refusal(&request.method, response).await),
            }
            let headers = response.headers().clone();
            match self.http.body(response, limit).await {
                Ok(bytes) => return Ok(Some(Document { headers, bytes })),
                Err(error) if error.kind() == ErrorKind::Other && attempt + 1 < retry::ATTEMPTS => {
                }
                Err(error) => return Err(error),
            }
            sleep(self.http.delay(attempt, None)).await;
            attempt += 1;
        }
    }

    /// The error for an answer that nobody wanted.
    pub(super) async fn refusal(&self, method: &Method, response: Response) -> Error {
        refused(&self.http, method, response, &self.source).await
    }

    /// The header that `scopes` need, from memory where it is there.
    pub(super) async fn authorization(&self, scopes: &[String]) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        match (&state.challenge, &self.credentials) {
            (None, _) => Ok(None),
            (Some(_), Credentials::Bearer(token)) => header(format!("Bearer {token}")).map(Some),
            (Some(Challenge::Basic), Credentials::Basic { username, password }) => {
                basic(username, password).map(Some)
            }
            (Some(Challenge::Basic), _) => Ok(None),
            (Some(Challenge::Bearer { .. }), _) => {
                let key = scopes.join(" ");
                if let Some(token) = state.tokens.get(&key) {
                    return Ok(Some(token.clone()));
                }
                let challenge = state.challenge.clone();
                let token = header(format!(
                    "Bearer {}",
                    self.token(challenge.as_ref(), scopes).await?
                ))?;
                state.tokens.insert(key, token.clone());
                Ok(Some(token))
            }
        }
    }

    /// Takes up the challenge of a refused request; whether another try makes sense.
    async fn learn(&self, response: &Response, scopes: &[String]) -> Result<bool> {
        let Some(challenge) = challenge(response) else {
            return Ok(false);
        };
        let asked = match &challenge {
            Challenge::Bearer {
                scope: Some(scope), ..
            } => Some(scope.clone()),
            Challenge::Bearer { .. } => None,
            // Basic credentials that were refused once are refused again.
            Challenge::Basic => {
                let mut state = self.state.lock().await;
                let new = state.challenge.is_none();
                state.challenge = Some(challenge);
                return Ok(new);
            }
        };
        let wanted: Vec<String> = asked.into_iter().chain(scopes.iter().cloned()).collect();
        let token = header(format!(
            "Bearer {}",
            self.token(Some(&challenge), &wanted).await?
        ))?;
        let mut state = self.state.lock().await;
        state.tokens.insert(scopes.join(" "), token);
        state.challenge = Some(challenge);
        Ok(true)
    }

    /// Fetches a registry token for `scopes`.
    async fn token(&self, challenge: Option<&Challenge>, scopes: &[String]) -> Result<String> {
        let Some(Challenge::Bearer { realm, service, .. }) = challenge else {
            return Err(Error::other("no token server"));
        };
        let realm = self.base.join(realm).map_err(Error::other)?;
        guard::check(&self.base, &realm, "token server")?;
        if let Credentials::Identity(token) = &self.credentials
            && let Some(token) = self
                .exchange(&realm, service.as_deref(), scopes, token)
                .await?
        {
            return Ok(token);
        }
        let mut url = realm.clone();
        scopes.iter().for_each(|scope| {
            url.query_pairs_mut().append_pair("scope", scope);
        });
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let authorization = match &self.credentials {
            Credentials::Basic { username, password } => Some(basic(username, password)?),
            _ => None,
        };
        let request = Request::new(Method::GET, url);
        let response = self
            .patiently(&realm, &request, authorization.as_ref())
            .await?;
        match response.status() {
            StatusCode::OK => self.read_token(&realm, response).await,
            _ => Err(self.refusal(&Method::GET, response).await),
        }
    }

    /// The OAuth2 flow of identity tokens; `None` where the server does not know it (404).
    async fn exchange(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[String],
        token: &str,
    ) -> Result<Option<String>> {
        let mut form = realm.clone();
        form.set_query(None);
        let (scope, service) = (scopes.join(" "), service.unwrap_or_default());
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("service", service)
            .append_pair("scope", &scope)
            .append_pair("client_id", CLIENT_ID)
            .append_pair("refresh_token", token);
        let body = form.query().unwrap_or_default().as_bytes().to_vec();
        let request = Request::new(Method::POST, realm.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .payload(Payload::Bytes(body));
        let response = self.patiently(realm, &request, None).await?;
        match response.status() {
            StatusCode::OK => self.read_token(realm, response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refusal(&Method::POST, response).await),
        }
    }

    async fn read_token(&self, realm: &Url, response: Response) -> Result<String> {
        let body = self.http.body(response, MAX_TOKEN).await?;
        let token = || {
            let value = json::parse(std::str::from_utf8(&body).ok()?, Numbers::Exact).ok()?;
            let table = value.as_table()?;
            let token = ["token", "access_token"]
                .iter()
                .filter_map(|key| table.get(key)?.as_str())
                .find(|token| !token.is_empty());
            token.map(str::to_owned)
        };
        token().ok_or_else(|| {
            let cause = Error::other("the token server's answer has no token");
            cause.in_context(operation(&Method::GET, realm))
        })
    }

    /// A request to the token server, again on passing failures.
    async fn patiently(
        &self,
        realm: &Url,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response> {
        let mut attempt = 0;
        loop {
            let answer = self.http.once(realm, request, authorization).await;
            let last = attempt + 1 >= retry::ATTEMPTS;
            let delay = match answer {
                Ok(response) if retry::is_temporary(response.status()) && !last => {
                    self.http.delay(attempt, retry::asked(response.headers()))
                }
                Err(error) if error.kind() == ErrorKind::Other && !last => {
                    self.http.delay(attempt, None)
                }
                answer => return answer,
            };
            sleep(delay).await;
            attempt += 1;
        }
    }
}

fn basic(username: &str, password: &str) -> Result<HeaderValue> {
    header(format!(
        "Basic {}",
        STANDARD.encode(format!("{username}:{password}"))
    ))
}

fn header(value: String) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&value).map_err(|_| {
        Error::new(
            ErrorKind::Unauthorized,
            "the token has characters that no header can carry",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}
