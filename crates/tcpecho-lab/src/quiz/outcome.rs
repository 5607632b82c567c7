//! The results of calls in words, for multiple choice.

use tcpecho_os::errno;

use crate::agent::{errno_of, poll_names};

/// The usual results of a call, good and bad: the source of wrong alternatives.
struct Usual {
    verb: &'static str,
    /// An agent's answers.
    answers: &'static [&'static str],
}

const USUAL: &[Usual] = &[
    Usual {
        verb: "recv",
        answers: &["ok 0", "ok 5", "ECONNRESET", "ETIMEDOUT", "EPIPE", "EHOSTUNREACH", "EAGAIN"],
    },
    Usual { verb: "send", answers: &["ok 5", "EPIPE", "ECONNRESET", "ETIMEDOUT", "ENOTCONN"] },
    Usual {
        verb: "connect",
        answers: &[
            "ok",
            "ECONNREFUSED",
            "ETIMEDOUT",
            "ECONNRESET",
            "EHOSTUNREACH",
            "EADDRNOTAVAIL",
        ],
    },
    Usual { verb: "accept", answers: &["ok 1", "ECONNABORTED", "EINTR", "EMFILE", "EINVAL"] },
    Usual { verb: "bind", answers: &["ok", "EADDRINUSE", "EADDRNOTAVAIL", "EACCES", "EINVAL"] },
    Usual { verb: "listen", answers: &["ok", "EADDRINUSE", "EINVAL", "EOPNOTSUPP"] },
    Usual { verb: "poll", answers: &["ok 0x0", "ok 0x4", "ok 0x5", "ok 0x2005", "ok 0x201d"] },
    Usual {
        verb: "getsockopt",
        answers: &["ok 0", "ok EPIPE", "ok ECONNRESET", "ok ETIMEDOUT", "ok EHOSTUNREACH"],
    },
    Usual { verb: "getpeername", answers: &["ok", "ENOTCONN", "ECONNRESET", "EBADF"] },
    Usual { verb: "wait", answers: &["ok 0", "ok 1", "ECHILD", "EINTR"] },
    Usual { verb: "shutdown", answers: &["ok", "ENOTCONN", "EPIPE", "ECONNRESET"] },
];

/// The call in an agent's command, if it is one to ask about.
pub(super) fn verb_of(line: &str) -> Option<&'static str> {
    let verb = call_of(line).split(' ').next()?;
    USUAL.iter().map(|usual| usual.verb).find(|known| *known == verb)
}

/// An agent's command without the number of the socket.
pub(super) fn call_of(line: &str) -> &str {
    match line.split_once(": ") {
        Some((number, rest)) if number.parse::<usize>().is_ok() => rest,
        _ => line,
    }
}

pub(super) fn usual(verb: &str) -> impl Iterator<Item = String> + '_ {
    let row = USUAL.iter().filter(move |usual| usual.verb == verb);
    row.flat_map(|usual| usual.answers).map(move |answer| outcome(verb, answer).0)
}

/// An agent's answer in words, and how interesting it is to ask for.
pub(super) fn outcome(verb: &str, answer: &str) -> (String, u8) {
    let Some(said) = answer.strip_prefix("ok") else { return (with_words(answer), 5) };
    let said = said.trim_start();
    match verb {
        "recv" if said == "0" => ("end of file".into(), 4),
        // The text is the scenario's own: nobody can work it out.
        "recv" => ("data".into(), 2),
        "send" => ("the kernel takes all bytes".into(), 3),
        "poll" => {
            let bits = said.strip_prefix("0x").and_then(|bits| u16::from_str_radix(bits, 16).ok());
            let words = match bits {
                Some(0) => "nothing".into(),
                Some(bits) => poll_names(bits, " "),
                None => said.into(),
            };
            (words, 3)
        }
        "getsockopt" if said == "0" => ("no error".into(), 4),
        "getsockopt" => (with_words(said), 5),
        "wait" if said == "0" => ("no child has ended".into(), 3),
        "wait" => ("a child that has ended".into(), 3),
        _ => ("it works".into(), 3),
    }
}

/// `EPIPE: Broken pipe`.
fn with_words(name: &str) -> String {
    match errno_of(name).map(errno::words) {
        // `Broken pipe (EPIPE)`, with the name first, because readers choose by the name.
        Some(words) => {
            let words = words.strip_suffix(&format!(" ({name})")).unwrap_or(&words).to_string();
            format!("{name}: {words}")
        }
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_put_into_words() {
        for (verb, answer, words) in [
            ("recv", "ok 0", "end of file"),
            ("recv", "ok 5 hello", "data"),
            ("recv", "ECONNRESET", "ECONNRESET: Connection reset by peer"),
            ("poll", "ok 0x2001", "POLLIN POLLRDHUP"),
            ("getsockopt", "ok EPIPE", "EPIPE: Broken pipe"),
            ("connect", "ok", "it works"),
        ] {
            assert_eq!(outcome(verb, answer).0, words);
        }
        assert_eq!(verb_of("1: recv 100"), Some("recv"));
        assert_eq!(verb_of("close"), None);
        assert_eq!(usual("bind").count(), 5);
    }
}
