//! `setsockopt NAME VALUE…`: `on`, `off`, or numbers in the units of the option.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};

use super::{Answer, Refusal, call, number};

pub(super) fn set(socket: &OwnedFd, name: &str, values: &[&str]) -> Answer {
    let millis = |text| number(text).map(Duration::from_millis);
    let seconds = |text| number(text).map(Duration::from_secs);
    match (name, values) {
        ("reuseaddr", [on]) => call(sockopt::set_socket_reuseaddr(socket, switch(on)?)),
        ("reuseport", [on]) => call(sockopt::set_socket_reuseport(socket, switch(on)?)),
        ("nodelay", [on]) => call(sockopt::set_tcp_nodelay(socket, switch(on)?)),
        ("cork", [on]) => call(sockopt::set_tcp_cork(socket, switch(on)?)),
        ("quickack", [on]) => call(sockopt::set_tcp_quickack(socket, switch(on)?)),
        ("defer_accept", [time]) => {
            call(tcpecho_os::socket::set_defer_accept(socket, seconds(time)?))
        }
        ("fastopen", [queue]) => call(tcpecho_os::socket::set_fastopen(socket, number(queue)?)),
        ("fastopen_connect", [on]) => {
            call(tcpecho_os::socket::set_fastopen_connect(socket, switch(on)?))
        }
        ("oobinline", [on]) => call(sockopt::set_socket_oobinline(socket, switch(on)?)),
        ("v6only", [on]) => call(sockopt::set_ipv6_v6only(socket, switch(on)?)),
        ("recverr", [on]) => call(tcpecho_os::socket::set_receive_errors(socket, switch(on)?)),
        ("linger", ["off"]) => call(sockopt::set_socket_linger(socket, None)),
        ("linger", [time]) => call(sockopt::set_socket_linger(socket, Some(seconds(time)?))),
        ("user_timeout", [time]) => call(sockopt::set_tcp_user_timeout(socket, number(time)?)),
        ("rcvbuf", [size]) => call(sockopt::set_socket_recv_buffer_size(socket, number(size)?)),
        ("sndbuf", [size]) => call(sockopt::set_socket_send_buffer_size(socket, number(size)?)),
        ("rcvtimeo", [time]) => timeout(socket, Timeout::Recv, millis(time)?),
        ("sndtimeo", [time]) => timeout(socket, Timeout::Send, millis(time)?),
        ("keepalive", ["off"]) => call(sockopt::set_socket_keepalive(socket, false)),
        // Idle time, probe interval (both in seconds), number of probes.
        ("keepalive", [idle, interval, count]) => {
            sockopt::set_socket_keepalive(socket, true)?;
            sockopt::set_tcp_keepidle(socket, seconds(idle)?)?;
            sockopt::set_tcp_keepintvl(socket, seconds(interval)?)?;
            call(sockopt::set_tcp_keepcnt(socket, number(count)?))
        }
        ("keepalive", ["on"]) => call(sockopt::set_socket_keepalive(socket, true)),
        _ => Err(Refusal::Unknown),
    }
}

/// Allows the process this number of further descriptors.
pub(super) fn limit_descriptors(more: u64) -> Answer {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // New descriptors get the lowest free number, and the limit applies to the number.
    let next = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 0)?;
    let current = Some(u64::from(next.as_raw_fd().unsigned_abs()).saturating_add(more));
    let maximum = getrlimit(Resource::Nofile).maximum;
    call(setrlimit(Resource::Nofile, Rlimit { current, maximum }))
}

fn switch(text: &str) -> Result<bool, Refusal> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Refusal::Unknown),
    }
}

fn timeout(socket: &OwnedFd, which: Timeout, time: Duration) -> Answer {
    call(sockopt::set_socket_timeout(socket, which, (!time.is_zero()).then_some(time)))
}
