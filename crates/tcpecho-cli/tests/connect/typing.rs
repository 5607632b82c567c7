//! What comes while the user has half a line typed, on a terminal in canonical mode.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::support::*;

const COLUMNS: usize = 60;

/// What a terminal shows of a stream of bytes: it wraps a line when a character comes after the last column.
#[derive(Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    column: usize,
}

impl Screen {
    fn of(text: &str) -> Vec<String> {
        let mut screen = Screen::default();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            // ESC [ K, erase to the end of the line.
            if let Some(after) = rest.strip_prefix("\x1b[K") {
                let column = screen.column;
                screen.row().truncate(column);
                rest = after;
                continue;
            }
            screen.takes(next);
            rest = &rest[next.len_utf8()..];
        }
        screen.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    fn row(&mut self) -> &mut Vec<char> {
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        self.rows.last_mut().unwrap()
    }

    fn takes(&mut self, next: char) {
        match next {
            '\r' => self.column = 0,
            '\n' => {
                self.row();
                self.rows.push(Vec::new());
            }
            next => {
                if self.column == COLUMNS {
                    self.rows.push(Vec::new());
                    self.column = 0;
                }
                let column = self.column;
                let row = self.row();
                row.resize(row.len().max(column + 1), ' ');
                row[column] = next;
                self.column += 1;
            }
        }
    }
}

/// `tcpecho connect` at a terminal that script(1) makes, with a peer that the test plays.
struct Talk {
    script: Child,
    keyboard: Option<ChildStdin>,
    bytes: mpsc::Receiver<Vec<u8>>,
    shown: String,
    peer: TcpStream,
}

impl Talk {
    fn with(args: &str) -> Option<Self> {
        let (give, take) = mpsc::channel();
        let at = families().next().unwrap();
        let (addr, server) = peer(at, move |stream| give.send(stream).unwrap());
        let script = Self::start(addr, args)?;
        let peer = take.recv().unwrap();
        server.join().unwrap();
        let mut talk = Self::of(script, peer);
        talk.sees("ready");
        Some(talk)
    }

    fn start(addr: SocketAddr, args: &str) -> Option<Child> {
        let program = env!("CARGO_BIN_EXE_tcpecho");
        let line = format!("stty cols {COLUMNS}; echo ready; exec {program} connect {addr} {args}");
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command
            .env("SHELL", "/bin/sh")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command.spawn().map_err(|_| eprintln!("SKIP: no script(1) here")).ok()
    }

    fn of(mut script: Child, peer: TcpStream) -> Self {
        let (keyboard, mut output) = (script.stdin.take(), script.stdout.take().unwrap());
        let (tell, bytes) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if tell.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Talk { script, keyboard, bytes, shown: String::new(), peer }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is on the screen.
    fn sees(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.shown.contains(text) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.bytes.recv_timeout(left) else {
                panic!("missing {text:?} in {:?}", self.shown);
            };
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// The lines on the screen at the end, after the one that says that the terminal is ready.
    fn ends(mut self) -> Vec<String> {
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_secs(60)) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        drop(self.keyboard.take());
        self.script.wait().unwrap();
        Screen::of(&self.shown)[1..].to_vec()
    }
}

#[test]
fn what_the_server_sends_begins_its_own_line_beside_half_a_typed_one() {
    let Some(mut talk) = Talk::with("--no-check -q") else { return };
    talk.peer.write_all(b"first\n").unwrap();
    talk.sees("first");
    talk.types("half");
    talk.sees("half");
    talk.peer.write_all(b"second\nthi").unwrap();
    talk.sees("thi");
    talk.peer.write_all(b"rd\n").unwrap();
    talk.sees("rd");
    // What was typed is still there, and is sent with Enter.
    talk.types(" and half\n");
    let mut line = [0; 14];
    talk.peer.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"half and half\n");
    talk.types("\x04");
    talk.peer.shutdown(std::net::Shutdown::Write).unwrap();
    let rows = talk.ends();
    // No empty line where nothing was typed, and no line in two pieces.
    assert_eq!(rows[..5], ["first", "half", "second", "third", " and half"], "{rows:?}");
}

#[test]
fn a_message_begins_its_own_line_beside_half_a_typed_one() {
    for (args, message) in [
        ("", "tcpecho: closed-early"),
        ("-v", "tcpecho: closed-early"),
        ("--json", "{\"ending\":\"closed-early\""),
        ("--calls", " ms  "),
    ] {
        let Some(mut talk) = Talk::with(args) else { return };
        // A whole line, so that the client is known to read.
        talk.types("whole\n");
        let mut line = [0; 6];
        talk.peer.read_exact(&mut line).unwrap();
        talk.types("half");
        talk.sees("half");
        talk.peer.shutdown(std::net::Shutdown::Write).unwrap();
        let rows = talk.ends();
        let half = rows.iter().position(|row| row == "half");
        let half = half.unwrap_or_else(|| panic!("{args}: {rows:#?}"));
        assert!(rows[half + 1].contains(message), "{args}: {rows:#?}");
    }
}

#[test]
fn a_message_after_ctrl_c_begins_its_own_line() {
    let Some(mut talk) = Talk::with("") else { return };
    talk.types("whole\n");
    talk.peer.read_exact(&mut [0; 6]).unwrap();
    talk.types("half");
    talk.sees("half");
    talk.types("\x03");
    let rows = talk.ends();
    let place = rows.iter().position(|row| row == "half^C");
    let place = place.unwrap_or_else(|| panic!("{rows:#?}"));
    assert!(rows[place + 1].starts_with("tcpecho: interrupted (SIGINT): "), "{rows:#?}");
}
