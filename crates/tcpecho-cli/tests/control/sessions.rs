//! Sessions: listed, and reset by number, under every engine.

use std::io::{ErrorKind, Read};

use rustix::process::Signal;
use serde_json::Value;

use crate::{common::*, http::serving, schema};

fn sees_rst(mut stream: std::net::TcpStream) {
    let error = stream.read(&mut [0]).expect_err("RST");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn one_session_is_reset_and_the_others_go_on() {
    for (engine, at) in everywhere() {
        let (server, control) = serving(engine, at, &[]);
        let many = if engine == "iterative" { 1 } else { 3 };
        let mut clients: Vec<_> = (0..many).map(|_| server.connects()).collect();
        for client in &mut clients {
            echoes(client, b"hello");
        }
        let victim = clients.remove(many / 2);
        let id = control.session_of(&victim);
        let session = control.gets(&format!("/sessions/{id}"));
        assert_eq!((&session["id"], &session["fault"]), (&id.into(), &Value::Null));
        assert_eq!(session["local"], server.addr().to_string());
        let gone = control.asks("DELETE", &format!("/sessions/{id}")).with(200);
        assert_eq!(gone["peer"], session["peer"]);
        sees_rst(victim);
        let line = server.says("session ");
        assert!(line.contains(" ending=fault bytes=5 "), "{line}");
        assert!(line.ends_with(&format!(" id={id} reset=requested")), "{line}");
        control.asks("DELETE", &format!("/sessions/{id}")).with(404);
        control.asks("GET", &format!("/sessions/{id}")).with(404);
        for client in &mut clients {
            echoes(client, b"still here");
        }
        assert_eq!(control.gets("/counters")["endings"]["fault"], 1);
        server.stops().with(0);
    }
}

#[test]
fn the_json_log_names_the_session_and_who_reset_it() {
    for engine in engines() {
        let (server, control) = serving(engine, somewhere(), &["--log", "json"]);
        visits(server.addr());
        server.says("finished");
        let mut victim = server.connects();
        echoes(&mut victim, b"hello");
        assert_eq!(control.session_of(&victim), 2);
        control.puts("{\"fault\": \"reset-after=1\"}").with(200);
        control.asks("DELETE", "/faults").with(200);
        control.asks("DELETE", "/sessions/2").with(200);
        sees_rst(victim);
        server.says_times("\"session\"", 2);
        let ended = server.stops();
        schema::check_lines("serve-log.json", &ended.with(0).log.join("\n"));
        let line = |text: &str| -> Value {
            let line = ended.log.iter().find(|line| line.contains(text));
            serde_json::from_str(line.unwrap_or_else(|| panic!("{:#?}", ended.log))).unwrap()
        };
        let first = line("\"finished\"");
        assert_eq!((&first["id"], first.get("reset_requested")), (&1.into(), None));
        let second = line("\"reset_requested\"");
        assert_eq!((&second["id"], &second["reset_requested"]), (&2.into(), &true.into()));
        line("faults-cleared");
    }
}

#[test]
fn without_control_a_log_line_has_no_number() {
    let server = Serving::start("epoll", somewhere(), &[]);
    visits(server.addr());
    assert!(!server.says("session ").contains(" id="));
}

#[test]
fn a_drain_goes_on_under_control_and_ends_when_the_last_session_is_reset() {
    for engine in engines() {
        let (server, control) = serving(engine, somewhere(), &["--drain-timeout", "1h"]);
        control.puts("{\"fault\": \"echo 5; pause 1h\"}").with(200);
        let mut client = server.connects();
        echoes(&mut client, b"hello");
        let id = control.session_of(&client);
        server.gets(Signal::TERM);
        server.says("draining");
        assert_eq!(control.gets("/counters")["active"], 1);
        control.asks("DELETE", &format!("/sessions/{id}")).with(200);
        sees_rst(client);
        server.ends().with(0);
        assert!(std::net::TcpStream::connect(control.0).is_err());
    }
}

/// Neither a connection that is kept alive nor half a request holds up the end.
#[test]
fn an_open_control_connection_does_not_delay_the_end() {
    let (server, control) = serving("epoll", somewhere(), &[]);
    let idle = control.stream();
    let mut half = control.stream();
    std::io::Write::write_all(&mut half, b"GET / HTTP/1.1\r\nHo").unwrap();
    let ended = server.stops();
    // They have ten seconds to go on.
    ended.with(0).within(std::time::Duration::from_secs(8));
    drop(idle);
}
