//! `tcpecho lab shell` on a terminal, started from a shell with job control.

#[path = "common/process.rs"]
#[allow(dead_code, reason = "every test program uses its own part of it")]
mod process;

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tcpecho_os::signal::{Disposition, dispose};

const PATIENCE: Duration = Duration::from_secs(60);
const PROMPT: &str = "sh-says$ ";
const CTRL_D: &str = "\x04";
const CTRL_Z: &str = "\x1a";

/// A terminal with a shell: script(1) makes it and copies bytes in both directions.
struct Terminal {
    script: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    unread: String,
}

impl Terminal {
    /// Prints SKIP and returns nothing without script(1) or without a lab.
    fn new() -> Option<Self> {
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

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for this text after what was seen before, and returns what came before it.
    fn sees(&mut self, text: &str) -> String {
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
    fn runs(&mut self, command: &str) -> String {
        self.types(&format!("{command}\n"));
        let shown = self.sees(PROMPT);
        // The terminal shows what was typed.
        shown.split_once('\n').unwrap_or_default().1.trim().to_string()
    }

    fn starts_lab_shell(&mut self) {
        self.types(&format!("'{}' lab shell\n", env!("CARGO_BIN_EXE_tcpecho")));
        self.sees("lab> ");
    }

    /// The process of `lab shell`, below that of script(1) and of one or two shells; the first
    /// processes of its hosts have the same command line, and are further below.
    fn lab(&self) -> Pid {
        let mut generation = vec![Pid::from_child(&self.script)];
        loop {
            assert!(!generation.is_empty(), "lab shell does not run");
            generation = generation.into_iter().flat_map(process::children).collect();
            let is_lab = |pid: &&Pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.ends_with(b"\0lab\0shell\0")
            };
            if let Some(lab) = generation.iter().find(is_lab) {
                return *lab;
            }
        }
    }
}

impl Terminal {
    /// The shell prints the command of `fg` before it gives the terminal away: until then Ctrl-C
    /// is for the shell.
    fn waits_until_lab_is_in_foreground(&self) {
        let end = Instant::now() + PATIENCE;
        let lab = self.lab();
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{lab}/stat")).unwrap();
            // proc_pid_stat(5): state, ppid, pgrp, session, tty_nr, tpgid.
            let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            if fields[0] != "T" && fields[2] == fields[5] {
                return;
            }
            assert!(Instant::now() < end, "not continued: {stat}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

#[test]
fn ctrl_z_suspends_and_fg_draws_the_prompt_again() {
    let Some(mut terminal) = Terminal::new() else { return };
    let modes = terminal.runs("stty -g");
    terminal.starts_lab_shell();
    terminal.types("sta");
    terminal.sees("sta");
    terminal.types(CTRL_Z);
    terminal.sees("Stopped");
    terminal.sees(PROMPT);
    assert_eq!(terminal.runs("stty -g"), modes, "the terminal is as it was");
    terminal.types("fg\n");
    terminal.sees("lab> sta");
    terminal.types("tes\r");
    terminal.sees("no sockets");
    terminal.sees("lab> ");
    // Twice, and by a signal from another process.
    kill_process(terminal.lab(), Signal::TSTP).unwrap();
    terminal.sees("Stopped");
    terminal.sees(PROMPT);
    assert_eq!(terminal.runs("stty -g"), modes, "the terminal is as it was");
    terminal.types("fg\n");
    terminal.sees("lab> ");
    terminal.types(CTRL_D);
    terminal.sees(PROMPT);
    assert_eq!(terminal.runs("echo $?"), "0");
    assert_eq!(terminal.runs("stty -g"), modes);
}

/// SIGSTOP leaves no time to restore the terminal; the shell sets it up for itself.
#[test]
fn after_sigstop_the_prompt_takes_the_terminal_again() {
    let Some(mut terminal) = Terminal::new() else { return };
    terminal.starts_lab_shell();
    kill_process(terminal.lab(), Signal::STOP).unwrap();
    terminal.sees(PROMPT);
    terminal.runs("stty sane");
    terminal.types("fg\n");
    terminal.sees("lab> ");
    // Ctrl-C would end it if the terminal still turned it into a signal.
    terminal.types("x\x03states\r");
    terminal.sees("lab> x^C\r\n");
    terminal.sees("lab> states");
    terminal.sees("no sockets");
}

#[test]
fn a_signal_at_the_prompt_restores_the_terminal() {
    let Some(mut terminal) = Terminal::new() else { return };
    let modes = terminal.runs("stty -g");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        terminal.starts_lab_shell();
        kill_process(terminal.lab(), signal).unwrap();
        terminal.sees(PROMPT);
        assert_eq!(terminal.runs("echo $?"), (128 + signal.as_raw()).to_string());
        assert_eq!(terminal.runs("stty -g"), modes);
    }
}

#[test]
fn a_waiting_command_can_be_suspended_and_ended() {
    let Some(mut terminal) = Terminal::new() else { return };
    terminal.starts_lab_shell();
    terminal.types("server sleep 1000\r");
    terminal.sees("server 1 runs");
    terminal.sees("lab> ");
    terminal.types("pause 1h\r");
    terminal.sees("pause 1h\r\n");
    terminal.types(CTRL_Z);
    terminal.sees("Stopped");
    terminal.sees(PROMPT);
    terminal.types("fg\n");
    terminal.sees("lab shell");
    terminal.waits_until_lab_is_in_foreground();
    terminal.types("\x03");
    terminal.sees("interrupted");
    terminal.sees("lab> ");
    for command in
        ["wait 1", "expect \"x\"", "expect RST", "expect state client CLOSE_WAIT", "pause"]
    {
        terminal.types(&format!("{command} within 1h\r").replace("pause within 1h", "pause"));
        terminal.sees(&command[command.len() - 1..]);
        terminal.sees("\r\n");
        terminal.types("\x03");
        terminal.sees("interrupted");
        terminal.sees("lab> ");
    }
    terminal.types("server\r");
    terminal.sees("runs, pid");
    terminal.sees("lab> ");
    terminal.types(CTRL_D);
    terminal.sees(PROMPT);
    assert_eq!(terminal.runs("echo $?"), "0");
}
