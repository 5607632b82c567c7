//! `tcpecho lab` at the other end of a pipe.
#![allow(dead_code, reason = "every test program uses its own part of it")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// Types this at `tcpecho lab ARGS`, and waits for its end.
pub(crate) fn typed(args: &[&str], input: &str) -> Output {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    lab.arg("lab").args(args);
    typed_at(lab, input)
}

/// Types this at whatever it is, and waits for its end.
pub(crate) fn typed_at(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// `tcpecho lab ARGS`, with nothing typed.
pub(crate) fn lab(args: &[&str]) -> Output {
    typed(args, "")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it shows, having worked; nothing, with the reason, where there can be no hosts.
pub(crate) fn shown(output: &Output) -> Option<String> {
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(77) {
        println!("SKIP {said}");
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{shown}{said}");
    Some(shown)
}
