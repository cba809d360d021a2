//! As much of HTTP/1.1 as test servers need: one request per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a client sent before the body.
#[derive(Clone, Debug)]
pub struct Head {
    /// `GET`.
    pub method: String,
    /// Path and query, or a whole address when the client takes the server for a proxy.
    pub target: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The length that the client announced.
    pub fn length(&self) -> u64 {
        let length = self.header("content-length");
        length
            .and_then(|value| value.parse().ok())
            .unwrap_or_default()
    }

    /// The head as it goes on to the real server, which shall close the connection when it has answered.
    pub(crate) fn forwarded(&self) -> String {
        let target = match self.target.strip_prefix("http://") {
            Some(address) => address.find('/').map_or("/", |at| &address[at..]),
            None => &self.target,
        };
        let mut text = format!("{} {target} HTTP/1.1\r\nConnection: close\r\n", self.method);
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("connection") {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text + "\r\n"
    }
}

/// Reads the head of the next request; `None` where the client has gone.
pub(crate) fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Head>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    Ok(Some(Head {
        method,
        target,
        headers: read_headers(stream)?,
    }))
}

/// Reads header lines up to the empty one.
pub(crate) fn read_headers(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(headers);
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

/// Takes a request's body off the connection, so that the answer isn't lost to a reset.
pub(crate) fn read_body(head: &Head, stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let limit = Some(Duration::from_secs(5));
    stream.get_ref().set_read_timeout(limit)?;
    let mut body = Vec::new();
    if head.header("transfer-encoding") != Some("chunked") {
        stream.take(head.length()).read_to_end(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        stream.take(size).read_to_end(&mut body)?;
        stream.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Writes a whole answer.
pub(crate) fn answer(
    head: &Head,
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let announced = headers.iter().any(|(name, _)| {
        let announces = ["content-length", "transfer-encoding"];
        announces
            .iter()
            .any(|header| name.eq_ignore_ascii_case(header))
    });
    if !announced {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    stream.write_all((text + "\r\n").as_bytes())?;
    if head.method != "HEAD" {
        stream.write_all(body)?;
    }
    stream.flush()
}
