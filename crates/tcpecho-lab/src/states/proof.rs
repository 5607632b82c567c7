//! What the packets of one connection prove about one of its ends.

use crate::packet::{Flags, Tcp};

/// Collected from what this end sent and what arrived at it, in order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Proof {
    /// It sent a SYN without ACK: it opened actively.
    pub(super) sent_syn: bool,
    /// Such a SYN arrived.
    pub(super) got_syn: bool,
    /// The answer to its own SYN arrived.
    pub(super) got_syn_ack: bool,
    /// The sequence numbers of its first SYN and of the peer's.
    own_first: Option<u32>,
    their_first: Option<u32>,
    /// The FIN that it sent.
    fin: Option<Fin>,
    /// The kind of segment that acknowledged its FIN, if any.
    acknowledged: Option<By>,
    /// Everything before this sequence number has arrived.
    received: Option<u32>,
    /// The sequence number after the peer's FIN.
    their_fin: Option<u32>,
}

/// A FIN.
#[derive(Debug, Clone, Copy)]
struct Fin {
    /// The sequence number after it.
    end: u32,
    /// It acknowledges the peer's FIN: its sender closed second.
    is_an_answer: bool,
}

/// The first segment that acknowledged a FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// A segment before the peer's FIN.
    Alone,
    /// The peer's FIN itself.
    TheirFin,
    /// A segment after the peer's FIN.
    Late,
}

/// Whether sequence number `a` is not after `b`; the numbers wrap.
fn is_at_most(a: u32, b: u32) -> bool {
    b.wrapping_sub(a) < 1 << 31
}

impl Proof {
    /// It sent this segment.
    pub(super) fn sends(&mut self, tcp: &Tcp) {
        if tcp.flags.has(Flags::SYN) {
            if self.own_first.is_some_and(|first| first != tcp.seq) {
                *self = Proof::default();
            }
            self.own_first = Some(tcp.seq);
            self.sent_syn |= !tcp.flags.has(Flags::ACK);
        }
        if tcp.flags.has(Flags::ACK) && !tcp.flags.has(Flags::RST) {
            // It acknowledges what it has received.
            let known = self.received.is_some_and(|received| is_at_most(tcp.ack, received));
            if !known {
                self.received = Some(tcp.ack);
            }
        }
        if tcp.flags.has(Flags::FIN) && self.fin.is_none() {
            let is_an_answer = self.their_fin.is_some_and(|end| is_at_most(end, tcp.ack));
            self.fin = Some(Fin { end: tcp.end(), is_an_answer });
        }
    }

    /// This segment arrived at it.
    pub(super) fn gets(&mut self, tcp: &Tcp) {
        if tcp.flags.has(Flags::SYN) {
            if self.their_first.is_some_and(|first| first != tcp.seq) {
                *self = Proof::default();
            }
            self.their_first = Some(tcp.seq);
            self.received.get_or_insert(tcp.seq.wrapping_add(1));
            self.got_syn |= !tcp.flags.has(Flags::ACK);
            self.got_syn_ack |= tcp.flags.has(Flags::ACK);
        }
        if tcp.flags.has(Flags::RST) {
            return;
        }
        let has_fin = tcp.flags.has(Flags::FIN);
        let had_their_fin = self.has_their_fin();
        if let Some(received) = self.received
            && is_at_most(tcp.seq, received)
            && !is_at_most(tcp.end(), received)
        {
            self.received = Some(tcp.end());
        }
        if has_fin {
            self.their_fin = Some(tcp.end());
        }
        if let Some(fin) = self.fin
            && tcp.flags.has(Flags::ACK)
            && is_at_most(fin.end, tcp.ack)
            && self.acknowledged.is_none()
        {
            self.acknowledged = Some(if had_their_fin {
                By::Late
            } else if has_fin {
                By::TheirFin
            } else {
                By::Alone
            });
        }
    }

    pub(super) fn sent_fin(&self) -> bool {
        self.fin.is_some()
    }

    /// The peer's FIN has arrived, and everything before it.
    pub(super) fn has_their_fin(&self) -> bool {
        let received = self.received;
        self.their_fin.is_some_and(|end| received.is_some_and(|it| is_at_most(end, it)))
    }

    /// It sent its FIN after the peer's FIN had arrived.
    pub(super) fn is_fin_an_answer(&self) -> bool {
        self.fin.is_some_and(|fin| fin.is_an_answer)
    }

    pub(super) fn is_fin_acknowledged(&self) -> bool {
        self.acknowledged.is_some()
    }

    /// Its FIN was acknowledged before the peer's FIN arrived.
    pub(super) fn is_fin_acknowledged_alone(&self) -> bool {
        self.acknowledged == Some(By::Alone)
    }

    /// Its FIN was acknowledged by the peer's FIN, or before.
    pub(super) fn is_fin_acknowledged_before_theirs(&self) -> bool {
        matches!(self.acknowledged, Some(By::Alone | By::TheirFin))
    }

    /// Its FIN was acknowledged only after the peer's FIN had arrived: the FINs crossed.
    pub(super) fn is_fin_acknowledged_late(&self) -> bool {
        self.acknowledged == Some(By::Late)
    }
}
