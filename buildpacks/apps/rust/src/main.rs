//! A web server of one page, on $PORT or 8080.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("listening on port {port}");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = answer(stream) {
                eprintln!("request failed: {error}");
            }
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?).lines();
    let first = request.next().unwrap_or_else(|| Ok(String::new()))?;
    // The rest of the request's head.
    for line in request {
        if line?.is_empty() {
            break;
        }
    }
    let (status, body) = match first.split(' ').nth(1) {
        Some("/") => ("200 OK", page()),
        _ => ("404 Not Found", "<h1>Not found</h1>\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn page() -> String {
    let directory = env::current_dir().map(|path| path.display().to_string()).unwrap_or_default();
    format!(
        "<!doctype html>\n<title>Hello</title>\n<h1>Hello from Rust</h1>\n\
         <p>Built by a buildpack, started by the launcher in {directory}.</p>\n"
    )
}
