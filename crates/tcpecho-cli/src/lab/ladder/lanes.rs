//! The lanes of a ladder: beside the packets, a line for each socket of a host, from its first state to its last, with
//! the names of the states where they change (as in the figures of RFC 9293 3.5 and 3.6).

use std::net::SocketAddr;

use tcpecho_lab::{Moment, Place, Side, TcpState, What};

/// How the states of sockets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Names of states in lanes of this width.
    Names,
    /// Short names.
    ShortNames,
    /// No lanes: a change in words.
    Words,
}

impl Style {
    /// The columns of the lane of a host. The server's has a line more, for the socket that listens.
    pub(super) fn width(self, side: Side) -> usize {
        let (name, listener) = match self {
            Style::Names => (11, 2),
            Style::ShortNames => (4, 2),
            Style::Words => (0, 0),
        };
        if side == Side::Server { name + listener } else { name }
    }

    fn name(self, state: TcpState) -> &'static str {
        match self {
            Style::ShortNames => SHORT.iter().find(|row| row.0 == state).map_or("?", |row| row.1),
            _ => state.word(),
        }
    }

    /// What the lines mean.
    pub(super) fn legend(self) -> String {
        let lines = format!(
            "{LISTENS} LISTEN, {LINE} other states, {GONE} gone, {CHANGES} change beside it"
        );
        match self {
            Style::Names => format!("a line for each socket: {lines}; {TEXTS}"),
            Style::ShortNames => {
                let short: Vec<String> =
                    SHORT.iter().map(|(state, short)| format!("{short} {state}")).collect();
                format!("a line for each socket: {lines}; {}; {TEXTS}", short.join(", "))
            }
            Style::Words => {
                format!("states: in words, where they change; lines need 56 columns; {TEXTS}")
            }
        }
    }
}

/// What the texts between the lanes mean.
const TEXTS: &str = "SYN_RECV is SYN-RECEIVED in RFC 9293, FIN_WAIT_1 is FIN-WAIT-1; win= is in \
                     bytes, after scaling";

/// The short name of each state.
const SHORT: &[(TcpState, &str)] = &[
    (TcpState::Listen, "LIS"),
    (TcpState::SynSent, "SYNS"),
    (TcpState::SynRecv, "SYNR"),
    (TcpState::NewSynRecv, "NSYN"),
    (TcpState::Established, "EST"),
    (TcpState::FinWait1, "FW1"),
    (TcpState::FinWait2, "FW2"),
    (TcpState::Closing, "CLSG"),
    (TcpState::TimeWait, "TW"),
    (TcpState::CloseWait, "CW"),
    (TcpState::LastAck, "LACK"),
    (TcpState::Close, "CLSD"),
];

const LISTENS: char = '┊';
const LINE: char = '│';
const GONE: char = '-';
/// The state changes, and there is no room for its name in the lane.
const CHANGES: char = '*';
/// There are more sockets than lines.
const MORE: char = '+';

/// The sockets of both hosts. Each has a line; the first is next to the packets.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    hosts: [Vec<Option<Socket>>; 2],
}

#[derive(Debug, Clone, Copy)]
struct Socket {
    ends: (SocketAddr, SocketAddr),
    state: TcpState,
}

/// A line on which the state has just changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    side: Side,
    line: usize,
    now: Option<TcpState>,
}

impl Lanes {
    /// Follows a change of state, and the end of all sockets of a host that loses its power.
    pub(super) fn take(&mut self, moment: &Moment) -> Option<Change> {
        if let (Place::Host(side), true) = (moment.place, moment.what.is_power_off()) {
            self.hosts[side.index()].clear();
        }
        let (Place::Host(side), What::State { local, remote, now, .. }) =
            (moment.place, &moment.what)
        else {
            return None;
        };
        let ends = (*local, *remote);
        let lines = &mut self.hosts[side.index()];
        let is_it = |line: &Option<Socket>| line.is_some_and(|socket| socket.ends == ends);
        let line = lines
            .iter()
            .position(is_it)
            .or_else(|| lines.iter().position(Option::is_none))
            .unwrap_or(lines.len());
        if line == lines.len() {
            lines.push(None);
        }
        lines[line] = now.map(|state| Socket { ends, state });
        Some(Change { side, line, now: *now })
    }

    /// Whether the name of the new state fits in the lane without covering another line.
    pub(super) fn has_room(&self, change: &Change, style: Style) -> bool {
        let width = style.width(change.side);
        let name = change.now.map_or(1, |state| style.name(state).len());
        let start = change.line * 2;
        let covered = start + 1..start + name;
        let is_free = |(line, socket): (usize, &Option<Socket>)| {
            socket.is_none() || !covered.contains(&(line * 2))
        };
        start + name <= width && self.hosts[change.side.index()].iter().enumerate().all(is_free)
    }

    /// The lane of a host in a row; `change` is what this row is about, and its name is written if
    /// there is room.
    pub(super) fn cell(&self, side: Side, change: Option<&Change>, style: Style) -> String {
        let width = style.width(side);
        let mut cell = vec![' '; width];
        for (line, socket) in self.hosts[side.index()].iter().enumerate() {
            let Some(socket) = socket else { continue };
            match cell.get_mut(line * 2) {
                Some(place) => {
                    *place = if socket.state == TcpState::Listen { LISTENS } else { LINE };
                }
                None => cell.iter_mut().rev().take(1).for_each(|place| *place = MORE),
            }
        }
        let mut name = None;
        if let Some(change) = change.filter(|change| change.side == side) {
            let start = change.line * 2;
            match change.now {
                None => cell.iter_mut().skip(start).take(1).for_each(|place| *place = GONE),
                Some(state) if self.has_room(change, style) => {
                    name = Some((start, style.name(state)));
                }
                Some(_) => cell.iter_mut().skip(start).take(1).for_each(|place| *place = CHANGES),
            }
        }
        // The client's lane is the mirror image of the server's; its names are not.
        if side == Side::Client {
            cell.reverse();
        }
        if let Some((start, name)) = name {
            let start = if side == Side::Client { width - start - name.len() } else { start };
            for (place, letter) in cell[start..].iter_mut().zip(name.chars()) {
                *place = letter;
            }
        }
        cell.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state(side: Side, port: u16, now: Option<TcpState>) -> Moment {
        let local = SocketAddr::from(([192, 0, 2, 1], port));
        let remote = SocketAddr::from(([192, 0, 2, 2], 7));
        let what = What::State { local, remote, before: None, now, sampled: false };
        Moment { at: Duration::ZERO, place: Place::Host(side), what }
    }

    #[test]
    fn every_state_has_a_short_name_of_its_own() {
        let mut names: Vec<&str> = SHORT.iter().map(|row| row.1).collect();
        assert!(names.iter().all(|name| name.len() <= Style::ShortNames.width(Side::Client)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SHORT.len());
        for number in 1..13 {
            let state = TcpState::from_number(number);
            assert!(SHORT.iter().any(|row| row.0 == state), "{state}");
        }
    }

    /// A server that listens and has a connection.
    #[test]
    fn a_socket_has_a_line_from_its_first_state_to_its_last() {
        let (mut lanes, server, style) = (Lanes::default(), Side::Server, Style::Names);
        let mut drawn = Vec::new();
        for (port, now) in [
            (7, Some(TcpState::Listen)),
            (8, Some(TcpState::SynRecv)),
            (8, Some(TcpState::Established)),
            (8, None),
            (7, None),
        ] {
            let change = lanes.take(&state(server, port, now)).unwrap();
            assert!(lanes.has_room(&change, style));
            drawn.push(lanes.cell(server, Some(&change), style));
            drawn.push(lanes.cell(server, None, style));
        }
        let drawn: Vec<&str> = drawn.iter().map(|row| row.trim_end()).collect();
        let expected =
            ["LISTEN", "┊", "┊ SYN_RECV", "┊ │", "┊ ESTABLISHED", "┊ │", "┊ -", "┊", "-", ""];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_host_without_power_has_no_sockets() {
        let (mut lanes, server, style) = (Lanes::default(), Side::Server, Style::Names);
        lanes.take(&state(server, 7, Some(TcpState::Listen))).unwrap();
        assert_eq!(lanes.cell(server, None, style).trim_end(), "┊");
        let what = What::Step("power off".into());
        let off = Moment { at: Duration::ZERO, place: Place::Host(server), what };
        assert!(off.what.is_power_off() && lanes.take(&off).is_none());
        assert_eq!(lanes.cell(server, None, style).trim_end(), "");
    }

    #[test]
    fn the_client_s_lane_is_mirrored_and_a_second_socket_keeps_its_line() {
        let (mut lanes, client, style) = (Lanes::default(), Side::Client, Style::Names);
        let change = lanes.take(&state(client, 1, Some(TcpState::SynSent))).unwrap();
        assert_eq!(lanes.cell(client, Some(&change), style), "   SYN_SENT");
        let change = lanes.take(&state(client, 2, Some(TcpState::SynSent))).unwrap();
        assert!(lanes.has_room(&change, style));
        assert_eq!(lanes.cell(client, Some(&change), style), " SYN_SENT │");
        let change = lanes.take(&state(client, 1, Some(TcpState::Established))).unwrap();
        assert!(!lanes.has_room(&change, style), "it would cover the line of the second");
        assert_eq!(lanes.cell(client, Some(&change), style), "        │ *");
        for port in 3..40 {
            lanes.take(&state(client, port, Some(TcpState::Established))).unwrap();
        }
        assert_eq!(lanes.cell(client, None, style), "+ │ │ │ │ │");
    }
}
