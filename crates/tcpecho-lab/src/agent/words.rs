//! An agent's commands and answers in the notation of system calls: `socket(AF_INET) = fd 3`.

use std::collections::VecDeque;
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use tcpecho_os::errno;

use crate::timeline::{CallMoment, Outcome, Phase};

/// The letters of received or sent text that are shown.
const SHOWN: usize = 24;

/// An agent's conversation so far.
#[derive(Debug, Default)]
pub struct Conversation {
    /// The descriptors, by the socket's number.
    descriptors: Vec<i32>,
    /// The calls that have not returned.
    waiting: VecDeque<CallMoment>,
}

impl Conversation {
    /// Returns the call that begins with this command; `None` if it is not one.
    pub fn begins(&mut self, program: &Arc<str>, command: &str) -> Option<CallMoment> {
        let (name, arguments) = self.call(command).or_else(|| self.activity(command))?;
        let (program, phase) = (Arc::clone(program), Phase::Enters);
        let mut call = CallMoment { program, task: None, name, arguments, phase, injected: false };
        if name == "exit" {
            call.phase = Phase::Whole(Outcome::Never);
            return Some(call);
        }
        self.waiting.push_back(call.clone());
        Some(call)
    }

    /// Returns the end of the call that has this answer; `None` if no call waits for one.
    pub fn ends(&mut self, answer: &str) -> Option<CallMoment> {
        let call = self.waiting.pop_front()?;
        let outcome = self.outcome(&call, answer);
        Some(CallMoment { phase: Phase::Returns(outcome), ..call })
    }

    /// The descriptor that a command is about, and the rest of the command.
    fn subject<'a>(&self, command: &'a str) -> (String, &'a str) {
        let newest = self.descriptors.len().checked_sub(1);
        let (number, call) = match command.split_once(": ") {
            Some((number, rest)) if number.parse::<usize>().is_ok() => (number.parse().ok(), rest),
            _ => (newest, command),
        };
        let fd = number.and_then(|number| self.descriptors.get(number));
        (fd.map_or_else(|| "-1".into(), ToString::to_string), call)
    }

    /// What the agent does in many calls, or in none, in words; such a moment has no name.
    fn activity(&self, command: &str) -> Option<(&'static str, String)> {
        let (fd, call) = self.subject(command);
        let words: Vec<&str> = call.split_whitespace().collect();
        let words = match words.as_slice() {
            ["echo", "end"] => format!("echoes on {fd} until end of file"),
            ["echo", count] => format!("echoes {count} bytes on {fd}"),
            ["echo", count, "in", piece] => {
                format!("echoes {count} bytes on {fd} in pieces of {piece}")
            }
            ["stuff", count] => {
                format!("sends up to {count} bytes on {fd} until the peer takes no more")
            }
            ["drain", "end"] => format!("reads on {fd} until end of file and compares"),
            ["drain", count] => format!("reads {count} bytes on {fd} and compares"),
            ["caught"] => "signals caught".into(),
            ["adopt", fd] => format!("copies {fd}, which exec has left open"),
            _ => return None,
        };
        Some(("", words))
    }

    fn call(&self, command: &str) -> Option<(&'static str, String)> {
        let (fd, call) = self.subject(command);
        let (verb, rest) = call.split_once(' ').unwrap_or((call, ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        Some(match (verb, words.as_slice()) {
            ("socket", ["4"]) => ("socket", "AF_INET".into()),
            ("socket", ["6"]) => ("socket", "AF_INET6".into()),
            ("bind", [ip, port]) => ("bind", format!("{fd}, {}", address(ip, port))),
            ("connect", [ip, port]) => ("connect", format!("{fd}, {}", address(ip, port))),
            ("listen", [backlog]) => ("listen", format!("{fd}, {backlog}")),
            ("accept", _) => ("accept", fd),
            ("send", [count, "bytes" | "lines"]) => ("send", format!("{fd}, {count} bytes")),
            ("send", _) => ("send", format!("{fd}, {}", quoted(rest))),
            ("line", _) => ("send", format!("{fd}, {}", quoted(&format!("{rest}\\n")))),
            ("recv", ["urgent"]) => ("recv", format!("{fd}, 1, MSG_OOB")),
            ("urgent", _) => ("send", format!("{fd}, {}, MSG_OOB", quoted(rest))),
            ("gets", []) => ("fgets", fd),
            ("atmark", []) => ("sockatmark", fd),
            ("own", []) => ("fcntl", format!("{fd}, F_SETOWN")),
            ("inherit", []) => ("fcntl", format!("{fd}, F_SETFD, 0")),
            ("getsockopt", ["info"]) => ("getsockopt", format!("{fd}, TCP_INFO")),
            ("disposition", [signal]) => ("sigaction", format!("{signal}, ?")),
            ("exec", []) => ("execve", "\"/proc/self/exe\"".into()),
            ("fork", ["keep"]) => ("fork", String::new()),
            ("recv", [size]) => ("recv", format!("{fd}, {size}")),
            ("peek", [size]) => ("recv", format!("{fd}, {size}, MSG_PEEK")),
            ("shutdown", [how]) => ("shutdown", format!("{fd}, SHUT_{}", how.to_ascii_uppercase())),
            ("close", []) => ("close", fd),
            ("nonblocking", [on]) => ("ioctl", format!("{fd}, FIONBIO, {}", switch(on))),
            ("poll", [time, ..]) => ("poll", format!("{fd}, {time} ms")),
            ("getsockname", []) => ("getsockname", fd),
            ("getpeername", []) => ("getpeername", fd),
            ("getsockopt", ["error"]) => ("getsockopt", format!("{fd}, SO_ERROR")),
            ("setsockopt", [name, values @ ..]) => {
                let values: Vec<&str> = values.iter().map(|value| switch(value)).collect();
                ("setsockopt", format!("{fd}, {}, {}", option(name), values.join(" ")))
            }
            ("sigpipe", [what]) => ("sigaction", format!("SIGPIPE, {}", handler(what))),
            ("handler", [signal, what]) => ("sigaction", format!("{signal}, {}", handler(what))),
            ("limit", [_, more]) => ("setrlimit", format!("RLIMIT_NOFILE, {more} more")),
            ("fork", []) => ("fork", String::new()),
            ("wait", []) => ("waitpid", "-1, WNOHANG".into()),
            ("exit", [status]) => ("exit", (*status).into()),
            _ => return None,
        })
    }

    fn outcome(&mut self, call: &CallMoment, answer: &str) -> Outcome {
        let Some(said) = answer.strip_prefix("ok") else {
            return errno_of(answer).map_or_else(|| Outcome::Words(answer.into()), Outcome::Failed);
        };
        let said = said.trim_start();
        let (first, rest) = said.split_once(' ').unwrap_or((said, ""));
        match call.name {
            "socket" | "accept" => self.opened(rest),
            "" if rest.starts_with("fd=") => self.opened(rest),
            "" if call.arguments == "signals caught" => Outcome::Words(said.into()),
            "" => Outcome::Words(match rest {
                "right" => format!("{first} bytes, unchanged"),
                "changed" => format!("{first} bytes, changed"),
                _ => format!("{first} bytes"),
            }),
            // The program that was executed has numbers of its own for its sockets.
            "execve" => {
                self.descriptors.clear();
                Outcome::Never
            }
            "fork" => Outcome::Words(format!("child {said}")),
            "poll" => {
                let bits = first.strip_prefix("0x");
                let bits = bits.and_then(|bits| u16::from_str_radix(bits, 16).ok());
                Outcome::Words(bits.map_or_else(|| said.into(), |bits| poll_names(bits, "|")))
            }
            "recv" | "fgets" if first == "0" => Outcome::Value(0, "end of file".into()),
            "recv" | "fgets" => {
                Outcome::Words(format!("{first} {}", quoted(rest)).trim_end().into())
            }
            "getsockopt" if first == "0" => Outcome::Value(0, "no error".into()),
            "getsockopt" if call.arguments.ends_with("TCP_INFO") => Outcome::Words(info(said)),
            "getsockopt" | "getsockname" | "getpeername" => Outcome::Value(0, said.into()),
            _ if said.is_empty() => Outcome::Value(0, String::new()),
            _ => Outcome::Words(said.into()),
        }
    }

    /// `fd=4 peer=192.0.2.10:40000`.
    fn opened(&mut self, said: &str) -> Outcome {
        let mut words = said.split(' ');
        let fd = words.next().and_then(|word| word.strip_prefix("fd=")).unwrap_or("?");
        self.descriptors.push(fd.parse().unwrap_or(-1));
        let peer = words.next().and_then(|word| word.strip_prefix("peer="));
        Outcome::Words(match peer {
            Some(peer) => format!("fd {fd} from {peer}"),
            None => format!("fd {fd}"),
        })
    }
}

/// What TCP_INFO says, shorter: an infinite threshold, times in milliseconds, and no numbers that
/// are 0.
fn info(said: &str) -> String {
    let field = |word: &str| match word.split_once('=') {
        Some(("unacked" | "retransmits" | "probes", "0")) => None,
        Some(("ssthresh", "2147483647")) => Some("ssthresh=inf".into()),
        Some((name, value)) => {
            let micros = value.strip_suffix("us").and_then(|micros| micros.parse::<u64>().ok());
            Some(match micros {
                Some(micros @ 10_000..) => format!("{name}={}ms", micros / 1000),
                Some(micros) => format!("{name}={}.{}ms", micros / 1000, micros % 1000 / 100),
                None => word.into(),
            })
        }
        None => Some(word.to_owned()),
    };
    let fields: Vec<String> = said.split(' ').filter_map(field).collect();
    fields.join(" ")
}

/// The names of poll(2)'s bits; `0` if there is none.
pub(crate) fn poll_names(bits: u16, between: &str) -> String {
    let known = [
        (PollFlags::IN, "POLLIN"),
        (PollFlags::PRI, "POLLPRI"),
        (PollFlags::OUT, "POLLOUT"),
        (PollFlags::RDHUP, "POLLRDHUP"),
        (PollFlags::ERR, "POLLERR"),
        (PollFlags::HUP, "POLLHUP"),
        (PollFlags::NVAL, "POLLNVAL"),
    ];
    let names = known.iter().filter(|(bit, _)| bits & bit.bits() != 0).map(|(_, name)| *name);
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "0".into() } else { names.join(between) }
}

fn address(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// Text in quotes; of a long one its beginning.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None if text.is_empty() => String::new(),
        None => format!("\"{text}\""),
    }
}

fn switch(word: &str) -> &str {
    match word {
        "on" => "1",
        "off" => "0",
        other => other,
    }
}

fn option(name: &str) -> &str {
    match name {
        "reuseaddr" => "SO_REUSEADDR",
        "reuseport" => "SO_REUSEPORT",
        "nodelay" => "TCP_NODELAY",
        "cork" => "TCP_CORK",
        "quickack" => "TCP_QUICKACK",
        "defer_accept" => "TCP_DEFER_ACCEPT",
        "fastopen" => "TCP_FASTOPEN",
        "fastopen_connect" => "TCP_FASTOPEN_CONNECT",
        "oobinline" => "SO_OOBINLINE",
        "v6only" => "IPV6_V6ONLY",
        "recverr" => "IP_RECVERR",
        "linger" => "SO_LINGER",
        "user_timeout" => "TCP_USER_TIMEOUT",
        "rcvbuf" => "SO_RCVBUF",
        "sndbuf" => "SO_SNDBUF",
        "rcvtimeo" => "SO_RCVTIMEO",
        "sndtimeo" => "SO_SNDTIMEO",
        "keepalive" => "SO_KEEPALIVE",
        other => other,
    }
}

/// The disposition of a signal, as `agent/signals.rs` sets it.
fn handler(what: &str) -> String {
    match what {
        "default" => "SIG_DFL".into(),
        "ignore" => "SIG_IGN".into(),
        "restart" => "handler, SA_RESTART".into(),
        "norestart" => "handler".into(),
        other => format!("handler that calls {other}"),
    }
}

/// The error of an agent's answer.
pub(crate) fn errno_of(answer: &str) -> Option<Errno> {
    if let Some(number) = answer.strip_prefix("errno ") {
        return number.parse().ok().map(Errno::from_raw_os_error);
    }
    let all = (1..=133).map(Errno::from_raw_os_error);
    all.into_iter().find(|known| errno::name(*known) == Some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_calls_with_descriptors() {
        let mut conversation = Conversation::default();
        for (command, answer, shown) in [
            ("socket 4", "ok 0 fd=3", "socket(AF_INET) = fd 3"),
            ("setsockopt reuseaddr on", "ok", "setsockopt(3, SO_REUSEADDR, 1) = 0"),
            ("bind 0.0.0.0 7", "EADDRINUSE", "bind(3, 0.0.0.0:7) = EADDRINUSE"),
            ("bind :: 7", "ok", "bind(3, [::]:7) = 0"),
            ("accept or exit", "ok 1 fd=4 peer=[::1]:9", "accept(3) = fd 4 from [::1]:9"),
            ("send hello", "ok 5", "send(4, \"hello\") = 5"),
            ("line hello", "ok 6", "send(4, \"hello\\n\") = 6"),
            ("send 40000 bytes", "ok 40000", "send(4, 40000 bytes) = 40000"),
            ("0: recv 9", "ENOTCONN", "recv(3, 9) = ENOTCONN"),
            ("recv 9", "ok 0", "recv(4, 9) = 0 end of file"),
            ("recv 9", "ok 2 hi", "recv(4, 9) = 2 \"hi\""),
            ("poll 10 in", "ok 0x2001", "poll(4, 10 ms) = POLLIN|POLLRDHUP"),
            ("poll 10", "ok 0x0", "poll(4, 10 ms) = 0"),
            ("getsockopt error", "ok EPIPE", "getsockopt(4, SO_ERROR) = 0 EPIPE"),
            ("shutdown wr", "ok", "shutdown(4, SHUT_WR) = 0"),
            ("handler SIGCHLD wait", "ok", "sigaction(SIGCHLD, handler that calls wait) = 0"),
            ("urgent !", "ok 1", "send(4, \"!\", MSG_OOB) = 1"),
            ("recv urgent", "ok 1 !", "recv(4, 1, MSG_OOB) = 1 \"!\""),
            ("gets", "ok 0", "fgets(4) = 0 end of file"),
            ("7: close", "EBADF", "close(-1) = EBADF"),
            ("close", "errno 400", "close(4) = errno 400"),
            ("send 128 lines", "ok 128", "send(4, 128 bytes) = 128"),
            ("echo end", "ok 9", "echoes on 4 until end of file: 9 bytes"),
            ("0: echo 9 in 3", "ok 9", "echoes 9 bytes on 3 in pieces of 3: 9 bytes"),
            ("echo 5", "EPIPE", "echoes 5 bytes on 4: EPIPE"),
            ("stuff 9", "ok 7", "sends up to 9 bytes on 4 until the peer takes no more: 7 bytes"),
            ("drain 9", "ok 9 right", "reads 9 bytes on 4 and compares: 9 bytes, unchanged"),
            (
                "drain end",
                "ok 9 changed",
                "reads on 4 until end of file and compares: 9 bytes, changed",
            ),
            ("caught", "ok 1", "signals caught: 1"),
            ("fork keep", "ok 4", "fork() = child 4"),
            ("fork", "EAGAIN", "fork() = EAGAIN"),
            (
                "getsockopt info",
                "ok ESTABLISHED cwnd=10 ssthresh=2147483647 mss=1448 rtt=350us rto=201000us \
                 unacked=0 retransmits=2 probes=0",
                "getsockopt(4, TCP_INFO) = ESTABLISHED cwnd=10 ssthresh=inf mss=1448 rtt=0.3ms \
                 rto=201ms retransmits=2",
            ),
            ("exec", "ok", "execve(\"/proc/self/exe\")"),
            ("send x", "EBADF", "send(-1, \"x\") = EBADF"),
            ("adopt 4", "ok 0 fd=7", "copies 4, which exec has left open: fd 7"),
            ("close", "ok", "close(7) = 0"),
        ] {
            let begins = conversation.begins(&"client".into(), command).unwrap();
            let ends = conversation.ends(answer).unwrap();
            assert_eq!(begins.joined_with(&ends).unwrap().to_string(), shown);
        }
        let long = conversation.begins(&"client".into(), &format!("send {}", "x".repeat(99)));
        assert_eq!(long.unwrap().arguments, format!("7, \"{}…\"", "x".repeat(SHOWN)));
        assert_eq!(conversation.begins(&"client".into(), "hello world"), None);
    }
}
