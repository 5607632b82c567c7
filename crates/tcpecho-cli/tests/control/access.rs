//! Who may control: nobody from another host without a token, and no page in a browser.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    common::{
        server::{refused, refused_command},
        *,
    },
    http::{Control, serving},
};

const TOKEN: &str = "correct-horse-battery";

#[test]
fn a_page_in_a_browser_is_refused_whatever_it_sends() {
    let (server, control) = serving("epoll", somewhere(), &[]);
    let mut client = server.connects();
    echoes(&mut client, b"hello");
    let id = control.session_of(&client);
    let own = format!("Host: {}\r\n", control.0);
    let rebound = format!("Host: evil.example:{}\r\n", control.0.port());
    let json = "Content-Type: application/json\r\n";
    let path = format!("/sessions/{id}");
    let body = "{\"fault\": \"reset\"}";
    for (method, path, headers, body, status) in [
        // DNS rebinding: the page's own name.
        ("GET", "/sessions", rebound.clone(), "", 403),
        ("DELETE", &*path, rebound.clone(), "", 403),
        ("PUT", "/faults", format!("{rebound}Origin: http://evil.example\r\n{json}"), body, 403),
        // CSRF: the right host, the page's origin.
        ("DELETE", &path, format!("{own}Origin: http://evil.example\r\n"), "", 403),
        ("DELETE", &path, format!("{own}Origin: null\r\n"), "", 403),
        ("PUT", "/faults", format!("{own}Origin: https://{}\r\n{json}", control.0), body, 403),
        // What a form or a simple fetch can send.
        ("POST", &path, format!("{own}Content-Type: text/plain\r\n"), body, 405),
        (
            "POST",
            "/faults",
            format!("{own}Content-Type: application/x-www-form-urlencoded\r\n"),
            body,
            405,
        ),
        (
            "OPTIONS",
            &path,
            format!(
                "{own}Origin: http://evil.example\r\nAccess-Control-Request-Method: DELETE\r\n"
            ),
            "",
            403,
        ),
    ] {
        let answer = control.asks_with(method, path, &headers, body);
        assert!(!answer.head.contains("access-control-allow"), "{}", answer.head);
        answer.with(status);
    }
    let absolute =
        format!("DELETE http://evil.example{path} HTTP/1.1\r\n{own}Connection: close\r\n\r\n");
    control.sends(absolute.as_bytes()).with(403);
    echoes(&mut client, b"still here");
    for host in ["localhost", "127.0.0.1", "[::1]:80", "LOCALHOST:1"] {
        control.asks_with("GET", "/faults", &format!("Host: {host}\r\n"), "").with(200);
    }
    let origin = format!("{own}Origin: http://{}\r\n", control.0);
    control.asks_with("DELETE", &path, &origin, "").with(200);
}

fn token_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("token-{}-{name}", std::process::id()));
    fs::write(&path, text).unwrap();
    path
}

/// Only with the token, from the file or the environment, and it stands in no argument and no message.
#[test]
fn a_token_is_needed_for_everything_where_there_is_one() {
    let file = token_file("right", &format!("{TOKEN}\n"));
    for from_file in [true, false] {
        let mut command = Command::new(program());
        command.args(["serve", "-l", "127.0.0.1:0", "--control", "0.0.0.0:0"]);
        if from_file {
            command.arg("--control-token-file").arg(&file);
        } else {
            command.env("TCPECHO_CONTROL_TOKEN", TOKEN);
        }
        let mut server = Serving::run(&mut command);
        let control = Control::of(&mut server);
        // An address to connect to, not the wildcard.
        assert!(control.0.ip().is_loopback());
        for (method, path) in [
            ("GET", "/openapi.json"),
            ("GET", "/faults"),
            ("DELETE", "/faults"),
            ("GET", "/nothing"),
            ("OPTIONS", "/faults"),
        ] {
            for wrong in
                ["", "Bearer", "Bearer ", "Bearer correct-horse-batterx", "Basic Y29ycmVjdA=="]
            {
                let headers = format!("Host: tcpecho.example\r\nAuthorization: {wrong}\r\n");
                let answer = control.asks_with(method, path, &headers, "");
                assert!(
                    answer.head.contains("\r\nwww-authenticate: bearer\r\n"),
                    "{}",
                    answer.head
                );
                answer.with(401);
            }
            control.asks(method, path).with(401);
        }
        let headers = format!("Host: tcpecho.example\r\nAuthorization: Bearer {TOKEN}\r\n");
        control.asks_with("GET", "/faults", &headers, "").with(200);
        let page = format!("{headers}Origin: http://evil.example\r\n");
        control.asks_with("DELETE", "/faults", &page, "").with(403);
        let line = fs::read(format!("/proc/{}/cmdline", server.pid().as_raw_pid())).unwrap();
        assert!(!String::from_utf8(line).unwrap().contains(TOKEN));
        let ended = server.stops();
        assert!(!ended.with(0).log.join("\n").contains(TOKEN));
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn what_cannot_be_is_refused_at_the_start_with_what_to_do() {
    let short = token_file("short", "secret\n");
    let short = short.to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, words) in [
        (&["--control", "0.0.0.0:0"][..], "needs a token: set --control-token-file"),
        (&["--control", "[::]:0"], "or take 127.0.0.1:PORT"),
        (&["--control", "192.0.2.1:1"], "needs a token"),
        (&["--control", "example.net:80"], "expected an address with a port"),
        (&["--control", "unix:"], "unix: needs the path"),
        (&["--control", "127.0.0.1:0", "--control-token-file", "/nonexistent"], "No such file"),
        (&["--control", "127.0.0.1:0", "--control-token-file", short], "16 to 1024 visible"),
        (&["--control-token-file", short], "needs --control"),
        (&["--control", &taken], "EADDRINUSE"),
        (&["--control", &taken], &format!("held by PID {}", std::process::id())),
        (&["--control", "unix:/nonexistent/socket"], "create its directory"),
        (&["--control", &format!("unix:/tmp/{}", "x".repeat(200))], "107 bytes"),
    ] {
        let ended = refused(&[&["-l", "127.0.0.1:0"], args].concat());
        ended.with(2).says(words);
        assert!(!ended.log.join("\n").contains("secret"), "{:?}", ended.log);
    }
    let mut command = Command::new(program());
    command.args(["serve", "-l", "127.0.0.1:0", "--control", "0.0.0.0:0"]);
    command.env("TCPECHO_CONTROL_TOKEN", "short").stdout(Stdio::null());
    refused_command(&mut command).with(2).says("TCPECHO_CONTROL_TOKEN: expected a token");
    // Two tokens: neither is the obvious one.
    command.args(["--control-token-file", short]);
    refused_command(&mut command).with(2).says("cannot be used with TCPECHO_CONTROL_TOKEN");
    fs::remove_file(short).unwrap();
}

#[test]
fn a_token_without_control_is_noted_and_a_wildcard_is_shown_as_an_address_to_use() {
    let token = "0123456789abcdef";
    let run = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(["serve", "-l", "127.0.0.1:0", "--until-eof"]).args(args);
        command.env("TCPECHO_CONTROL_TOKEN", token).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let [_, said] = run(&[]);
    assert!(said.contains("TCPECHO_CONTROL_TOKEN has no effect without --control"), "{said}");
    let [ready, said] = run(&["--control", "0.0.0.0:0"]);
    assert!(ready.contains("control on http://127.0.0.1:"), "{ready}");
    assert!(!said.contains("no effect"), "{said}");
}

/// Clients that use up all connections hold up the others only until their time is over.
#[test]
fn idle_clients_do_not_lock_control() {
    let (server, control) = serving("epoll", somewhere(), &[]);
    let idle: Vec<_> = (0..64).map(|_| control.stream()).collect();
    control.gets("/counters");
    drop(idle);
    visits(server.addr());
    server.stops().with(0);
}
