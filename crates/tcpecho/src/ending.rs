//! The table of endings: one word for each way in which a connection, or an attempt to connect, can end.
//!
//! Diagnosis, JSON, log lines and counters use the same word.

use std::fmt;

use crate::Errno;

/// A row of the table of endings.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The ending itself.
    pub ending: Ending,
    /// Its name in logs and JSON, such as `connect-timeout`.
    pub word: &'static str,
    /// The usual errno and the call that returns it; empty if there is none.
    pub errno: &'static str,
    /// What happened, as a sentence without a full stop.
    pub sentence: &'static str,
    /// What to try, as a sentence without a full stop. `{host}` is a placeholder for the peer's address. Empty if nothing
    /// is wrong.
    pub advice: &'static str,
}

macro_rules! endings {
    ($($(#[$doc:meta])* $name:ident, $word:literal, $errno:literal, $sentence:literal, $advice:literal;)*) => {
        /// How a connection, or an attempt to connect, ended.
        ///
        /// ```
        /// use tcpecho::{Ending, Errno};
        ///
        /// assert_eq!(Ending::of_connect(Errno::ECONNREFUSED), Ending::Refused);
        /// assert_eq!(Ending::Refused.word(), "refused");
        /// assert_eq!(Ending::from_word("connect-timeout"), Some(Ending::ConnectTimeout));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Ending { $($(#[$doc])* $name,)* }

        /// Every ending with its word, errno, sentence and advice, in the order of the enum.
        pub static ENDINGS: &[Row] = &[$(Row {
            ending: Ending::$name, word: $word, errno: $errno, sentence: $sentence, advice: $advice,
        },)*];
    };
}

endings! {
    /// Both sides sent FIN and every byte came back.
    Finished, "finished", "",
        "both sides sent FIN and every byte came back", "";
    /// The name has no address.
    ResolveFailed, "resolve-failed", "getaddrinfo",
        "the name has no address",
        "check the spelling, then /etc/hosts and the resolver (getent ahosts NAME)";
    /// RST, or ICMP port unreachable, answered the SYN.
    Refused, "refused", "ECONNREFUSED, connect",
        "the connection was refused (RST, or ICMP port unreachable): nobody listens on that port, or a firewall rejects it",
        "check the port, and on the server that it listens on that address (ss -ltn)";
    /// No SYN-ACK in time.
    ConnectTimeout, "connect-timeout", "ETIMEDOUT or our deadline, connect",
        "no SYN-ACK came in time: the SYN or its answer was dropped, or the host is down",
        "look for a firewall that drops the SYN, and try from another host";
    /// A router or the neighbour table reported that the host cannot be reached.
    HostUnreachable, "host-unreachable", "EHOSTUNREACH, connect or later",
        "a router or the neighbour table reported that the host cannot be reached",
        "check that the host is up and its link works (ip neigh)";
    /// There is no route to that network: a router, the routing table or the interfaces of this host say so.
    NetworkUnreachable, "network-unreachable", "ENETUNREACH, connect or later",
        "there is no route to that network: a router, the routing table or the interfaces of this host say so",
        "check the route to it (ip route get {host})";
    /// A rule forbids the connection: a firewall, a prohibit route, a sandbox or a security module.
    Forbidden, "forbidden", "EACCES, EPERM",
        "a rule forbids the connection: a firewall, a prohibit route, a sandbox or a security module",
        "look for the rule: on this host (nft list ruleset, ip rule), then on the path";
    /// No local port is free, or the source address is not of this host.
    NoLocalPort, "no-local-port", "EADDRNOTAVAIL",
        "no local port is free for a connection to that address, or the source address is not of this host",
        "check the source address, and net.ipv4.ip_local_port_range against the sockets in TIME_WAIT";
    /// The peer's FIN came before the whole echo (UNP 5.12, "server terminated prematurely").
    ClosedEarly, "closed-early", "read returns 0",
        "the peer sent FIN before the exchange was complete: it closed, exited or half-closed",
        "find out why: its log, a crash, a shutdown, an idle or connection limit";
    /// The peer's RST.
    Reset, "reset", "ECONNRESET, read or write",
        "the peer sent RST: its process is gone, its host rebooted, or it closed with unread data",
        "look at the server's process and the host's uptime, then for a middlebox that has forgotten the connection";
    /// Wrote after the connection had ended.
    BrokenPipe, "broken-pipe", "EPIPE, write",
        "wrote after the connection had ended: reset, timed out, or after our own FIN",
        "look for the first failure before this one";
    /// An acknowledgement, an answer or the peer's FIN did not come in time.
    TimedOut, "timed-out", "ETIMEDOUT, established",
        "an acknowledgement, an answer or the peer's FIN did not come in time: the host is down, the path is cut, or the server does not answer or close",
        "check that the host answers at all, and that the server still reads";
    /// An idle peer stopped answering keepalive probes.
    KeepaliveTimeout, "keepalive-timeout", "ETIMEDOUT, idle",
        "the idle peer stopped answering keepalive probes: its host is down, the path is cut, or a NAT or firewall has forgotten the connection",
        "check that the host answers at all";
    /// A byte came back changed, missing, duplicated or extra.
    Mismatch, "mismatch", "",
        "a byte came back changed, missing, duplicated or extra",
        "the server is not an echo server, or a device on the path changes bytes";
    /// The server closed the connection at its idle limit.
    Idle, "idle", "",
        "the server closed the connection at its idle limit", "raise the server's idle limit";
    /// The connection limit was reached, or a descriptor, thread, process or memory was missing.
    Limit, "limit", "",
        "the connection limit was reached, or no descriptor, thread, process or memory was left for the connection",
        "raise the server's connection limit, or the limit that its log names";
    /// The server is shutting down.
    Draining, "draining", "",
        "the server was shutting down", "";
    /// The server was asked for a fault: its script, or a reset on request, ended the connection.
    Fault, "fault", "",
        "the server was asked for a fault: its script, or a reset on request, ended the connection", "";
    /// TCP cannot connect to that address, or not from that source address.
    BadAddress, "bad-address", "EINVAL, ENETUNREACH, connect or bind",
        "TCP cannot connect to that address: multicast, broadcast, a link-local address without its interface or with one \
         that does not exist, or an address that does not match the source address or the requested family",
        "use the unicast address of a host; ip address lists those of this host";
    /// A call failed on this host, and its errno says nothing about the peer.
    LocalError, "local-error", "any other errno",
        "a call failed on this host, and its errno says nothing about the peer or the network",
        "find out what restricts this process (seccomp, a security module), and whether the kernel supports the options";
    /// The program was stopped, usually by a signal, before the connection or the attempt to connect had ended.
    Interrupted, "interrupted", "SIGINT, SIGTERM",
        "a signal stopped the program before the connection, or the attempt to connect, had ended", "";
}

impl Ending {
    /// Returns the row of the table.
    #[doc(hidden)]
    #[must_use]
    pub fn row(self) -> &'static Row {
        &ENDINGS[self as usize]
    }

    /// Returns the name that logs and JSON use, such as `connect-timeout`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// Returns what happened, as a sentence without a full stop.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// Returns the ending with this [`word`](Ending::word).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        ENDINGS.iter().find(|row| row.word == word).map(|row| row.ending)
    }

    /// Returns the ending at this index of the table. A child process passes the index to its parent.
    pub(crate) fn from_index(index: usize) -> Option<Self> {
        ENDINGS.get(index).map(|row| row.ending)
    }

    /// Returns what an errno of connect(2) means (ip(7), icmp(7)).
    ///
    /// Linux returns `ENOPROTOOPT`, `EOPNOTSUPP`, `EHOSTDOWN`, `ENONET` and `EPROTO` for ICMP errors that all mean that the
    /// host cannot be reached.
    #[must_use]
    pub fn of_connect(errno: impl Into<Errno>) -> Self {
        match errno.into() {
            Errno::ECONNREFUSED => Ending::Refused,
            Errno::ETIMEDOUT | Errno::EINPROGRESS => Ending::ConnectTimeout,
            Errno::ECONNRESET => Ending::Reset,
            Errno::EINTR => Ending::Interrupted,
            errno => Self::of_icmp(errno).unwrap_or_else(|| Self::of_local(errno)),
        }
    }

    /// Returns what an errno of a call on an established connection means.
    #[must_use]
    pub fn of_established(errno: impl Into<Errno>) -> Self {
        match errno.into() {
            Errno::EPIPE => Ending::BrokenPipe,
            Errno::ETIMEDOUT => Ending::TimedOut,
            Errno::ECONNRESET | Errno::ECONNABORTED => Ending::Reset,
            // ICMP port unreachable; TCP itself would send RST.
            Errno::ECONNREFUSED => Ending::HostUnreachable,
            errno => Self::of_icmp(errno).unwrap_or_else(|| Self::of_local(errno)),
        }
    }

    /// Returns what an errno of a call that sends nothing means: socket(2), setsockopt(2), bind(2).
    #[must_use]
    pub fn of_local(errno: impl Into<Errno>) -> Self {
        match errno.into() {
            Errno::EACCES | Errno::EPERM => Ending::Forbidden,
            Errno::EADDRNOTAVAIL | Errno::EADDRINUSE => Ending::NoLocalPort,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => Ending::Limit,
            _ => Ending::LocalError,
        }
    }

    /// Returns what the errno means if it comes from an ICMP error or the routing table.
    fn of_icmp(errno: Errno) -> Option<Self> {
        match errno {
            Errno::EHOSTUNREACH
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EPROTO
            | Errno::EOPNOTSUPP => Some(Ending::HostUnreachable),
            Errno::ENETUNREACH | Errno::ENETDOWN => Some(Ending::NetworkUnreachable),
            _ => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_and_word_lead_to_the_same_row() {
        for (index, row) in ENDINGS.iter().enumerate() {
            assert_eq!(row.ending as usize, index);
            assert_eq!(Ending::from_word(row.word), Some(row.ending));
            assert_eq!(Ending::from_index(index), Some(row.ending));
            assert!(row.word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", row.word);
        }
        assert_eq!(Ending::from_index(ENDINGS.len()), None);
    }
}
