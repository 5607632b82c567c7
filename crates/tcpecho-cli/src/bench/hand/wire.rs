//! What the kernel says of connections, added up.

use std::os::fd::AsFd;

use tcpecho_os::tcp_info::tcp_info;

/// What the kernel says of the connections at the end of the measured time.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench) struct WireSums {
    pub(in crate::bench) connections: u64,
    pub(in crate::bench) rtt_us: u64,
    pub(in crate::bench) min_rtt_us: Option<u32>,
    pub(in crate::bench) retransmits: u64,
}

impl WireSums {
    pub(in crate::bench) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.rtt_us += other.rtt_us;
        self.retransmits += other.retransmits;
        self.min_rtt_us = self.min_rtt_us.into_iter().chain(other.min_rtt_us).min();
    }

    pub(super) fn note(&mut self, socket: impl AsFd) {
        let Ok(info) = tcp_info(socket) else { return };
        self.connections += 1;
        self.rtt_us += u64::from(info.rtt_us);
        self.retransmits += u64::from(info.total_retrans);
        let min = info.min_rtt_us.filter(|us| *us != u32::MAX);
        self.min_rtt_us = self.min_rtt_us.into_iter().chain(min).min();
    }
}
