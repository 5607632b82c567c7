//! A terminal with a shell in it, for tests that type.
#![allow(dead_code, reason = "every test program uses its own part of it")]

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tcpecho_os::signal::{Disposition, dispose};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PROMPT: &str = "sh-says$ ";
pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_D: &str = "\x04";
pub(crate) const CTRL_Z: &str = "\x1a";

/// A terminal with a shell: script(1) makes it and copies bytes in both directions.
pub(crate) struct Terminal {
    pub(crate) script: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    unread: String,
}

impl Terminal {
    /// Prints SKIP and returns nothing without script(1) or without a lab.
    pub(crate) fn new() -> Option<Self> {
        let doctor = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(["lab", "doctor"]).output();
        if doctor.unwrap().status.code() == Some(77) {
            println!("SKIP: no hosts can be made here");
            return None;
        }
        // As at a terminal, whatever this test was started from: what is ignored stays so.
        for signal in [Signal::INT, Signal::QUIT, Signal::HUP, Signal::TSTP] {
            dispose(signal.as_raw(), Disposition::Default).unwrap();
        }
        let started = Command::new("script")
            .args(["-qec", "sh -i", "/dev/null"])
            .env("PS1", PROMPT)
            .env_remove("ENV")
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut script) = started else {
            println!("SKIP: no script(1)");
            return None;
        };
        let (keyboard, mut output) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
        let (tell, screen) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if tell.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Terminal { script, keyboard, screen, unread: String::new() };
        terminal.sees(PROMPT);
        Some(terminal)
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for this text after what was seen before, and returns what came before it.
    pub(crate) fn sees(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.find(text) {
                let before = self.unread[..at].to_string();
                self.unread.drain(..at + text.len());
                return before;
            }
            let left = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.screen.recv_timeout(left) else {
                panic!("missing {text:?} in:\n{}", self.unread);
            };
            self.unread.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// What a command of the shell prints.
    pub(crate) fn runs(&mut self, command: &str) -> String {
        self.types(&format!("{command}\n"));
        let shown = self.sees(PROMPT);
        // The terminal shows what was typed.
        shown.split_once('\n').unwrap_or_default().1.trim().to_string()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
