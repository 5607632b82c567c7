//! A client for control that sends exactly what a test says.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::Value;

use crate::common::{Serving, connect};

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    /// It has this status; an error is a sentence.
    pub(crate) fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        if status >= 400 {
            let sentence = self.body["error"].as_str().unwrap_or_default();
            assert!(!sentence.is_empty() && !sentence.contains('\n'), "{:?}", self.body);
        }
        self.body
    }
}

/// Sends these bytes on a new connection and reads to its end.
pub(crate) fn raw(stream: &mut (impl Read + Write), request: &[u8]) -> Answer {
    // A server that refuses may have closed already.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let result = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{result:?} {text:?}"));
    let head = head.to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_json = head.contains("\r\ncontent-type: application/json");
    assert!(is_json, "{head}");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Answer { status, head, body }
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// Where a server is controlled.
pub(crate) struct Control(pub(crate) SocketAddr);

impl Control {
    /// Reads the line that names it.
    pub(crate) fn of(server: &mut Serving) -> Self {
        let line = server.line();
        let addr =
            line.trim().strip_prefix("control on http://").and_then(|at| at.strip_suffix('/'));
        Control(addr.unwrap_or_else(|| panic!("{line}")).parse().unwrap())
    }

    pub(crate) fn stream(&self) -> TcpStream {
        connect(self.0)
    }

    pub(crate) fn sends(&self, request: &[u8]) -> Answer {
        raw(&mut self.stream(), request)
    }

    /// With the headers of a test, which name no host.
    pub(crate) fn asks_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.sends(&request(method, path, headers, body))
    }

    pub(crate) fn asks(&self, method: &str, path: &str) -> Answer {
        self.asks_with(method, path, &format!("Host: {}\r\n", self.0), "")
    }

    pub(crate) fn gets(&self, path: &str) -> Value {
        self.asks("GET", path).with(200)
    }

    pub(crate) fn puts(&self, body: &str) -> Answer {
        let headers = format!("Host: {}\r\nContent-Type: application/json\r\n", self.0);
        self.asks_with("PUT", "/faults", &headers, body)
    }

    /// The number of the session with this client, once it is there.
    pub(crate) fn session_of(&self, client: &TcpStream) -> u64 {
        let peer = Value::from(client.local_addr().unwrap().to_string());
        loop {
            let sessions = self.gets("/sessions");
            let found = sessions["sessions"].as_array().unwrap().iter().find(|s| s["peer"] == peer);
            if let Some(session) = found {
                return session["id"].as_u64().unwrap();
            }
        }
    }
}

/// A GET on a Unix socket.
pub(crate) fn gets_at(path: &Path, what: &str) -> Answer {
    let mut stream = UnixStream::connect(path).unwrap();
    raw(&mut stream, &request("GET", what, "Host: localhost\r\n", ""))
}

/// A server with control on a free port of loopback.
pub(crate) fn serving(engine: &str, at: SocketAddr, more: &[&str]) -> (Serving, Control) {
    let more = [&["--control", "127.0.0.1:0"], more].concat();
    let mut server = Serving::start(engine, at, &more);
    let control = Control::of(&mut server);
    (server, control)
}
