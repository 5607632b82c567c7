//! Options in the environment, and variables that were never meant for this program.

use std::process::Command;

use crate::common::{
    server::{Ended, refused_command},
    *,
};

fn with(variables: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("serve").args(args).envs(variables.iter().copied());
    command
}

/// What Kubernetes injects next to a Service called `tcpecho` with a port named `echo`.
const SERVICE: [(&str, &str); 8] = [
    ("TCPECHO_SERVICE_HOST", "10.96.0.12"),
    ("TCPECHO_SERVICE_PORT", "9877"),
    ("TCPECHO_SERVICE_PORT_ECHO", "9877"),
    ("TCPECHO_PORT", "tcp://10.96.0.12:9877"),
    ("TCPECHO_PORT_9877_TCP", "tcp://10.96.0.12:9877"),
    ("TCPECHO_PORT_9877_TCP_PROTO", "tcp"),
    ("TCPECHO_PORT_9877_TCP_PORT", "9877"),
    ("TCPECHO_PORT_9877_TCP_ADDR", "10.96.0.12"),
];

#[test]
fn a_service_of_kubernetes_is_not_an_option() {
    for log in ["text", "json", "off"] {
        let args = ["-l", "127.0.0.1:0", "--log", log];
        let server = Serving::run(&mut with(&SERVICE, &args));
        let note = server.says("TCPECHO_PORT=tcp://10.96.0.12:9877 is ignored");
        assert!(log != "json" || serde_json::from_str::<serde_json::Value>(&note).is_ok());
        visits(server.addr());
        server.stops().with(0);
    }
    // The port is that of the book, as if nothing had been said.
    let mut command = with(&SERVICE, &["-l", "192.0.2.1"]);
    refused_command(&mut command).with(2).says("bind 192.0.2.1:9877");
    // Every variable of ours can be the name of somebody's service.
    for variable in ["TCPECHO_LISTEN", "TCPECHO_ENGINE", "TCPECHO_KEEPALIVE"] {
        let link = [(variable, "udp://10.96.0.12:9877")];
        let server = Serving::run(&mut with(&link, &["-p", "0"]));
        server.says(&format!("{variable}=udp://10.96.0.12:9877 is ignored"));
    }
}

#[test]
fn what_is_typed_goes_before_the_environment() {
    let wrong = [("TCPECHO_PORT", "tcp://10.96.0.12:9877"), ("TCPECHO_ENGINE", "warp")];
    let args = ["-l", "127.0.0.1", "-p", "0", "--engine", "epoll"];
    let server = Serving::run(&mut with(&wrong, &args));
    assert!(server.ready[0].contains(" engine=epoll "));
    assert_eq!(server.log(), [""; 0]);
}

/// The variable, and not the option, is what the user can look for.
fn refuses(variable: &str, value: &str) -> Ended {
    let ended = refused_command(&mut with(&[(variable, value)], &["-l", "127.0.0.1:0"]));
    ended.with(2).says(&format!("tcpecho: {variable}: "));
    assert!(ended.log.iter().all(|line| !line.contains("--")), "{:#?}", ended.log);
    ended
}

#[test]
fn a_bad_value_names_its_variable() {
    for (variable, value, reason) in [
        ("TCPECHO_PORT", "70000", "70000"),
        ("TCPECHO_PORT", "tcp//", "a port is a number from 0 to 65535 or a service name"),
        ("TCPECHO_ENGINE", "warp", "expected iterative, fork, thread, epoll, uring, auto, list"),
        ("TCPECHO_WORKERS", "0", "expected a whole number from 1 to 1024"),
        ("TCPECHO_BACKLOG", "-1", "\"-1\""),
        ("TCPECHO_MAX_CONNECTIONS", "0", "\"0\""),
        ("TCPECHO_IDLE_TIMEOUT", "soon", "\"soon\""),
        ("TCPECHO_DRAIN_TIMEOUT", "-1s", "\"-1s\""),
        ("TCPECHO_USER_TIMEOUT", "600h", "2147483647ms"),
        ("TCPECHO_KEEPALIVE", "10h", "32767s"),
        ("TCPECHO_LOG", "loud", "expected text, json, off"),
        ("TCPECHO_IDLE_TIMEOUT", "\x1b[31m", "\\u{1b}[31m"),
    ] {
        refuses(variable, value).says(reason);
    }
    let listen = [("TCPECHO_LISTEN", "127.0.0.1:0,127.1")];
    let ended = refused_command(&mut with(&listen, &[]));
    ended.with(2).says("tcpecho: TCPECHO_LISTEN: invalid value \"127.1\"");
}

#[test]
fn help_and_the_other_verbs_do_not_mind() {
    let bad = [("TCPECHO_PORT", "x"), ("TCPECHO_ENGINE", "tcp://10.96.0.12:9877")];
    for args in [&["serve", "--help"][..], &["--version"], &["connect", "--help"], &["lab", "list"]]
    {
        let output = Command::new(program()).args(args).envs(bad).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{args:?}");
    }
}

/// As a compose file leaves a variable that is not set outside.
#[test]
fn an_empty_variable_is_not_set() {
    let empty = [("TCPECHO_PORT", ""), ("TCPECHO_ENGINE", ""), ("TCPECHO_LISTEN", "")];
    let server = Serving::run(&mut with(&empty, &["-l", "127.0.0.1:0"]));
    assert!(server.ready[0].contains(" engine=epoll "), "{:?}", server.ready);
    visits(server.addr());
    server.stops().with(0);
}
