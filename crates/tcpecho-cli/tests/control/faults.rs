//! Faults: listed, set and cleared while the server runs; and what a refused request leaves alone.

use std::io::{ErrorKind, Read};

use serde_json::{Value, json};

use crate::{common::*, http::serving};

#[test]
fn faults_are_set_and_cleared_for_the_connections_to_come() {
    for (engine, at) in everywhere() {
        let (server, control) = serving(engine, at, &["--seed", "7", "--fault", "99:reset"]);
        let start = control.gets("/faults");
        assert_eq!((&start["fault"], &start["seed"]), (&"99:reset".into(), &7.into()));
        visits(server.addr());
        let set = control.puts("{\"fault\": \"echo 2; reset\", \"when\": \"2-3\"}").with(200);
        let rules = json!([{"when": "2-3", "script": "echo 2; reset"}]);
        assert_eq!((&set["fault"], &set["rules"]), (&"2-3:echo 2; reset".into(), &rules));
        server.says("fault=\"2-3:echo 2; reset\" seed=7");
        // Numbers count from the request on.
        visits(server.addr());
        let mut stream = server.connects();
        std::io::Write::write_all(&mut stream, b"abc").unwrap();
        sees(&mut stream, b"ab");
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let cleared = control.asks("DELETE", "/faults").with(200);
        assert_eq!((&cleared["fault"], &cleared["rules"]), (&Value::Null, &json!([])));
        server.says("fault=none");
        visits(server.addr());
        assert_eq!(control.gets("/counters")["faults"], 1);
        server.stops().with(0);
    }
}

#[test]
fn a_refused_request_changes_nothing() {
    let (server, control) = serving("epoll", somewhere(), &["--fault", "9:reset", "--seed", "1"]);
    let mut client = server.connects();
    echoes(&mut client, b"hello");
    let before = control.gets("/faults");
    let host = format!("Host: {}\r\n", control.0);
    let json = format!("{host}Content-Type: application/json\r\n");
    let long = format!("{{\"fault\": \"{}\"}}", "x".repeat(300 << 10));
    let valid = "{\"fault\": \"reset\"}";
    let table: &[(&str, &str, &str, &str, u16)] = &[
        ("PUT", "/faults", &json, "", 400),
        ("PUT", "/faults", &json, "{", 400),
        ("PUT", "/faults", &json, "null", 400),
        ("PUT", "/faults", &json, "[\"reset\"]x", 400),
        ("PUT", "/faults", &json, "[]", 400),
        ("PUT", "/faults", &json, "{}", 400),
        ("PUT", "/faults", &json, "{\"fault\": 1}", 400),
        ("PUT", "/faults", &json, "{\"fault\": null}", 400),
        ("PUT", "/faults", &json, "{\"fault\": \"reset\", \"when\": null}", 400),
        ("PUT", "/faults", &json, "{\"fault\": \"reset\", \"fault\": \"close\"}", 400),
        ("PUT", "/faults", &json, "{\"fault\": \"reset\", \"wen\": \"2\"}", 400),
        ("PUT", "/faults", &json, "{\"fault\": \"reset\"} {}", 400),
        ("PUT", "/faults", &json, "{\"fault\": \"\\ud800\"}", 400),
        ("PUT", "/faults", &json, "{\"fault\": \"\"}", 422),
        ("PUT", "/faults", &json, "{\"fault\": \"list\"}", 422),
        ("PUT", "/faults", &json, "{\"fault\": \"echo 5; pasue 1s\"}", 422),
        ("PUT", "/faults", &json, "{\"fault\": \"reset\", \"when\": \"every=x\"}", 422),
        ("PUT", "/faults", &json, "{\"fault\": \"1:reset\", \"when\": \"2\"}", 422),
        ("PUT", "/faults", &json, "{\"fault\": \"refuse\"}", 422),
        ("PUT", "/faults", &json, &long, 413),
        ("PUT", "/faults", &host, valid, 415),
        ("PUT", "/faults", &format!("{host}Content-Type: text/plain\r\n"), valid, 415),
        ("PUT", "/faults", &format!("{json}Content-Type: application/json\r\n"), valid, 415),
        ("POST", "/faults", &json, valid, 405),
        ("PATCH", "/faults", &json, valid, 405),
        ("OPTIONS", "/faults", &host, "", 405),
        ("DELETE", "/counters", &host, "", 405),
        ("DELETE", "/sessions", &host, "", 405),
        ("POST", "/sessions/1", &host, "", 405),
        ("DELETE", "/sessions/", &host, "", 404),
        ("DELETE", "/sessions/2", &host, "", 404),
        ("DELETE", "/sessions/-1", &host, "", 404),
        ("DELETE", "/sessions/1/", &host, "", 404),
        ("DELETE", "/sessions/1%20", &host, "", 404),
        ("DELETE", "/sessions/18446744073709551616", &host, "", 404),
        ("DELETE", "/sessions/all", &host, "", 404),
        ("DELETE", "/", &host, "", 404),
        ("PUT", "/Faults", &json, valid, 404),
        ("DELETE", "/faults", "", "", 400),
        ("DELETE", "/faults", &format!("{host}{host}"), "", 400),
        ("DELETE", "/faults", &format!("{host}X: {}\r\n", "y".repeat(20_000)), "", 431),
    ];
    for (method, path, headers, body, status) in table {
        let answer = control.asks_with(method, path, headers, body);
        let head = answer.head.clone();
        let error = answer.with(*status);
        assert_eq!(*status == 405, head.contains("\r\nallow: "), "{head}");
        println!("{status} {method} {path}: {}", error["error"]);
    }
    let column = control.puts("{\"fault\": \"echo 5; pasue 1s\"}").with(422);
    assert!(column["error"].as_str().unwrap().contains("column 9: expected a step"), "{column}");
    let array = control.puts("[]").with(400)["error"].to_string();
    assert!(!array.contains("struct") && array.contains("expected an object"), "{array}");
    for text in ["hello\r\n\r\n", "PUT /faults\r\n\r\n", "\u{16}\u{3}\u{1}\r\n\r\n"] {
        control.sends(text.as_bytes()).with(400);
    }
    assert_eq!(control.gets("/faults"), before);
    echoes(&mut client, b"still here");
    let log = server.stops();
    assert_eq!(log.with(0).log.iter().filter(|line| line.contains(" fault=")).count(), 1);
}

#[test]
fn a_listener_that_accepts_nothing_takes_no_fault_and_the_others_do() {
    for fault in ["never-accept", "backlog-full", "refuse"] {
        let (server, control) = serving("epoll", somewhere(), &["--fault", fault]);
        assert_eq!(control.gets("/faults")["listener_fault"], fault);
        let error = control.puts("{\"fault\": \"reset\"}").with(409);
        assert!(error["error"].as_str().unwrap().contains(fault), "{error}");
        assert_eq!(control.gets("/faults")["fault"], Value::Null);
        server.stops().with(0);
    }
    let (server, control) = serving("epoll", somewhere(), &["--fault", "accept-delay=1ms"]);
    control.puts("{\"fault\": \"send \\\"!\\\"; close\"}").with(200);
    sees(&mut server.connects(), b"!");
    assert_eq!(control.gets("/faults")["listener_fault"], "accept-delay=1ms");
}

#[test]
fn the_presets_are_those_of_the_list() {
    let (_server, control) = serving("epoll", somewhere(), &[]);
    let presets = control.gets("/presets");
    let names: Vec<_> = presets["presets"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    let wanted: Vec<_> = tcpecho::PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(names, wanted);
    for preset in presets["presets"].as_array().unwrap() {
        let body = json!({ "fault": preset["example"] }).to_string();
        let status = if preset["listener"] == true { 422 } else { 200 };
        control.puts(&body).with(status);
    }
}
