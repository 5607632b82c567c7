//! redis-rs against servers that fail. docs/clients.md says what this found.
//!
//! Scripts speak a bit of RESP: they answer the two commands of the handshake (CLIENT SETINFO), and then GET.

mod common;

use std::time::{Duration, Instant};

use common::serve;
use redis::{Client, Connection, ConnectionLike, ErrorKind, RedisResult};
use tcpecho::{Ending, Server};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

const HELLO: &str = r#"send "+OK\r\n+OK\r\n""#;

/// The second limit is for each read and each write; both have none by default.
fn connect(server: &Server, limit: Duration) -> RedisResult<Connection> {
    let client = Client::open(format!("redis://{}/", server.addr()))?;
    let connection = client.get_connection_with_timeout(limit)?;
    connection.set_read_timeout(Some(limit))?;
    connection.set_write_timeout(Some(limit))?;
    Ok(connection)
}

fn get(connection: &mut Connection, key: &str) -> RedisResult<String> {
    redis::cmd("GET").arg(key).query(connection)
}

#[test]
fn failures_to_connect_name_their_cause() {
    let error = |fault: &str, limit| connect(&serve(fault), limit).err().unwrap();
    assert!(error("refuse", LONG).is_connection_refusal());
    assert!(error("half-close", LONG).is_connection_dropped());
    assert!(error("reset-on-accept", LONG).is_connection_dropped());
    // The limit covers the handshake of RESP, too.
    for fault in ["backlog-full", "never-accept", "zero-window"] {
        assert!(error(fault, SHORT).is_timeout(), "{fault}");
    }
}

#[test]
fn half_an_answer_closes_the_connection() {
    let server = serve(&format!(r#"{HELLO}; send "$10\r\nhello"; fin; wait-fin"#));
    let mut connection = connect(&server, LONG).unwrap();
    assert!(get(&mut connection, "one").unwrap_err().is_connection_dropped());
    assert!(!connection.is_open());
    // It does not connect again by itself.
    assert!(get(&mut connection, "two").unwrap_err().is_connection_dropped());
    drop(connection);
    assert_eq!(server.sessions().unwrap().len(), 1);
}

/// The answer of the command that timed out comes later, and is skipped.
#[test]
fn a_late_answer_is_not_taken_for_the_next_one() {
    let server = serve(&format!(
        r#"{HELLO}; expect "*"; pause 1s; send "$3\r\none\r\n$3\r\ntwo\r\n"; wait-fin"#
    ));
    let mut connection = connect(&server, LONG).unwrap();
    connection.set_read_timeout(Some(SHORT)).unwrap();
    let error = get(&mut connection, "one").unwrap_err();
    assert!(error.is_timeout() && connection.is_open(), "{error}");
    // What a user would read.
    assert!(error.to_string().starts_with("Resource temporarily unavailable"), "{error}");
    connection.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(get(&mut connection, "two").unwrap(), "two");
}

#[test]
fn an_answer_that_nobody_asked_for_is_taken_for_the_next_one() {
    let server =
        serve(&format!(r#"{HELLO}; send "$3\r\none\r\n$3\r\nBAD\r\n$3\r\ntwo\r\n"; wait-fin"#));
    let mut connection = connect(&server, LONG).unwrap();
    assert_eq!(get(&mut connection, "one").unwrap(), "one");
    assert_eq!(get(&mut connection, "two").unwrap(), "BAD");
    assert_eq!(get(&mut connection, "three").unwrap(), "two");
}

/// The limit is for each read(2).
#[test]
fn a_slow_answer_passes_the_limit() {
    let server =
        serve(&format!(r#"{HELLO}; chunk 1 every 150ms; send "$10\r\n0123456789\r\n"; wait-fin"#));
    let limit = Duration::from_secs(1);
    let mut connection = connect(&server, limit).unwrap();
    let start = Instant::now();
    assert_eq!(get(&mut connection, "one").unwrap(), "0123456789");
    assert!(start.elapsed() > 2 * limit, "{:?}", start.elapsed());
}

/// What does not parse stays where it is, and the connection counts as open.
#[test]
fn what_is_not_resp_is_refused() {
    let server = serve(&format!(r#"{HELLO}; send "220 ready\r\n"; wait-fin"#));
    let mut connection = connect(&server, LONG).unwrap();
    for key in ["one", "two"] {
        assert_eq!(get(&mut connection, key).unwrap_err().kind(), PARSE_ERROR);
        assert!(connection.is_open());
    }
    drop(connection);
    let [session] = server.sessions().unwrap().try_into().unwrap();
    assert_eq!((session.ending, session.peer_closed()), (Ending::Fault, true), "{session}");
}

const PARSE_ERROR: ErrorKind = ErrorKind::ParseError;

#[test]
fn a_reset_shows_with_the_next_command_only() {
    // The handshake has 111 bytes, so this is in the middle of the request.
    let server = serve(&format!(r#"{HELLO}; discard 115; reset"#));
    let mut connection = connect(&server, LONG).unwrap();
    assert!(get(&mut connection, "one").unwrap_err().is_connection_dropped());
    assert!(connection.is_open());
    assert!(get(&mut connection, "two").unwrap_err().is_connection_dropped());
    assert!(!connection.is_open());
}
