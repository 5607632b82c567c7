//! `tcpecho lab shell` on a terminal, started from a shell with job control.

#[path = "common/process.rs"]
#[allow(dead_code, reason = "every test program uses its own part of it")]
mod process;
#[path = "common/terminal.rs"]
mod terminal;

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use terminal::{CTRL_D, CTRL_Z, PATIENCE, PROMPT, Terminal};

impl Terminal {
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

const BELL: &str = "\x07";

#[test]
fn tab_completes_the_word_before_the_cursor() {
    let Some(mut terminal) = Terminal::new() else { return };
    terminal.runs("stty cols 60 rows 40");
    terminal.starts_lab_shell();
    // One candidate, and a blank behind it.
    terminal.types("sta\t");
    terminal.sees("lab> states \x1b7");
    terminal.types("\r");
    terminal.sees("no sockets");
    terminal.sees("lab> ");
    // None: the bell, and the line stays.
    terminal.types("nothing\t");
    terminal.sees(BELL);
    terminal.types("\t");
    let shown = terminal.sees(BELL);
    assert!(!shown.contains("lab>"), "{shown:?}");
    // Several that have nothing more in common: the bell, then a list.
    terminal.types("\x15re\t");
    terminal.sees(BELL);
    terminal.types("\t");
    terminal.sees("\nrelease  reset    remove   reorder\r\nlab> re\x1b7");
    terminal.types("l\t");
    terminal.sees("lab> release \x1b7");
    // Several, of which the beginning is completed.
    terminal.types("sy\t");
    terminal.sees("lab> release SYN\x1b7");
    terminal.types("\t");
    terminal.sees("\nSYN      SYN-ACK\r\n");
    terminal.types("-\t\r");
    terminal.sees("0 released");
    terminal.sees("lab> ");
    // A list has as many columns as the terminal is wide.
    terminal.types("sysctl client tcp_ke\t");
    terminal.sees("lab> sysctl client tcp_keepalive_\x1b7");
    terminal.types("\t");
    terminal.sees("\ntcp_keepalive_intvl   tcp_keepalive_time\r\ntcp_keepalive_probes\r\nlab> ");
    terminal.types("\x15");
    // What the shell knows by now: programs, rules and ports.
    terminal.types("server tcpec\tserve -l {s\t:7 --log off\r");
    terminal.sees("server tcpecho serve -l {server}:7 --log off");
    terminal.sees("server 1| listening");
    terminal.types("drop next data port \t\r");
    terminal.sees("lab> drop next data port 7 ");
    terminal.types("remove \t\r");
    terminal.sees("lab> remove 1 ");
    terminal.types("kill \t\r");
    terminal.sees("lab> kill 1 ");
    terminal.sees("killed by SIGKILL");
    terminal.types("\x15quit\r");
    terminal.sees(PROMPT);
}
