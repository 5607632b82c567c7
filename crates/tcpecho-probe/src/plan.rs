//! What to probe, and how.

use std::{net::SocketAddr, time::Duration};

use tcpecho::{Endpoint, Family};

use crate::schedule::Pace;

/// The largest probe, in bytes.
pub const LARGEST_PROBE: usize = 16 << 20;

/// The most connections to one target at the same time, in the modes that make one for each probe.
pub const MOST_CONNECTIONS: usize = 256;

/// Which connection a probe uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One connection for all probes, made again when it ends.
    Stay,
    /// A new connection for each probe.
    Reconnect,
    /// The handshake is the probe, and nothing is sent.
    Connect,
}

/// What to send to each target, when, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which connection a probe uses.
    pub mode: Mode,
    /// When probes are due.
    pub pace: Pace,
    /// The number of probes; with a deadline, the number of answers to wait for. `None` for no limit.
    pub count: Option<u64>,
    /// Ends the run after this time.
    pub deadline: Option<Duration>,
    /// Time limit for an answer, and for each attempt to connect.
    pub timeout: Duration,
    /// Bytes in a probe, from 1 to [`LARGEST_PROBE`]. A probe of less than 32 bytes has no room for its number.
    pub size: usize,
    /// The local address to connect from.
    pub source: Option<SocketAddr>,
    /// The interface to use (socket(7), `SO_BINDTODEVICE`).
    pub device: Option<String>,
    /// Measure round trips by the kernel's timestamps where it has them (`SO_TIMESTAMPING`).
    pub kernel_timestamps: bool,
    /// Keep the time of each probe in [`Target::times`](crate::Target::times).
    pub keep_times: bool,
    /// Connections to one target at the same time, from 1 to [`MOST_CONNECTIONS`].
    pub connections: usize,
    /// Try the addresses of a name in parallel (RFC 8305), which takes a descriptor for each.
    pub overlap: bool,
}

/// A target with its addresses.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The name that events and results carry.
    pub name: String,
    /// The name to resolve again when connections end or addresses are old. `None` keeps the addresses.
    pub looked_up: Option<Name>,
    /// The addresses. The first that answers is used.
    pub addrs: Vec<SocketAddr>,
}

/// A host name and port, and the address family to resolve it to.
#[derive(Debug, Clone)]
pub struct Name {
    /// The host and port.
    pub endpoint: Endpoint,
    /// The address family.
    pub family: Family,
}
