use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
};

use super::*;

/// Says what it was asked.
#[expect(clippy::needless_pass_by_value, reason = "a handler gets the request")]
fn mirror(request: Request) -> Response {
    match request.path.as_str() {
        "/panic" => panic!("asked to"),
        "/long" => return Response::new(200, "text/plain", vec![b'x'; 64 << 20]),
        _ => {}
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let host: Vec<String> = request.headers("host").map(text).collect();
    let asked = json!({
        "method": request.method, "path": request.path, "query": request.query, "host": host,
        "authority": request.authority, "body": text(&request.body), "unix": request.local.is_none(),
    });
    Response::json(200, &asked).with("x-answered", "yes")
}

fn serving(limits: Limits) -> (HttpServer, SocketAddr) {
    serving_at("127.0.0.1:0", limits)
}

fn serving_at(at: &str, limits: Limits) -> (HttpServer, SocketAddr) {
    let listener = net::TcpListener::bind(at).unwrap();
    let addr = listener.local_addr().unwrap();
    (start_with(vec![Listener::Tcp(listener)], Arc::new(mirror), limits).unwrap(), addr)
}

/// Times that a test waits for.
fn short() -> Limits {
    let time = Duration::from_millis(200);
    Limits { time, stall: time, ..LIMITS }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// One response: its head in lower case, and its body.
fn response(stream: &mut impl Read) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&head));
        });
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn is_at_end(stream: &mut impl Read) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

/// The status and the error's sentence of the last response of a connection.
fn refused(stream: &mut TcpStream, status: u16, words: &str) {
    let (head, body) = response(stream);
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    let sentence = error["error"].as_str().unwrap();
    assert!(sentence.contains(words), "{sentence}");
    is_at_end(stream);
}

fn asked(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_request_reaches_the_handler_whole_over_each_family() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let (_server, addr) = serving_at(at, LIMITS);
        let mut stream = connect(addr);
        write!(
            stream,
            "POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nHost: i\r\nContent-Length: 5\r\n\r\nhello"
        )
        .unwrap();
        let (head, body) = response(&mut stream);
        assert!(
            head.starts_with("http/1.1 200 ok\r\n") && head.contains("x-answered: yes"),
            "{head}"
        );
        let wanted = json!({
            "method": "POST", "path": "/a%20b", "query": "c=d", "host": ["h", "i"],
            "authority": null, "body": "hello", "unix": false,
        });
        assert_eq!(asked(&body), wanted);
    }
}

#[test]
fn a_unix_socket_is_served_too() {
    let dir = std::env::temp_dir().join(format!("tcpecho-http-{}", std::process::id()));
    let listener = unix::UnixListener::bind(&dir).unwrap();
    let server = start(vec![Listener::Unix(listener)], Arc::new(mirror)).unwrap();
    let mut stream = UnixStream::connect(&dir).unwrap();
    std::fs::remove_file(&dir).unwrap();
    write!(stream, "GET http://x:8/y HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let asked = asked(&response(&mut stream).1);
    assert_eq!(
        (&asked["unix"], &asked["authority"], &asked["path"]),
        (&true.into(), &"x:8".into(), &"/y".into())
    );
    drop(server);
    is_at_end(&mut stream);
}

#[test]
fn requests_in_one_segment_are_answered_in_order_and_the_connection_stays() {
    let (_server, addr) = serving(LIMITS);
    let mut stream = connect(addr);
    for _ in 0..2 {
        let one = |n| format!("PUT /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n{n}");
        stream.write_all((1..=5).map(one).collect::<String>().as_bytes()).unwrap();
        for n in 1..=5 {
            let asked = asked(&response(&mut stream).1);
            assert_eq!(
                (&asked["path"], &asked["body"]),
                (&format!("/{n}").into(), &n.to_string().into())
            );
        }
    }
}

#[test]
fn a_client_that_half_closes_gets_its_response_and_fin() {
    let (_server, addr) = serving(LIMITS);
    let mut stream = connect(addr);
    write!(stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(response(&mut stream).0.starts_with("http/1.1 200 "));
    is_at_end(&mut stream);
}

#[test]
fn head_gets_no_body_and_the_next_request_its_answer() {
    let (_server, addr) = serving(LIMITS);
    let mut stream = connect(addr);
    write!(stream, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    write!(stream, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(asked(&response(&mut stream).1)["path"], "/next");
}

#[test]
fn a_head_that_does_not_come_is_a_timeout_and_an_idle_connection_just_ends() {
    let (_server, addr) = serving(short());
    let mut slow = connect(addr);
    write!(slow, "GET / HTTP/1.1\r\nHo").unwrap();
    refused(&mut slow, 408, "the head of the request did not come within 200ms");
    is_at_end(&mut connect(addr));
    let mut idle = connect(addr);
    write!(idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(response(&mut idle).0.starts_with("http/1.1 200 "));
    is_at_end(&mut idle);
}

#[test]
fn a_body_that_does_not_come_is_a_timeout_and_half_a_body_an_error() {
    let (_server, addr) = serving(short());
    let begin = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel";
    let mut slow = connect(addr);
    write!(slow, "{begin}").unwrap();
    refused(&mut slow, 408, "the body of the request did not come within 200ms");
    let (_server, addr) = serving(LIMITS);
    let mut half = connect(addr);
    write!(half, "{begin}").unwrap();
    half.shutdown(Shutdown::Write).unwrap();
    refused(&mut half, 400, "the body is not complete");
}

#[test]
fn a_large_body_is_refused_and_the_client_can_read_why() {
    const SIZE: usize = LIMITS.body * 32;
    let (_server, addr) = serving(Limits { linger: Duration::from_secs(60), ..LIMITS });
    for head in [format!("Content-Length: {SIZE}"), "Transfer-Encoding: chunked".into()] {
        let mut stream = connect(addr);
        write!(stream, "POST / HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n").unwrap();
        if head.contains("chunked") {
            write!(stream, "{SIZE:x}\r\n").unwrap();
        }
        // A client that sends everything before it reads, although the answer has come and the server has closed.
        stream.write_all(&vec![b'x'; LIMITS.body + 1]).unwrap();
        stream.peek(&mut [0]).unwrap();
        stream.write_all(&vec![b'x'; SIZE - LIMITS.body - 1]).unwrap();
        refused(&mut stream, 413, "the body is too large: send at most 262144 bytes");
    }
    // One that asks first is told before it sends anything.
    let mut stream = connect(addr);
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    .unwrap();
    refused(&mut stream, 413, "the body is too large");
    let body = "x".repeat(LIMITS.body);
    let mut stream = connect(addr);
    write!(stream, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    assert_eq!(asked(&response(&mut stream).1)["body"], body);
}

#[test]
fn what_is_not_a_request_is_refused_with_a_sentence() {
    let (_server, addr) = serving(LIMITS);
    let header = |n| format!("X-{n}: y\r\n");
    let many: String = (0..100).map(header).collect();
    for (text, status, words) in [
        ("hello\r\n\r\n".to_string(), 400, "send METHOD PATH HTTP/1.1"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".into(), 400, "send METHOD PATH HTTP/1.1"),
        ("\u{16}\u{3}\u{1}\0\r\n\r\n".into(), 400, "send METHOD PATH HTTP/1.1"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000)), 431, "at most 16 KiB"),
        (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000)), 431, "at most 16 KiB"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431, "64 headers"),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".into(),
            400,
            "HTTP/1.1",
        ),
    ] {
        let mut stream = connect(addr);
        stream.write_all(text.as_bytes()).unwrap();
        refused(&mut stream, status, words);
    }
}

#[test]
fn a_handler_that_panics_costs_one_answer() {
    let (_server, addr) = serving(LIMITS);
    let mut stream = connect(addr);
    for (path, status) in [("/panic", 500), ("/", 200)] {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(response(&mut stream).0.starts_with(&format!("http/1.1 {status} ")));
    }
}

#[test]
fn a_connection_beyond_the_limit_waits_for_its_turn() {
    let (_server, addr) = serving(Limits { connections: 2, ..LIMITS });
    let mut first = connect(addr);
    let mut second = connect(addr);
    for stream in [&mut first, &mut second] {
        write!(stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        response(stream);
    }
    let mut third = connect(addr);
    write!(third, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(third.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    third.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    drop(first);
    assert!(response(&mut third).0.starts_with("http/1.1 200 "));
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let (_server, addr) = serving(Limits { connections: 1, ..short() });
    let mut stream = connect(addr);
    write!(stream, "GET /long HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    // The only place is free again.
    let mut next = connect(addr);
    write!(next, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(response(&mut next).0.starts_with("http/1.1 200 "));
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(all.len() < 64 << 20, "{}", all.len());
}

#[test]
fn dropping_the_server_ends_its_connections_and_frees_the_port() {
    let (server, addr) = serving(LIMITS);
    let mut stream = connect(addr);
    write!(stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    response(&mut stream);
    drop(server);
    is_at_end(&mut stream);
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
