//! Control on a Unix socket: its mode, the socket that a killed server leaves, and its end.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use crate::{
    common::{server::refused, *},
    http::gets_at,
};

fn path(name: &str) -> PathBuf {
    // A socket's path is short.
    std::env::temp_dir().join(format!("tcpecho-{}-{name}", std::process::id()))
}

fn serving(place: &str) -> Serving {
    let mut server = Serving::start("epoll", somewhere(), &["--control", place]);
    assert_eq!(server.line().trim(), format!("control on {place}"));
    server
}

#[test]
fn a_unix_socket_is_for_its_user_and_goes_with_the_server() {
    let path = path("mode");
    let place = format!("unix:{}", path.display());
    let server = serving(&place);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    gets_at(&path, "/counters").with(200);
    server.stops().with(0);
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_killed_server_is_replaced_and_that_of_a_living_one_is_not() {
    let path = path("stale");
    let place = format!("unix:{}", path.display());
    serving(&place).dies();
    assert!(path.exists());
    let server = serving(&place);
    refused(&["-l", "127.0.0.1:0", "--control", &place])
        .with(2)
        .says("another program listens on it");
    gets_at(&path, "/faults").with(200);
    // Somebody replaces the socket: it is not ours any more.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    server.stops().with(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let ended = refused(&["-l", "127.0.0.1:0", "--control", &place]);
    ended.with(2).says("a file that is not a socket");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    fs::remove_file(path).unwrap();
}

/// A server that cannot start leaves no socket.
#[test]
fn a_failed_start_removes_the_socket() {
    let path = path("failed");
    let place = format!("unix:{}", path.display());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    refused(&["-l", &taken, "--control", &place]).with(2).says("EADDRINUSE");
    assert!(!path.exists());
}
