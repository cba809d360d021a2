//! A token server (docs of docker-registry: "Token Authentication"): GET with Basic, and OAuth2's POST with an identity token.

use super::certificates::Authority;
use super::http::{self, Head};
use super::registry::{PASSWORD, USER};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// The identity token that the server exchanges.
pub const IDENTITY: &str = "identity";

/// A running token server. It answers until the process ends.
pub struct TokenServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// Starts a server whose tokens `authority` signs. Everybody may pull; who pushes has to say who he is.
    ///
    /// # Errors
    /// There is no port.
    pub fn start(authority: Arc<Authority>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away has what it wanted.
                let _ = serve(stream, &authority, &log);
            }
        });
        Ok(Self { address, seen })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The scopes of every token so far, with the method before them: `GET repository:a:pull`.
    pub fn issued(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(stream: TcpStream, authority: &Authority, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Some(head) = http::read_head(&mut stream)? else {
        return Ok(());
    };
    let body = http::read_body(&head, &mut stream)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let query = match head.method.as_str() {
        "POST" => body.as_str(),
        _ => head.target.split_once('?').map_or("", |(_, query)| query),
    };
    let fields: Vec<(String, String)> = query.split('&').filter_map(field).collect();
    let values = |name: &str| -> Vec<&str> {
        let matching = fields.iter().filter(|(key, _)| key == name);
        matching.map(|(_, value)| value.as_str()).collect()
    };
    let Some(user) = user(&head, &values("refresh_token")) else {
        return http::answer(&head, stream.get_mut(), 401, &[], b"{}");
    };
    let scopes = values("scope").join(" ");
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(format!("{} {scopes}", head.method));
    let token = token(authority, user, &scopes)?;
    let key = if head.method == "POST" {
        "access_token"
    } else {
        "token"
    };
    let body = json!({ key: token }).to_string();
    http::answer(&head, stream.get_mut(), 200, &[], body.as_bytes())
}

/// Who asks: `Some("")` is nobody in particular, `None` somebody with wrong credentials.
fn user(head: &Head, refresh: &[&str]) -> Option<&'static str> {
    let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    match (head.header("authorization"), refresh) {
        (Some(given), _) => (given == expected).then_some(USER),
        (None, [given]) => (*given == IDENTITY).then_some(USER),
        (None, _) => Some(""),
    }
}

/// A JSON Web Token for the scopes that the user may have.
fn token(authority: &Authority, user: &str, scopes: &str) -> io::Result<String> {
    let pem = fs::read_to_string(authority.certificate())?;
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let access: Vec<Value> = scopes
        .split(' ')
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let allowed = |action: &&str| *action == "pull" || !user.is_empty();
            let actions: Vec<&str> = actions.split(',').filter(allowed).collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let claims = json!({
        "iss": "test", "sub": user, "aud": "test", "jti": "1", "access": access,
        "iat": now - 10, "nbf": now - 10, "exp": now + 300,
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(authority.sign(&signed)?);
    Ok(format!("{signed}.{signature}"))
}

/// A field of a query or a form.
fn field(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let (mut bytes, mut rest) = (Vec::new(), value.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some((name.to_owned(), String::from_utf8(bytes).ok()?))
}
