//! Sums over `TCP_INFO` of the connections of a run.

use std::os::fd::AsFd;

use tcpecho_os::tcp_info::tcp_info;

/// Sums over `TCP_INFO` of the connections, at the end of the measured time or when a connection is closed.
#[derive(Debug, Clone, Copy, Default)]
pub struct WireSums {
    /// Connections that were asked.
    pub connections: u64,
    /// Sum of their smoothed round-trip times, in microseconds.
    pub rtt_us: u64,
    /// The shortest round-trip time of all, in microseconds.
    pub min_rtt_us: Option<u32>,
    /// Segments that were retransmitted.
    pub retransmits: u64,
}

impl WireSums {
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.rtt_us += other.rtt_us;
        self.retransmits += other.retransmits;
        self.min_rtt_us = self.min_rtt_us.into_iter().chain(other.min_rtt_us).min();
    }

    /// Returns the mean of the connections' smoothed round-trip times, in microseconds.
    #[must_use]
    pub fn rtt_mean_us(&self) -> Option<f64> {
        (self.connections > 0).then(|| self.rtt_us as f64 / self.connections as f64)
    }

    /// Adds one connection; nothing if its socket cannot be asked.
    pub(crate) fn note(&mut self, socket: impl AsFd) {
        let Ok(info) = tcp_info(socket) else { return };
        self.connections += 1;
        self.rtt_us += u64::from(info.rtt_us);
        self.retransmits += u64::from(info.total_retrans);
        let min = info.min_rtt_us.filter(|us| *us != u32::MAX);
        self.min_rtt_us = self.min_rtt_us.into_iter().chain(min).min();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_add_up_and_have_a_mean() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let streams = [connect(), connect(), connect()];
        let infos = streams.each_ref().map(|stream| tcp_info(stream).unwrap());
        let mut sums = WireSums::default();
        assert_eq!(sums.rtt_mean_us(), None);
        for stream in &streams {
            sums.note(stream);
        }
        // What is no connection is not counted.
        sums.note(std::fs::File::open("/dev/null").unwrap());
        let rtt: u64 = infos.iter().map(|info| u64::from(info.rtt_us)).sum();
        let retransmits: u64 = infos.iter().map(|info| u64::from(info.total_retrans)).sum();
        assert_eq!((sums.connections, sums.rtt_us, sums.retransmits), (3, rtt, retransmits));
        assert_eq!(sums.min_rtt_us, infos.iter().filter_map(|info| info.min_rtt_us).min());
        let other = WireSums { connections: 1, rtt_us: 7, min_rtt_us: Some(0), retransmits: 2 };
        sums.add(&other);
        assert_eq!((sums.connections, sums.rtt_us), (4, rtt + 7));
        assert_eq!((sums.retransmits, sums.min_rtt_us), (retransmits + 2, Some(0)));
        let sums = WireSums { connections: 4, rtt_us: 50, ..sums };
        assert_eq!(sums.rtt_mean_us(), Some(12.5));
    }
}
