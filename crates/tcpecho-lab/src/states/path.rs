//! The states of a socket between two samples: the packets decide what TCP's state machine leaves
//! open.

use tcpecho_os::tcp_state::TcpState::{
    self, Close, CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynRecv,
    SynSent, TimeWait,
};

use super::proof::Proof;

/// A state, or none if the socket is not in the kernel's table.
pub(super) type Node = Option<TcpState>;

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) before: Node,
    pub(super) now: Node,
    /// Whether other states may have come between: neither the state machine nor the packets
    /// decide.
    pub(super) sampled: bool,
}

/// Every transition of a socket in Linux (RFC 9293 3.3.2, figure 5; a SYN cookie makes a connection
/// without a socket before).
const TRANSITIONS: &[(Node, &[Node])] = &[
    (None, &[Some(Close), Some(Listen), Some(SynSent), Some(SynRecv), Some(Established)]),
    (Some(Close), &[Some(Listen), Some(SynSent), None]),
    (Some(Listen), &[Some(Close), None]),
    (Some(SynSent), &[Some(SynRecv), Some(Established), Some(Close), None]),
    (Some(SynRecv), &[Some(Established), Some(FinWait1), None]),
    (Some(Established), &[Some(FinWait1), Some(CloseWait), None]),
    (Some(FinWait1), &[Some(FinWait2), Some(Closing), Some(TimeWait), None]),
    (Some(FinWait2), &[Some(TimeWait), None]),
    (Some(Closing), &[Some(TimeWait), None]),
    (Some(CloseWait), &[Some(LastAck), None]),
    (Some(LastAck), &[None]),
    (Some(TimeWait), &[None]),
];

fn followers(node: Node) -> &'static [Node] {
    TRANSITIONS.iter().find(|(from, _)| *from == node).map_or(&[], |(_, to)| to)
}

/// The certain changes between two samples, in order. If nothing else is known, that is one.
pub(super) fn between(before: Node, now: Node, proof: &Proof) -> Vec<Hop> {
    let mut paths = Vec::new();
    walk(&mut vec![before], now, proof, &mut paths);
    if paths.is_empty() && before.is_some() && now.is_some() {
        // These are two connections: the first has gone, and another has the same ports.
        let mut hops = between(before, None, &Proof::default());
        hops.extend(between(None, now, proof));
        return hops;
    }
    let Some((first, others)) = paths.split_first() else {
        return vec![Hop { before, now, sampled: true }];
    };
    let certain: Vec<Node> = first
        .iter()
        .copied()
        .filter(|node| others.iter().all(|other| other.contains(node)))
        .collect();
    let is_next_in = |path: &Vec<Node>, pair: &[Node]| path.windows(2).any(|hop| hop == pair);
    certain
        .windows(2)
        .map(|pair| Hop {
            before: pair[0],
            now: pair[1],
            sampled: !paths.iter().all(|path| is_next_in(path, pair)),
        })
        .collect()
}

/// Every path to `now` that the packets allow, without a state twice.
fn walk(path: &mut Vec<Node>, now: Node, proof: &Proof, paths: &mut Vec<Vec<Node>>) {
    let Some(here) = path.last().copied() else { return };
    for next in followers(here).iter().copied() {
        let is_end = next == now;
        // A socket without a connection is between two connections, or before the first: no path
        // goes through it.
        let is_idle = matches!(next, None | Some(Close));
        if path.contains(&next) || (is_idle && !is_end) {
            continue;
        }
        if !proof.allows(here, next, now) {
            continue;
        }
        path.push(next);
        if is_end {
            paths.push(path.clone());
        } else {
            walk(path, now, proof, paths);
        }
        path.pop();
    }
}

impl Proof {
    /// Whether a socket that is in `now` at the end may have gone from `here` to `next`.
    fn allows(&self, here: Node, next: Node, now: Node) -> bool {
        let (Some(here), Some(next)) = (here, next) else {
            return match (here, next) {
                (None, Some(SynSent)) => self.sent_syn || next == now,
                (None, Some(SynRecv | Established)) => !self.sent_syn,
                (Some(SynSent), None) => !self.got_syn_ack,
                (Some(SynRecv), None) => !self.sent_fin(),
                (Some(Established), None) => !self.has_their_fin() && !self.sent_fin(),
                (Some(CloseWait), None) => !self.sent_fin(),
                (Some(FinWait1), None) => !self.is_fin_acknowledged(),
                (Some(FinWait2), None) => !self.has_their_fin(),
                (Some(Closing), None) => !self.is_fin_acknowledged(),
                _ => true,
            };
        };
        // A socket that has gone must have been seen in each state; the state of a socket that
        // exists proves itself.
        let is_end = Some(next) == now;
        let needs_proof = now.is_none();
        match (here, next) {
            (SynSent, Established) if needs_proof && !self.got_syn_ack => false,
            (SynRecv, Established) => !needs_proof || self.sent_fin(),
            (SynSent, SynRecv) => self.got_syn && self.sent_syn,
            (SynSent, Established) => !(self.got_syn && self.sent_syn),
            // Only a socket with an owner can be closed; a request for a connection has none.
            (SynRecv, FinWait1) => self.sent_syn,
            (Established, CloseWait) if self.sent_fin() => self.is_fin_an_answer(),
            (Established, CloseWait) => !needs_proof || self.has_their_fin(),
            (Established, FinWait1) if self.sent_fin() => !self.is_fin_an_answer(),
            // A FIN that the wire has not processed yet proves nothing.
            (Established, FinWait1) => !needs_proof,
            (CloseWait, LastAck) => is_end || self.sent_fin(),
            (FinWait1, FinWait2) => is_end || self.is_fin_acknowledged_alone(),
            (FinWait1, Closing) => {
                is_end || (self.has_their_fin() && !self.is_fin_acknowledged_before_theirs())
            }
            (FinWait1, TimeWait) => {
                !self.is_fin_acknowledged_alone()
                    && !self.is_fin_acknowledged_late()
                    && (!needs_proof || self.has_their_fin())
            }
            (FinWait2, TimeWait) => !needs_proof || self.has_their_fin(),
            (Closing, TimeWait) => !needs_proof || self.is_fin_acknowledged(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Flags, Tcp};

    /// A conversation as one end sees it: `>` it sends, `<` arrives.
    fn proof(packets: &[(char, Flags, u32, u32)]) -> Proof {
        let mut proof = Proof::default();
        for (direction, flags, seq, ack) in packets {
            let tcp = Tcp { flags: *flags, seq: *seq, ack: *ack, ..Tcp::default() };
            if *direction == '>' { proof.sends(&tcp) } else { proof.gets(&tcp) }
        }
        proof
    }

    fn shown(hops: &[Hop]) -> String {
        let word = |node: Node| node.map_or("-", TcpState::word);
        let mut text = hops.first().map_or(String::new(), |hop| word(hop.before).into());
        for hop in hops {
            text += if hop.sampled { " .. " } else { " " };
            text += word(hop.now);
        }
        text
    }

    const SYN: Flags = Flags::SYN;
    const ACK: Flags = Flags::ACK;

    fn fin() -> Flags {
        Flags::FIN | Flags::ACK
    }

    fn syn_ack() -> Flags {
        Flags::SYN | Flags::ACK
    }

    /// The server's side of a handshake; its sequence numbers begin at 500, the client's at 100.
    fn accepted() -> Vec<(char, Flags, u32, u32)> {
        vec![('<', SYN, 100, 0), ('>', syn_ack(), 500, 101), ('<', ACK, 101, 501)]
    }

    fn connected() -> Vec<(char, Flags, u32, u32)> {
        vec![('>', SYN, 500, 0), ('<', syn_ack(), 100, 501), ('>', ACK, 501, 101)]
    }

    #[test]
    fn what_the_state_machine_alone_proves_is_filled_in() {
        let nothing = Proof::default();
        for (before, now, wanted) in [
            (Some(SynRecv), Some(FinWait1), "SYN_RECV ESTABLISHED FIN_WAIT_1"),
            (Some(SynRecv), Some(CloseWait), "SYN_RECV ESTABLISHED CLOSE_WAIT"),
            (Some(SynSent), Some(FinWait2), "SYN_SENT ESTABLISHED FIN_WAIT_1 FIN_WAIT_2"),
            (Some(Established), Some(LastAck), "ESTABLISHED CLOSE_WAIT LAST_ACK"),
            (Some(Established), Some(FinWait1), "ESTABLISHED FIN_WAIT_1"),
            (None, Some(Listen), "- LISTEN"),
            (Some(TimeWait), Some(SynRecv), "TIME_WAIT - SYN_RECV"),
        ] {
            assert_eq!(shown(&between(before, now, &nothing)), wanted);
        }
    }

    #[test]
    fn packets_decide_between_the_paths() {
        let with = |mut packets: Vec<_>, more: &[_]| {
            packets.extend_from_slice(more);
            proof(&packets)
        };
        // It closed first, and the wire saw everything: its FIN acknowledged, then the peer's FIN.
        let in_order = with(
            connected(),
            &[('>', fin(), 501, 101), ('<', ACK, 101, 502), ('<', fin(), 101, 502)],
        );
        assert_eq!(
            shown(&between(Some(Established), Some(TimeWait), &in_order)),
            "ESTABLISHED FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT"
        );
        // The peer's FIN acknowledges its FIN.
        let at_once = with(connected(), &[('>', fin(), 501, 101), ('<', fin(), 101, 502)]);
        assert_eq!(
            shown(&between(Some(Established), Some(TimeWait), &at_once)),
            "ESTABLISHED FIN_WAIT_1 TIME_WAIT"
        );
        // The FINs cross.
        let crossed = with(
            connected(),
            &[
                ('>', fin(), 501, 101),
                ('<', fin(), 101, 501),
                ('>', ACK, 502, 102),
                ('<', ACK, 102, 502),
            ],
        );
        assert_eq!(
            shown(&between(Some(Established), Some(TimeWait), &crossed)),
            "ESTABLISHED FIN_WAIT_1 CLOSING TIME_WAIT"
        );
        // The peer closed first.
        let passive = with(
            accepted(),
            &[('<', fin(), 101, 501), ('>', fin(), 501, 102), ('<', ACK, 102, 502)],
        );
        assert_eq!(
            shown(&between(Some(Established), None, &passive)),
            "ESTABLISHED CLOSE_WAIT LAST_ACK -"
        );
        assert_eq!(
            shown(&between(Some(SynRecv), None, &passive)),
            "SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK -"
        );
        // Reset, with no FIN at all.
        let reset = with(accepted(), &[('<', Flags::RST, 101, 0)]);
        assert_eq!(shown(&between(Some(Established), None, &reset)), "ESTABLISHED -");
        let reset_late = with(
            connected(),
            &[('>', fin(), 501, 101), ('<', ACK, 101, 502), ('>', Flags::RST, 502, 0)],
        );
        assert_eq!(shown(&between(Some(FinWait2), None, &reset_late)), "FIN_WAIT_2 -");
        let refused = proof(&[('>', SYN, 500, 0), ('<', Flags::RST, 0, 501)]);
        assert_eq!(shown(&between(Some(SynSent), None, &refused)), "SYN_SENT -");
        let dropped = proof(&accepted());
        assert_eq!(shown(&between(Some(SynRecv), None, &dropped)), "SYN_RECV -");
        // The handshake, by who sent the SYN.
        let opened = proof(&connected());
        assert_eq!(shown(&between(None, Some(Established), &opened)), "- SYN_SENT ESTABLISHED");
    }

    #[test]
    fn a_simultaneous_open_is_recognized_by_the_syn_that_arrived() {
        let both = proof(&[
            ('>', SYN, 500, 0),
            ('<', SYN, 100, 0),
            ('>', syn_ack(), 500, 101),
            ('<', syn_ack(), 100, 501),
        ]);
        let hops = between(Some(SynSent), Some(Established), &both);
        assert_eq!(shown(&hops), "SYN_SENT SYN_RECV ESTABLISHED");
    }

    #[test]
    fn unknown_transitions_are_marked() {
        let nothing = Proof::default();
        assert_eq!(
            shown(&between(Some(Established), Some(TimeWait), &nothing)),
            "ESTABLISHED FIN_WAIT_1 TIME_WAIT"
        );
        // A cookie makes a connection without SYN_RECV; without a cookie there was that state.
        let passive = proof(&accepted());
        assert_eq!(shown(&between(None, Some(Established), &passive)), "- .. ESTABLISHED");
        // No path leads there.
        assert_eq!(shown(&between(Some(Listen), Some(TcpState::Other(99)), &nothing)), {
            "LISTEN - .. ?"
        });
    }

    /// Whatever was seen: the hops begin and end as the samples did, each begins where the one
    /// before ended, and every unmarked hop is a transition of TCP.
    #[test]
    fn every_pair_of_samples_gives_a_chain_of_transitions() {
        let states = TRANSITIONS.iter().map(|(node, _)| *node).collect::<Vec<_>>();
        let conversations = [
            vec![],
            connected(),
            accepted(),
            [connected(), vec![('>', fin(), 501, 101)]].concat(),
            [accepted(), vec![('<', fin(), 101, 501)]].concat(),
            [accepted(), vec![('<', fin(), 101, 501), ('>', fin(), 501, 102)]].concat(),
            [connected(), vec![('>', fin(), 501, 101), ('<', ACK, 101, 502)]].concat(),
        ];
        for conversation in &conversations {
            let proof = proof(conversation);
            for before in &states {
                for now in states.iter().filter(|now| *now != before) {
                    let hops = between(*before, *now, &proof);
                    assert_eq!(hops.first().map(|hop| hop.before), Some(*before));
                    assert_eq!(hops.last().map(|hop| hop.now), Some(*now));
                    assert!(hops.windows(2).all(|pair| pair[0].now == pair[1].before));
                    for hop in hops.iter().filter(|hop| !hop.sampled) {
                        assert!(followers(hop.before).contains(&hop.now), "{hop:?}");
                    }
                }
            }
        }
    }
}
