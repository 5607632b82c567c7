//! The states of a TCP socket, with the numbers that `TCP_INFO` and `inet_diag` share.

use std::fmt;

/// The state of a TCP socket (RFC 9293 3.3.2), with the numbers of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "RFC 9293 names them")]
pub enum TcpState {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A connection request that has no full socket yet; tools print it as `SYN_RECV`.
    NewSynRecv,
    /// A number that this table does not know.
    Other(u8),
}

impl TcpState {
    const ALL: [(TcpState, &'static str); 12] = [
        (TcpState::Established, "ESTABLISHED"),
        (TcpState::SynSent, "SYN_SENT"),
        (TcpState::SynRecv, "SYN_RECV"),
        (TcpState::FinWait1, "FIN_WAIT_1"),
        (TcpState::FinWait2, "FIN_WAIT_2"),
        (TcpState::TimeWait, "TIME_WAIT"),
        (TcpState::Close, "CLOSED"),
        (TcpState::CloseWait, "CLOSE_WAIT"),
        (TcpState::LastAck, "LAST_ACK"),
        (TcpState::Listen, "LISTEN"),
        (TcpState::Closing, "CLOSING"),
        (TcpState::NewSynRecv, "NEW_SYN_RECV"),
    ];

    /// Returns the state with this number (`TCP_ESTABLISHED` is 1).
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        let row = usize::from(number).checked_sub(1).and_then(|row| Self::ALL.get(row));
        row.map_or(TcpState::Other(number), |row| row.0)
    }

    /// Returns the state's name as RFC 9293 writes it, with underscores; `?` for an unknown one.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("?", |row| row.1)
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_kernel_s_numbers() {
        assert_eq!(TcpState::from_number(1), TcpState::Established);
        assert_eq!(TcpState::from_number(10), TcpState::Listen);
        assert_eq!(TcpState::from_number(12), TcpState::NewSynRecv);
        assert_eq!(TcpState::from_number(13), TcpState::Other(13));
        assert_eq!(format!("{:>11}", TcpState::TimeWait), "  TIME_WAIT");
    }
}
