//! The arguments and results of system calls in words, as in section 2 of the manual.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::memory::Subject;
use super::names::{self, one, several};

/// A call that is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) arguments: [u64; 6],
}

/// The number of bytes of data that are shown.
const SHOWN: usize = 20;
/// Its type differs between C libraries.
const FIONBIO: u64 = 0x5421;
/// The number of rows of a list that are shown.
const ROWS: usize = 16;

impl Call {
    fn int(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    /// Whether it concerns sockets or processes, or, with `streams`, reads or writes the standard
    /// streams.
    pub(super) fn is_of_interest(&self, subject: &impl Subject, streams: bool) -> bool {
        let shown = |descriptor| (streams && descriptor <= 2) || subject.is_socket(descriptor);
        match self.name {
            "read" | "write" | "readv" | "writev" => shown(self.int(0)),
            "close" | "fcntl" | "ioctl" => {
                subject.is_socket(self.int(0)) && self.is_known_request()
            }
            "splice" => subject.is_socket(self.int(0)) || subject.is_socket(self.int(2)),
            "sendfile" => subject.is_socket(self.int(0)),
            "poll" | "ppoll" => {
                streams || rows(self, subject).iter().any(|(descriptor, ..)| *descriptor > 2)
            }
            _ => true,
        }
    }

    /// Of fcntl(2) and ioctl(2), only what makes a call block or not.
    fn is_known_request(&self) -> bool {
        match self.name {
            "fcntl" => self.int(1) == libc::F_SETFL,
            "ioctl" => self.arguments[1] == FIONBIO,
            _ => true,
        }
    }

    /// Whether it may block or send a packet: then its beginning is a moment, too.
    pub(super) fn takes_time(&self) -> bool {
        !matches!(
            self.name,
            "socket"
                | "bind"
                | "listen"
                | "getsockname"
                | "getpeername"
                | "setsockopt"
                | "getsockopt"
                | "fcntl"
                | "ioctl"
                | "epoll_ctl"
                | "fork"
                | "clone"
                | "clone3"
                | "execve"
                | "exit_group"
        )
    }

    /// Its arguments.
    pub(super) fn arguments(&self, subject: &impl Subject) -> String {
        let [first, second, third, ..] = self.arguments;
        let fd = self.int(0);
        match self.name {
            "socket" => {
                let kind = self.int(1);
                let flags = several(kind & !0xf, names::KIND_FLAGS);
                let kind = joined("|", [one(kind & 0xf, names::KINDS), flags]);
                format!("{}, {kind}", one(fd, names::FAMILIES))
            }
            "bind" | "connect" => {
                format!("{fd}, {}", address(subject, second, third as usize))
            }
            "listen" => format!("{fd}, {}", self.int(1)),
            "accept4" => {
                let flags = several(self.int(3), names::KIND_FLAGS);
                joined(", ", [fd.to_string(), flags])
            }
            "setsockopt" | "getsockopt" => self.option(subject),
            "sendto" => {
                let flags = several(self.int(3), names::SEND_FLAGS);
                let to = match self.arguments[4] {
                    0 => String::new(),
                    to => format!("to {}", address(subject, to, self.arguments[5] as usize)),
                };
                let bytes = data(subject, second, third as usize);
                joined(", ", [fd.to_string(), bytes, third.to_string(), flags, to])
            }
            "write" => format!("{fd}, {}, {third}", data(subject, second, third as usize)),
            "writev" => {
                let (bytes, length) = vectors(subject, second, third as usize);
                format!("{fd}, {}, {length}", shown(&bytes, length))
            }
            "sendmsg" => {
                let (bytes, length) = message(subject, second);
                let flags = several(self.int(2), names::SEND_FLAGS);
                joined(", ", [fd.to_string(), shown(&bytes, length), length.to_string(), flags])
            }
            "read" => format!("{fd}, {third}"),
            "readv" => format!("{fd}, {}", vectors(subject, second, third as usize).1),
            "recvfrom" => {
                let flags = several(self.int(3), names::SEND_FLAGS);
                joined(", ", [fd.to_string(), third.to_string(), flags])
            }
            "recvmsg" => {
                let flags = several(self.int(2), names::SEND_FLAGS);
                joined(", ", [fd.to_string(), message(subject, second).1.to_string(), flags])
            }
            "sendfile" => format!("{fd}, from {}, {}", self.int(1), self.arguments[3]),
            "splice" => format!("{fd}, to {}, {}", self.int(2), self.arguments[4]),
            "shutdown" => format!("{fd}, {}", one(self.int(1), names::SHUTDOWNS)),
            "fcntl" => {
                let blocks = third & libc::O_NONBLOCK as u64 == 0;
                format!("{fd}, F_SETFL, {}", if blocks { "0" } else { "O_NONBLOCK" })
            }
            "ioctl" => format!("{fd}, FIONBIO, {}", int(subject, third)),
            "poll" | "ppoll" => self.asked(subject),
            "select" | "pselect6" => {
                let sets = ["in", "out", "except"].into_iter().zip(&self.arguments[1..4]);
                let sets = sets.map(|(word, set)| set_in(subject, word, *set, fd));
                joined(", ", sets.chain([self.limit(subject)]))
            }
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
                joined(", ", [fd.to_string(), self.limit(subject)])
            }
            "epoll_ctl" => {
                let operation = one(self.int(1), names::EPOLL_OPERATIONS);
                let events = subject.int(self.arguments[3]).filter(|_| operation != "DEL");
                let events = events.map(|events| several(events, names::EPOLL_FLAGS));
                let target = self.int(2).to_string();
                joined(", ", [fd.to_string(), operation, target, events.unwrap_or_default()])
            }
            "clone" if first & libc::CLONE_THREAD as u64 != 0 => "a thread".into(),
            "clone3" if subject.long(first).unwrap_or(0) & libc::CLONE_THREAD as u64 != 0 => {
                "a thread".into()
            }
            "fork" | "vfork" | "clone" | "clone3" => String::new(),
            "wait4" => {
                let flags = several(self.int(2), names::WAIT_FLAGS);
                joined(", ", [fd.to_string(), flags])
            }
            "waitid" => {
                joined(", ", [self.int(1).to_string(), several(self.int(3), names::WAIT_FLAGS)])
            }
            "execve" => {
                let bytes = subject.bytes(first, 256);
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                format!("\"{}\"", bytes[..end].escape_ascii())
            }
            // accept, getsockname, getpeername, close, exit_group.
            _ => fd.to_string(),
        }
    }

    /// What a successful call wrote elsewhere.
    pub(super) fn detail(&self, subject: &impl Subject, value: i64) -> String {
        let [_, second, third, ..] = self.arguments;
        let length = usize::try_from(value).unwrap_or(0);
        match self.name {
            "accept" | "accept4" => {
                let from = returned_address(subject, second, third);
                from.map_or_else(String::new, |from| format!("from {from}"))
            }
            "getsockname" | "getpeername" => {
                returned_address(subject, second, third).unwrap_or_default()
            }
            "getsockopt" => self.got(subject),
            "read" if length > 0 => data(subject, second, length),
            "recvfrom" if length > 0 => {
                let bytes = data(subject, second, length);
                match returned_address(subject, self.arguments[4], self.arguments[5]) {
                    Some(from) if !from.is_empty() => format!("{bytes} from {from}"),
                    _ => bytes,
                }
            }
            "readv" if length > 0 => {
                let (mut bytes, _) = vectors(subject, second, third as usize);
                bytes.truncate(length);
                shown(&bytes, length)
            }
            "recvmsg" if length > 0 => {
                let (mut bytes, _) = message(subject, second);
                bytes.truncate(length);
                shown(&bytes, length)
            }
            "poll" | "ppoll" => {
                let ready = rows(self, subject).into_iter().filter(|(.., found)| *found != 0);
                let ready = ready.map(|(fd, _, found)| {
                    format!("{fd} {}", several(found.into(), names::POLL_FLAGS))
                });
                in_brackets(ready)
            }
            "select" | "pselect6" if value > 0 => {
                let sets = ["in", "out", "except"].into_iter().zip(&self.arguments[1..4]);
                joined(", ", sets.map(|(word, set)| set_in(subject, word, *set, self.int(0))))
            }
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
                // struct epoll_event is packed on x86-64 only.
                let size = if cfg!(target_arch = "x86_64") { 12 } else { 16 };
                let events = (0..length.min(ROWS) as u64).filter_map(|row| {
                    let events = subject.int(second.wrapping_add(row * size))?;
                    Some(several(events, names::EPOLL_FLAGS))
                });
                in_brackets(events)
            }
            "wait4" if value > 0 => subject.int(second).map_or_else(String::new, ended),
            _ => String::new(),
        }
    }

    fn option(&self, subject: &impl Subject) -> String {
        let (fd, level, option) = (self.int(0), self.int(1), self.int(2));
        let known = names::LEVELS.iter().find(|(number, ..)| *number == level);
        let name = match known {
            Some((.., options)) if options.iter().any(|(number, _)| *number == option) => {
                one(option, options)
            }
            Some((_, level, _)) => format!("{level} {option}"),
            None => format!("level {level} {option}"),
        };
        if self.name == "getsockopt" {
            return format!("{fd}, {name}");
        }
        let (address, length) = (self.arguments[3], self.arguments[4] as usize);
        format!("{fd}, {name}, {}", value_of(subject, &name, address, length))
    }

    fn got(&self, subject: &impl Subject) -> String {
        let [_, level, option, address, length, _] = self.arguments;
        let length = subject.int(length).unwrap_or(0) as usize;
        if (level as i32, option as i32) == (libc::SOL_SOCKET, libc::SO_ERROR) {
            let errno = subject.int(address).filter(|errno| *errno != 0);
            let errno = errno.map(rustix::io::Errno::from_raw_os_error);
            return errno.and_then(tcpecho_os::errno::name).unwrap_or("0").into();
        }
        let whole = self.option(subject);
        let name = whole.split(", ").nth(1).unwrap_or_default();
        value_of(subject, name, address, length)
    }

    fn asked(&self, subject: &impl Subject) -> String {
        let rows = rows(self, subject).into_iter();
        let rows =
            rows.map(|(fd, asked, _)| format!("{fd} {}", several(asked.into(), names::POLL_FLAGS)));
        joined(", ", [in_brackets(rows), self.limit(subject)])
    }

    /// Its timeout; empty for none.
    fn limit(&self, subject: &impl Subject) -> String {
        let milliseconds = match self.name {
            "poll" => Some(self.int(2)),
            "epoll_wait" | "epoll_pwait" => Some(self.int(3)),
            _ => None,
        };
        if let Some(milliseconds) = milliseconds {
            return if milliseconds < 0 { String::new() } else { format!("{milliseconds} ms") };
        }
        let (address, unit) = match self.name {
            "ppoll" => (self.arguments[2], 1_000_000),
            "epoll_pwait2" => (self.arguments[3], 1_000_000),
            "pselect6" => (self.arguments[4], 1_000_000),
            _ => (self.arguments[4], 1_000),
        };
        let (seconds, rest) = (subject.long(address), subject.long(address.wrapping_add(8)));
        let (Some(seconds), Some(rest)) = (seconds, rest) else { return String::new() };
        format!("{} ms", seconds.saturating_mul(1000).saturating_add(rest / unit))
    }
}

/// Joins those that are not empty.
fn joined(between: &str, parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(between)
}

fn in_brackets(parts: impl Iterator<Item = String>) -> String {
    match joined(", ", parts) {
        none if none.is_empty() => none,
        parts => format!("[{parts}]"),
    }
}

/// The number that a pointer points to.
fn int(subject: &impl Subject, address: u64) -> String {
    subject.int(address).map_or_else(|| "?".into(), |value| value.to_string())
}

/// The beginning of these bytes, escaped as in Rust.
fn data(subject: &impl Subject, address: u64, length: usize) -> String {
    shown(&subject.bytes(address, length.min(SHOWN)), length)
}

fn shown(bytes: &[u8], length: usize) -> String {
    let part = &bytes[..bytes.len().min(SHOWN)];
    let more = if length > part.len() { "…" } else { "" };
    format!("\"{}\"{more}", part.escape_ascii())
}

/// The first bytes of an array of struct iovec, and their total.
fn vectors(subject: &impl Subject, address: u64, count: usize) -> (Vec<u8>, usize) {
    let (mut bytes, mut total) = (Vec::new(), 0_usize);
    for row in 0..count.min(1024) as u64 {
        let at = address.wrapping_add(row * 16);
        let (base, length) = (subject.long(at), subject.long(at.wrapping_add(8)));
        let (Some(base), Some(length)) = (base, length) else { break };
        let wanted = (length as usize).min(SHOWN.saturating_sub(bytes.len()));
        bytes.extend(subject.bytes(base, wanted));
        total = total.saturating_add(length as usize);
    }
    (bytes, total)
}

/// The same of a struct msghdr.
fn message(subject: &impl Subject, address: u64) -> (Vec<u8>, usize) {
    let vector = subject.long(address.wrapping_add(16)).unwrap_or(0);
    let count = subject.long(address.wrapping_add(24)).unwrap_or(0);
    vectors(subject, vector, count as usize)
}

/// The descriptors, requested events and returned events of an array of struct pollfd.
fn rows(call: &Call, subject: &impl Subject) -> Vec<(i32, i16, i16)> {
    let [address, count, ..] = call.arguments;
    let rows = (0..count.min(ROWS as u64)).filter_map(|row| {
        let at = address.wrapping_add(row * 8);
        let events = [4, 6].map(|offset| subject.short(at.wrapping_add(offset)));
        let [Some(asked), Some(found)] = events else { return None };
        Some((subject.int(at)?, asked.cast_signed(), found.cast_signed()))
    });
    rows.collect()
}

/// The descriptors of one set of select(2), below `limit`.
fn set_in(subject: &impl Subject, word: &str, address: u64, limit: i32) -> String {
    let Some(set): Option<[u8; 128]> = subject.array(address) else { return String::new() };
    let is_in = |fd: &i32| set[*fd as usize / 8] & 1 << (fd % 8) != 0;
    let numbers = (0..limit.clamp(0, 1024)).filter(is_in).map(|fd| fd.to_string());
    let numbers: Vec<String> = numbers.collect();
    format!("{word} [{}]", numbers.join(", "))
}

fn returned_address(subject: &impl Subject, address_at: u64, length_at: u64) -> Option<String> {
    let length = subject.int(length_at)?;
    (address_at != 0).then(|| address(subject, address_at, length as usize))
}

fn address(subject: &impl Subject, at: u64, length: usize) -> String {
    let bytes = if at == 0 { Vec::new() } else { subject.bytes(at, length.min(128)) };
    address_in(&bytes)
}

/// A struct sockaddr. A truncated one is shown as far as it goes.
fn address_in(bytes: &[u8]) -> String {
    let Some(([low, high], rest)) = bytes.split_first_chunk() else { return String::new() };
    let family = i32::from(u16::from_ne_bytes([*low, *high]));
    let port = |rest: &[u8]| rest.first_chunk().map(|port| u16::from_be_bytes(*port));
    match family {
        libc::AF_INET => {
            let ip = rest.get(2..).and_then(|rest| rest.first_chunk::<4>());
            if let (Some(port), Some(ip)) = (port(rest), ip) {
                return SocketAddrV4::new(Ipv4Addr::from(*ip), port).to_string();
            }
        }
        libc::AF_INET6 => {
            let ip = rest.get(6..).and_then(|rest| rest.first_chunk::<16>());
            let scope = rest.get(22..).and_then(|rest| rest.first_chunk::<4>());
            if let (Some(port), Some(ip)) = (port(rest), ip) {
                let scope = scope.map_or(0, |scope| u32::from_ne_bytes(*scope));
                return SocketAddrV6::new(Ipv6Addr::from(*ip), port, 0, scope).to_string();
            }
        }
        libc::AF_UNIX => {
            // An abstract name begins with NUL and may contain others.
            let from = usize::from(rest.first() == Some(&0));
            let end =
                rest[from..].iter().position(|byte| *byte == 0).map_or(rest.len(), |at| at + from);
            let mark = if from == 1 { "@" } else { "" };
            return format!("\"{mark}{}\"", rest[from..end].escape_ascii());
        }
        _ => {}
    }
    one(family, names::FAMILIES)
}

/// The value of an option: a number, or the meaning of its structure.
fn value_of(subject: &impl Subject, name: &str, address: u64, length: usize) -> String {
    match (name, length) {
        ("SO_LINGER", 8) => match (subject.int(address), subject.int(address.wrapping_add(4))) {
            (Some(0), _) => "off".into(),
            (Some(_), Some(seconds)) => format!("on, {seconds} s"),
            _ => "?".into(),
        },
        ("SO_RCVTIMEO" | "SO_SNDTIMEO" | "SO_RCVTIMEO_NEW" | "SO_SNDTIMEO_NEW", 16) => {
            let (seconds, rest) = (subject.long(address), subject.long(address.wrapping_add(8)));
            match (seconds, rest) {
                (Some(seconds), Some(rest)) => {
                    format!("{} ms", seconds.saturating_mul(1000).saturating_add(rest / 1000))
                }
                _ => "?".into(),
            }
        }
        (_, 4) => int(subject, address),
        ("TCP_CONGESTION" | "SO_BINDTODEVICE", _) => {
            let bytes = subject.bytes(address, length.min(16));
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            format!("\"{}\"", bytes[..end].escape_ascii())
        }
        _ => format!("{length} bytes"),
    }
}

/// The status of a child from wait(2).
fn ended(status: i32) -> String {
    if libc::WIFEXITED(status) {
        format!("exited with {}", libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        format!("killed by {}", names::signal(libc::WTERMSIG(status)))
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests;
