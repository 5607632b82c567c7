//! What the peer sends, on a terminal and elsewhere.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    process::{Command, Stdio},
};

use super::support::*;

const WILD: &[u8] = "\x1b]0;title\x07\x1b[31mred\u{9b}\r\n\tend é\n".as_bytes();
const VISIBLE: &str = "^[]0;title^G^[[31mredM-BM-^[^M\r\n\tend é\r\n";

/// Runs `connect ARGS` on a terminal that script(1) makes, and returns what stands there.
fn on_a_terminal(addr: SocketAddr, args: &str, locale: &str) -> Option<Vec<u8>> {
    let line = format!("{} connect {addr} {args} < /dev/null", env!("CARGO_BIN_EXE_tcpecho"));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("LC_ALL", locale);
    let Ok(mut child) = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() else {
        eprintln!("SKIP: no script(1) here");
        return None;
    };
    let mut text = Vec::new();
    child.stdout.take()?.read_to_end(&mut text).unwrap();
    child.wait().unwrap();
    Some(text)
}

fn sends(text: &'static [u8]) -> SocketAddr {
    let at = families().next().unwrap();
    peer(at, move |mut stream| stream.write_all(text).map(|()| stream)).0
}

fn has(screen: &[u8], text: &[u8]) -> bool {
    screen.windows(text.len()).any(|window| window == text)
}

#[test]
fn control_characters_of_the_peer_are_visible_on_a_terminal() {
    let Some(screen) = on_a_terminal(sends(WILD), "--no-check -q", "C.UTF-8") else { return };
    let shown = String::from_utf8_lossy(&screen);
    assert!(has(&screen, VISIBLE.as_bytes()), "{shown:?}");
    assert!(!has(&screen, b"\x1b]0") && !has(&screen, b"\x1b[31m"), "{shown:?}");
    // A terminal that does not show UTF-8.
    let screen = on_a_terminal(sends(WILD), "--no-check -q", "C").unwrap();
    assert!(has(&screen, b"end M-CM-)"), "{:?}", String::from_utf8_lossy(&screen));
    // A character that is not complete.
    let screen = on_a_terminal(sends(b"x\xe6\x97"), "--no-check -q", "C.UTF-8").unwrap();
    assert!(has(&screen, b"xM-fM-^W"), "{:?}", String::from_utf8_lossy(&screen));
}

#[test]
fn raw_bytes_reach_a_terminal_on_request_and_a_pipe_always() {
    let ended = Client::to(sends(WILD), &["--no-check"]).finishes();
    assert_eq!(ended.with(0).stdout, WILD);
    let Some(screen) = on_a_terminal(sends(WILD), "--no-check -q --raw", "C.UTF-8") else { return };
    assert!(has(&screen, b"\x1b]0;title\x07\x1b[31mred"), "{:?}", String::from_utf8_lossy(&screen));
}

#[test]
fn the_bytes_are_compared_and_counted_as_they_came() {
    let at = families().next().unwrap();
    let (addr, server) = peer(at, echo);
    let line = format!("printf 'a\\033[2Jb' | {} connect {addr} -v", env!("CARGO_BIN_EXE_tcpecho"));
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    let Ok(output) = command.output() else {
        eprintln!("SKIP: no script(1) here");
        return;
    };
    server.join().unwrap();
    let screen = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{screen:?}");
    // The data, and the message on a line of its own.
    assert!(
        screen.contains("a^[[2Jb\r\ntcpecho: finished: 6 bytes sent, 6 received in "),
        "{screen:?}"
    );
    assert!(screen.contains("/s"), "{screen:?}");
}

#[test]
fn data_and_diagnostics_do_not_share_a_line_of_a_terminal() {
    for (args, next) in [
        ("--no-check -v", "tcpecho: finished"),
        ("--no-check --calls", " ms  "),
        ("--no-check --json", "{\"ending\":\"finished\""),
    ] {
        let Some(screen) = on_a_terminal(sends(b"no newline"), args, "C.UTF-8") else { return };
        let screen = String::from_utf8(screen).unwrap();
        let (_, after) = screen.split_once("no newline").unwrap_or_else(|| panic!("{screen:?}"));
        let line = after.strip_prefix("\r\n").unwrap_or_else(|| panic!("{screen:?}"));
        assert!(line.lines().next().unwrap().contains(next), "{screen:?}");
    }
}

#[test]
fn the_evidence_of_an_attempt_is_told_once() {
    let (_held, addr) = deserted(families().next().unwrap());
    let report = Client::to(addr, &["--json"]).ends().json();
    assert!(report["evidence"].is_null(), "{report}");
    assert!(report["attempts"][0]["evidence"].is_object(), "{report}");
}
