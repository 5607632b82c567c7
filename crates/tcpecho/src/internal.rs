//! Items for the program `tcpecho` only. They are not part of the public interface and change without notice.

use std::os::fd::BorrowedFd;

use tcpecho_os::{error_queue::QueuedError, tcp_info::TcpInfo};

use crate::Evidence;

pub use crate::{
    bind::{Reasons, explain_bind, explain_unconnectable, is_local},
    client::{ask_host, lookup, relay},
    counted::counted,
    diagnosis::{CASES, Case},
    duration::{parse_duration, show_duration, show_elapsed, show_nanoseconds, three_digits},
    ending::{ENDINGS, Row},
    endpoint::{
        ListenHost, interface_index, is_port, parse_listen, parse_listen_port, parse_source,
    },
    evidence::{Kernel, Route, Stack, Towards},
    fault::{STEPS, StepRow, player::PLAYER_DESCRIPTORS},
    listener::LONGEST_USER_TIMEOUT,
    size::{parse_rate, parse_size, parse_time},
};

/// The evidence that comes from the kernel, in the types of the kernel's interface.
#[derive(Debug, Clone, Copy)]
pub struct KernelFacts<'a> {
    /// TCP_INFO at the time of the failure.
    pub tcp: Option<&'a TcpInfo>,
    /// The ICMP errors in the socket's error queue, the oldest first.
    pub routers: &'a [QueuedError],
    /// The result of a route lookup for the peer's address.
    pub route: Option<Route>,
    /// This host's own TCP settings.
    pub kernel: &'a Kernel,
    /// This host's sockets that are connected to the peer's address, if no port was free.
    pub towards: Option<Towards>,
    /// The state of this host's network interfaces, if they may be the cause.
    pub stack: &'a Stack,
}

impl<'a> KernelFacts<'a> {
    /// Returns the kernel facts of `evidence`.
    #[must_use]
    pub fn of(evidence: &'a Evidence) -> Self {
        let Evidence { tcp, routers, route, kernel, towards, stack, .. } = evidence;
        KernelFacts { tcp: tcp.as_ref(), routers, route: *route, kernel, towards: *towards, stack }
    }
}

/// Adds facts from the socket. Empties the socket's error queue.
pub fn ask_socket(evidence: &mut Evidence, fd: BorrowedFd<'_>) {
    evidence.ask_socket(fd);
}
