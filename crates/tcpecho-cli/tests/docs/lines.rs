//! Compares what a command printed with what the page shows.

use crate::{blocks::Step, mask::mask};

/// A masked line of output.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    lane: Lane,
    pub(crate) text: String,
}

/// Whose line it is on a ladder of `lab`. The order of lines is certain within a lane only.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lane {
    Lab,
    Packet,
    Client,
    ClientState,
    Server,
    ServerState,
}

const LANES: [Lane; 6] =
    [Lane::Lab, Lane::Packet, Lane::Client, Lane::ClientState, Lane::Server, Lane::ServerState];

fn lane(line: &str) -> Lane {
    let Some(what) = row(line) else { return Lane::Lab };
    let is_server = what.starts_with(&" ".repeat(40));
    let what = what.trim();
    let is_state = |word: &str| {
        word == "-"
            || word.len() > 5
                && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c == '1' || c == '2')
    };
    if what.contains('─') {
        Lane::Packet
    } else if what.starts_with("== ") || what.starts_with('✓') {
        Lane::Lab
    } else {
        match (is_server, what.contains(" → ") || is_state(what)) {
            (false, false) => Lane::Client,
            (false, true) => Lane::ClientState,
            (true, false) => Lane::Server,
            (true, true) => Lane::ServerState,
        }
    }
}

/// What stands after the time on a ladder, without the lines of the sockets: which are there depends on the order of
/// calls and states.
fn row(line: &str) -> Option<String> {
    let (time, what) = line.split_once(" ms ")?;
    let is_row = time.trim().parse::<f64>().is_ok() && line.starts_with(' ');
    is_row.then(|| what.replace(['│', '┊'], " "))
}

/// Whether the lab says on its ladder that it looked too late to see every state (`-→ … →ESTABLISHED`), as on a busy machine.
/// Then a state that a page shows can be missing.
pub(crate) fn looked_late(output: &str) -> bool {
    output.contains("→ … →")
}

impl Lane {
    fn is_state(self) -> bool {
        matches!(self, Lane::ClientState | Lane::ServerState)
    }
}

impl Line {
    /// Whether it is a state of a socket on a ladder.
    pub(crate) fn is_state(&self) -> bool {
        self.lane.is_state()
    }
}

/// Whether a line of a ladder is a state of a socket.
pub(crate) fn is_state(line: &str) -> bool {
    lane(line).is_state()
}

/// Whether a command printed what the page shows. On a ladder, of which the page shows a part, it compares lane by lane.
pub(crate) fn matches(step: &Step, shown: &[Line], printed: &[Line]) -> bool {
    let is_ladder = step.command.contains("tcpecho lab ") && is_elided(shown);
    if !is_ladder {
        let text = |lines: &[Line]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        return fits(&text(shown), &text(printed));
    }
    let late = printed.iter().any(|line| looked_late(&line.text));
    LANES.into_iter().all(|lane| {
        if late && lane.is_state() {
            return true;
        }
        let in_lane = |line: &&Line| line.lane == lane && line.text != "...";
        let mut printed = printed.iter().filter(in_lane);
        shown.iter().filter(in_lane).all(|line| printed.any(|found| found.text == line.text))
    })
}

pub(crate) fn is_elided(shown: &[Line]) -> bool {
    shown.iter().any(|line| line.text == "...")
}

/// Whether the lines are those that are shown, where `...` stands for any number of lines.
fn fits(shown: &[String], output: &[String]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((line, shown)) if line.trim() == "..." => {
            (0..=output.len()).any(|skipped| fits(shown, &output[skipped..]))
        }
        Some((line, shown)) => {
            output.split_first().is_some_and(|(first, output)| line == first && fits(shown, output))
        }
    }
}

/// Masks every line, and leaves out the notes of `bench`: they depend on how busy the machine is.
pub(crate) fn masked<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Line> {
    let lines = lines.filter(|line| !line.starts_with("note: "));
    let text = |line: &str| match row(line) {
        Some(what) => mask(&format!("0.0 ms {what}")),
        None => mask(line),
    };
    lines.map(|line| Line { lane: lane(line), text: text(line) }).collect()
}
