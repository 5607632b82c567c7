//! Constants and their names.

/// One of several values.
type Names = &'static [(i32, &'static str)];

pub(super) const FAMILIES: Names = &[
    (libc::AF_UNIX, "AF_UNIX"),
    (libc::AF_INET, "AF_INET"),
    (libc::AF_INET6, "AF_INET6"),
    (libc::AF_NETLINK, "AF_NETLINK"),
    (libc::AF_PACKET, "AF_PACKET"),
];
pub(super) const KINDS: Names = &[
    (libc::SOCK_STREAM, "SOCK_STREAM"),
    (libc::SOCK_DGRAM, "SOCK_DGRAM"),
    (libc::SOCK_RAW, "SOCK_RAW"),
    (libc::SOCK_SEQPACKET, "SOCK_SEQPACKET"),
];
pub(super) const KIND_FLAGS: Names =
    &[(libc::SOCK_CLOEXEC, "SOCK_CLOEXEC"), (libc::SOCK_NONBLOCK, "SOCK_NONBLOCK")];
pub(super) const SEND_FLAGS: Names = &[
    (libc::MSG_OOB, "MSG_OOB"),
    (libc::MSG_PEEK, "MSG_PEEK"),
    (libc::MSG_DONTROUTE, "MSG_DONTROUTE"),
    (libc::MSG_TRUNC, "MSG_TRUNC"),
    (libc::MSG_DONTWAIT, "MSG_DONTWAIT"),
    (libc::MSG_EOR, "MSG_EOR"),
    (libc::MSG_WAITALL, "MSG_WAITALL"),
    (libc::MSG_ERRQUEUE, "MSG_ERRQUEUE"),
    (libc::MSG_NOSIGNAL, "MSG_NOSIGNAL"),
    (libc::MSG_MORE, "MSG_MORE"),
    (libc::MSG_ZEROCOPY, "MSG_ZEROCOPY"),
    (libc::MSG_FASTOPEN, "MSG_FASTOPEN"),
    (libc::MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC"),
];
pub(super) const SHUTDOWNS: Names =
    &[(libc::SHUT_RD, "SHUT_RD"), (libc::SHUT_WR, "SHUT_WR"), (libc::SHUT_RDWR, "SHUT_RDWR")];
pub(super) const POLL_FLAGS: Names = &[
    (libc::POLLIN as i32, "IN"),
    (libc::POLLPRI as i32, "PRI"),
    (libc::POLLOUT as i32, "OUT"),
    (libc::POLLERR as i32, "ERR"),
    (libc::POLLHUP as i32, "HUP"),
    (libc::POLLNVAL as i32, "NVAL"),
    (libc::POLLRDHUP as i32, "RDHUP"),
];
/// The same bits as those of poll(2), and the flags of their reporting.
pub(super) const EPOLL_FLAGS: Names = &[
    (libc::EPOLLIN, "IN"),
    (libc::EPOLLPRI, "PRI"),
    (libc::EPOLLOUT, "OUT"),
    (libc::EPOLLERR, "ERR"),
    (libc::EPOLLHUP, "HUP"),
    (libc::EPOLLRDHUP, "RDHUP"),
    (libc::EPOLLEXCLUSIVE, "EXCLUSIVE"),
    (libc::EPOLLONESHOT, "ONESHOT"),
    (libc::EPOLLET, "ET"),
];
pub(super) const EPOLL_OPERATIONS: Names =
    &[(libc::EPOLL_CTL_ADD, "ADD"), (libc::EPOLL_CTL_DEL, "DEL"), (libc::EPOLL_CTL_MOD, "MOD")];
pub(super) const SOCKET_OPTIONS: Names = &[
    (libc::SO_REUSEADDR, "SO_REUSEADDR"),
    (libc::SO_TYPE, "SO_TYPE"),
    (libc::SO_ERROR, "SO_ERROR"),
    (libc::SO_DONTROUTE, "SO_DONTROUTE"),
    (libc::SO_BROADCAST, "SO_BROADCAST"),
    (libc::SO_SNDBUF, "SO_SNDBUF"),
    (libc::SO_RCVBUF, "SO_RCVBUF"),
    (libc::SO_KEEPALIVE, "SO_KEEPALIVE"),
    (libc::SO_OOBINLINE, "SO_OOBINLINE"),
    (libc::SO_PRIORITY, "SO_PRIORITY"),
    (libc::SO_LINGER, "SO_LINGER"),
    (libc::SO_REUSEPORT, "SO_REUSEPORT"),
    (libc::SO_PASSCRED, "SO_PASSCRED"),
    (libc::SO_RCVLOWAT, "SO_RCVLOWAT"),
    (libc::SO_SNDLOWAT, "SO_SNDLOWAT"),
    (libc::SO_RCVTIMEO, "SO_RCVTIMEO"),
    (libc::SO_SNDTIMEO, "SO_SNDTIMEO"),
    (libc::SO_BINDTODEVICE, "SO_BINDTODEVICE"),
    (libc::SO_ACCEPTCONN, "SO_ACCEPTCONN"),
    (libc::SO_PROTOCOL, "SO_PROTOCOL"),
    (libc::SO_DOMAIN, "SO_DOMAIN"),
    (libc::SO_BUSY_POLL, "SO_BUSY_POLL"),
    (libc::SO_INCOMING_CPU, "SO_INCOMING_CPU"),
    (libc::SO_ZEROCOPY, "SO_ZEROCOPY"),
    (libc::SO_TIMESTAMP, "SO_TIMESTAMP"),
    (libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS"),
    (libc::SO_TIMESTAMPING, "SO_TIMESTAMPING"),
    (libc::SO_PEERCRED, "SO_PEERCRED"),
    (libc::SO_MARK, "SO_MARK"),
    (libc::SO_RXQ_OVFL, "SO_RXQ_OVFL"),
    (libc::SO_ATTACH_FILTER, "SO_ATTACH_FILTER"),
    (libc::SO_ATTACH_REUSEPORT_CBPF, "SO_ATTACH_REUSEPORT_CBPF"),
    (libc::SO_ATTACH_REUSEPORT_EBPF, "SO_ATTACH_REUSEPORT_EBPF"),
    (libc::SO_INCOMING_NAPI_ID, "SO_INCOMING_NAPI_ID"),
    (libc::SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE"),
    (libc::SO_COOKIE, "SO_COOKIE"),
    // With 64 bits for the seconds on every processor (linux/asm-generic/socket.h).
    (63, "SO_TIMESTAMP_NEW"),
    (64, "SO_TIMESTAMPNS_NEW"),
    (65, "SO_TIMESTAMPING_NEW"),
    (66, "SO_RCVTIMEO_NEW"),
    (67, "SO_SNDTIMEO_NEW"),
    (69, "SO_PREFER_BUSY_POLL"),
    (70, "SO_BUSY_POLL_BUDGET"),
];
pub(super) const TCP_OPTIONS: Names = &[
    (libc::TCP_NODELAY, "TCP_NODELAY"),
    (libc::TCP_MAXSEG, "TCP_MAXSEG"),
    (libc::TCP_CORK, "TCP_CORK"),
    (libc::TCP_KEEPIDLE, "TCP_KEEPIDLE"),
    (libc::TCP_KEEPINTVL, "TCP_KEEPINTVL"),
    (libc::TCP_KEEPCNT, "TCP_KEEPCNT"),
    (libc::TCP_SYNCNT, "TCP_SYNCNT"),
    (libc::TCP_LINGER2, "TCP_LINGER2"),
    (libc::TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"),
    (libc::TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP"),
    (libc::TCP_INFO, "TCP_INFO"),
    (libc::TCP_QUICKACK, "TCP_QUICKACK"),
    (libc::TCP_CONGESTION, "TCP_CONGESTION"),
    (libc::TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"),
    (libc::TCP_FASTOPEN, "TCP_FASTOPEN"),
    (libc::TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"),
    (libc::TCP_FASTOPEN_CONNECT, "TCP_FASTOPEN_CONNECT"),
    (libc::TCP_FASTOPEN_KEY, "TCP_FASTOPEN_KEY"),
    (libc::TCP_FASTOPEN_NO_COOKIE, "TCP_FASTOPEN_NO_COOKIE"),
    (libc::TCP_TIMESTAMP, "TCP_TIMESTAMP"),
    (libc::TCP_ULP, "TCP_ULP"),
    (libc::TCP_SAVE_SYN, "TCP_SAVE_SYN"),
    (libc::TCP_SAVED_SYN, "TCP_SAVED_SYN"),
    (libc::TCP_MD5SIG, "TCP_MD5SIG"),
    (libc::TCP_REPAIR, "TCP_REPAIR"),
    (libc::TCP_INQ, "TCP_INQ"),
    (libc::TCP_ZEROCOPY_RECEIVE, "TCP_ZEROCOPY_RECEIVE"),
    (37, "TCP_TX_DELAY"),
];
pub(super) const IP_OPTIONS: Names = &[
    (libc::IP_TOS, "IP_TOS"),
    (libc::IP_TTL, "IP_TTL"),
    (libc::IP_RECVERR, "IP_RECVERR"),
    (libc::IP_MTU_DISCOVER, "IP_MTU_DISCOVER"),
    (libc::IP_MTU, "IP_MTU"),
    (libc::IP_FREEBIND, "IP_FREEBIND"),
    (libc::IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT"),
];
pub(super) const IPV6_OPTIONS: Names = &[
    (libc::IPV6_V6ONLY, "IPV6_V6ONLY"),
    (libc::IPV6_TCLASS, "IPV6_TCLASS"),
    (libc::IPV6_RECVERR, "IPV6_RECVERR"),
    (libc::IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER"),
    (libc::IPV6_MTU, "IPV6_MTU"),
];
pub(super) const LEVELS: &[(i32, &str, Names)] = &[
    (libc::SOL_SOCKET, "SOL_SOCKET", SOCKET_OPTIONS),
    (libc::IPPROTO_TCP, "IPPROTO_TCP", TCP_OPTIONS),
    (libc::IPPROTO_IP, "IPPROTO_IP", IP_OPTIONS),
    (libc::IPPROTO_IPV6, "IPPROTO_IPV6", IPV6_OPTIONS),
];
pub(super) const WAIT_FLAGS: Names = &[
    (libc::WNOHANG, "WNOHANG"),
    (libc::WUNTRACED, "WUNTRACED"),
    (libc::WEXITED, "WEXITED"),
    (libc::WCONTINUED, "WCONTINUED"),
    (libc::WNOWAIT, "WNOWAIT"),
    (libc::__WALL, "__WALL"),
];
const SIGNALS: Names = &[
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGKILL, "SIGKILL"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGPIPE, "SIGPIPE"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGCHLD, "SIGCHLD"),
    (libc::SIGCONT, "SIGCONT"),
    (libc::SIGSTOP, "SIGSTOP"),
    (libc::SIGTSTP, "SIGTSTP"),
    (libc::SIGTTIN, "SIGTTIN"),
    (libc::SIGTTOU, "SIGTTOU"),
    (libc::SIGURG, "SIGURG"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGWINCH, "SIGWINCH"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGSYS, "SIGSYS"),
];

/// The name of this number, or the number.
pub(super) fn one(value: i32, names: Names) -> String {
    let name = names.iter().find(|(number, _)| *number == value);
    name.map_or_else(|| value.to_string(), |(_, name)| (*name).into())
}

/// The names of these bits, and the rest as a number; empty for none.
pub(super) fn several(value: i32, names: Names) -> String {
    let mut left = value;
    let mut found = Vec::new();
    for (bits, name) in names {
        if *bits != 0 && left & bits == *bits {
            left &= !bits;
            found.push((*name).to_string());
        }
    }
    if left != 0 {
        found.push(format!("{left:#x}"));
    }
    found.join("|")
}

/// A signal's name.
pub(crate) fn signal(number: i32) -> String {
    let name = SIGNALS.iter().find(|(other, _)| *other == number);
    name.map_or_else(|| format!("signal {number}"), |(_, name)| (*name).into())
}
