//! reqwest against servers that fail. docs/clients.md says what this found.
//!
//! Scripts speak a bit of HTTP: they expect the beginning of a request and send a response. A response that is sent before
//! the request would be an error of its own.

mod common;

use std::{error::Error, io, time::Duration};

use common::serve;
use reqwest::{StatusCode, blocking::Client};
use tcpecho::{Ending, Server};

/// No test waits for this long.
const LONG: Duration = Duration::from_secs(60);
/// Ends what would never end.
const SHORT: Duration = Duration::from_millis(300);

const OK: &str = r#"send "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello""#;

/// Does not ask the environment for a proxy.
fn client(timeout: Duration) -> Client {
    Client::builder().no_proxy().timeout(timeout).build().unwrap()
}

fn url(server: &Server, path: &str) -> String {
    format!("http://{}{path}", server.addr())
}

fn get(client: &Client, server: &Server, path: &str) -> reqwest::Result<String> {
    client.get(url(server, path)).send()?.text()
}

/// The error of the system call, however deep it lies.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[test]
fn refusal_and_reset_name_their_cause() {
    let refused = serve("refuse");
    let error = get(&client(LONG), &refused, "/").unwrap_err();
    assert!(error.is_connect());
    assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionRefused));
    let resets = serve(r#"expect "GET"; reset"#);
    let error = get(&client(LONG), &resets, "/").unwrap_err();
    assert!(error.is_request() && !error.is_connect());
    assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset));
    // It does not try again.
    assert_eq!(resets.sessions().unwrap().len(), 1);
}

#[test]
fn an_answer_that_is_cut_off_is_an_error_if_its_length_is_known() {
    for head in [
        "Content-Length: 10\\r\\n\\r\\nhello",
        "Transfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n",
    ] {
        let server =
            serve(&format!(r#"expect "GET"; send "HTTP/1.1 200 OK\r\n{head}"; fin; wait-fin"#));
        let response = client(LONG).get(url(&server, "/")).send().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let error = response.text().unwrap_err();
        assert!(error.is_decode() && !error.is_timeout(), "{error:?}");
    }
}

/// HTTP allows a body that ends with the connection, so the client cannot know.
#[test]
fn without_a_length_half_an_answer_is_taken_for_the_whole() {
    let server = serve(r#"expect "GET"; send "HTTP/1.1 200 OK\r\n\r\nhel"; fin; wait-fin"#);
    assert_eq!(get(&client(LONG), &server, "/").unwrap(), "hel");
    // RST is not a proper end.
    let server = serve(r#"expect "GET"; send "HTTP/1.1 200 OK\r\n\r\nhel"; reset"#);
    let error = get(&client(LONG), &server, "/").unwrap_err();
    assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset));
}

#[test]
fn the_timeout_covers_the_whole_exchange() {
    let faults = [
        "never-accept",
        "backlog-full",
        "stop-reading",
        r#"expect "GET"; send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"; stop-reading"#,
        // Every byte comes in time, the last one after 2 seconds.
        r#"expect "GET"; send "HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"; chunk 1 every 50ms;
           send "0123456789012345678901234567890123456789"; wait-fin"#,
    ];
    for fault in faults {
        let server = serve(&fault.replace('\n', ""));
        let error = get(&client(SHORT), &server, "/").unwrap_err();
        assert!(error.is_timeout(), "{fault}: {error:?}");
        // Not even where no connection was established.
        assert!(!error.is_connect(), "{fault}: {error:?}");
    }
    let server = serve("backlog-full");
    let client = Client::builder().no_proxy().timeout(LONG).connect_timeout(SHORT).build().unwrap();
    let error = get(&client, &server, "/").unwrap_err();
    assert!(error.is_timeout() && error.is_connect(), "{error:?}");
}

/// The error is of decoding, also if it is a timeout or RST.
#[test]
fn every_failure_in_the_body_is_one_of_decoding() {
    let head = r#"expect "GET"; send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello""#;
    for end in ["stop-reading", "reset", "fin; wait-fin"] {
        let server = serve(&format!("{head}; {end}"));
        let limit = if end == "stop-reading" { Duration::from_secs(2) } else { LONG };
        let error = get(&client(limit), &server, "/").unwrap_err();
        assert!(error.is_decode() && !error.is_body(), "{end}: {error:?}");
        assert_eq!(error.is_timeout(), end == "stop-reading", "{end}: {error:?}");
    }
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced() {
    let server =
        serve(&format!(r#"1:discard 55; {OK}; fin; wait-fin,2:discard 55; {OK}; wait-fin"#));
    let client = client(LONG);
    assert_eq!(get(&client, &server, "/1").unwrap(), "hello");
    // The session ends when the client has seen FIN and closed.
    let [first] = server.sessions().unwrap().try_into().unwrap();
    assert!(first.peer_closed(), "{first}");
    assert_eq!(get(&client, &server, "/2").unwrap(), "hello");
    assert_eq!(server.stats().accepted, 2);
}

/// A server may close a kept connection just when the next request arrives. GET could be sent again (RFC 9110 9.2.2).
#[test]
fn a_request_that_is_reset_on_a_kept_connection_is_not_sent_again() {
    let server = serve(&format!(r#"1:discard 55; {OK}; expect "GET /2"; reset"#));
    let client = client(LONG);
    assert_eq!(get(&client, &server, "/1").unwrap(), "hello");
    let error = get(&client, &server, "/2").unwrap_err();
    assert_eq!(io_kind(&error), Some(io::ErrorKind::ConnectionReset));
    let [only] = server.sessions().unwrap().try_into().unwrap();
    assert_eq!((only.received, only.ending), (61, Ending::Fault), "{only}");
}

#[test]
fn an_answer_ends_an_upload() {
    let refusal = r#"send "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n""#;
    let server = serve(&format!(r#"expect "POST"; {refusal}; stop-reading"#));
    let upload = client(LONG).post(url(&server, "/")).body(vec![0; 64 << 20]);
    assert_eq!(upload.send().unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn what_is_not_http_is_refused() {
    for fault in ["banner=\"220 ready\\r\\n\"", "echo all"] {
        let error = get(&client(LONG), &serve(fault), "/").unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{fault}: {error:?}");
    }
    // A second response that nobody asked for is not taken for that of the next request.
    let server = serve(&format!(
        r#"1:discard 55; {OK}; send "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nBAD"; wait-fin,2:discard 55; {OK}; wait-fin"#
    ));
    let client = client(LONG);
    assert_eq!(get(&client, &server, "/1").unwrap(), "hello");
    assert_eq!(get(&client, &server, "/2").unwrap(), "hello");
}
