//! The rows of a ladder: time, the client's lane, what happened, the server's lane.

use tcpecho_lab::{Side, timeline::PacketMoment};

use super::{
    BLUE, Look,
    lanes::{Change, Lanes, Style},
    wrap,
};
use crate::width::columns_of;

/// The columns of the time, with the space after it.
pub(super) const TIME: usize = 12;
/// The columns between the lanes where the output is not a terminal.
const PIPE: usize = 76;
/// A terminal that is wider is not used completely.
const WIDEST: usize = 120;
/// The narrowest terminals for lanes with names, and with short names.
const NAMES: usize = 78;
const SHORT_NAMES: usize = 56;
/// A continued line begins here.
const HANGING: usize = 5;
/// The shortest arrow: `◀ text ─`.
const ARROW: usize = 4;

/// The side of the row that a text belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Align {
    Left,
    Right,
}

/// The columns of a ladder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) style: Style,
    /// The columns between the lanes.
    pub(super) middle: usize,
    /// Whether longer texts are wrapped.
    pub(super) wraps: bool,
}

impl Columns {
    pub(super) fn of(look: Look) -> Self {
        let style = match look.width {
            _ if look.words => Style::Words,
            Some(width) if width < SHORT_NAMES => Style::Words,
            Some(width) if width < NAMES => Style::ShortNames,
            _ => Style::Names,
        };
        let lanes = match style {
            Style::Words => 0,
            // With the spaces beside the text.
            _ => style.width(Side::Client) + style.width(Side::Server) + 2,
        };
        let middle =
            look.width.map_or(PIPE, |width| width.min(WIDEST).saturating_sub(TIME + lanes));
        // Without lanes, a line in a pipe pushes nothing aside.
        let wraps = look.width.is_some() || style != Style::Words;
        Columns { style, middle: middle.max(16), wraps }
    }

    /// A text of one side, wrapped and aligned.
    pub(super) fn text(self, text: &str, align: Align) -> Vec<String> {
        let lines = if self.wraps && columns_of(text) > self.middle {
            let mut lines = hanging(text, self.middle);
            if matches!(align, Align::Right) {
                let widest = lines.iter().map(|line| columns_of(line)).max().unwrap_or(0);
                for line in &mut lines {
                    pad(line, widest);
                }
            }
            lines
        } else {
            vec![text.to_owned()]
        };
        let indent = |line: &str| match align {
            Align::Left => 0,
            Align::Right => self.middle.saturating_sub(columns_of(line)),
        };
        lines.iter().map(|line| format!("{:1$}{line}", "", indent(line))).collect()
    }

    /// A packet as an arrow with its text, of which the rest stands below.
    pub(super) fn arrow(self, packet: &PacketMoment, text: &str) -> Vec<String> {
        let room = self.middle - ARROW;
        let fits = !self.wraps || columns_of(text) <= room;
        let lines = if fits { vec![text.to_owned()] } else { wrap(text, room) };
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_default();
        let shaft = room.saturating_sub(columns_of(&first));
        let (left, right) = ("─".repeat(shaft / 2), "─".repeat(shaft - shaft / 2));
        let arrow = match (packet.from, packet.verdict.has_arrived()) {
            (Side::Client, true) => format!("─{left} {first} {right}▶"),
            (Side::Server, true) => format!("◀{left} {first} {right}─"),
            (Side::Client, false) => format!("─{left} {first} {right}✗"),
            (Side::Server, false) => format!("✗{left} {first} {right}─"),
        };
        let below = |line: String| {
            let indent = self.middle.saturating_sub(columns_of(&line)) / 2;
            format!("{:indent$}{line}", "")
        };
        std::iter::once(arrow).chain(lines.map(below)).collect()
    }

    /// The rows of these lines, with the time on the first.
    pub(super) fn rows(
        self,
        time: &str,
        lines: &[String],
        (lanes, change): (&Lanes, Option<&Change>),
        colour: Option<&str>,
        look: Look,
    ) -> String {
        let mut rows = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let change = change.filter(|_| number == 0);
            let cell = |side| look.paint_visible(BLUE, &lanes.cell(side, change, self.style));
            let (left, right) = (cell(Side::Client), cell(Side::Server));
            let padding = self.middle.saturating_sub(columns_of(line));
            let line = match colour {
                Some(colour) => look.paint_visible(colour, line),
                None => line.clone(),
            };
            let time = if number == 0 { time } else { "" };
            let row = match self.style {
                Style::Words => format!("{time:<TIME$}{line}"),
                _ => format!("{time:<TIME$}{left} {line}{:padding$} {right}", ""),
            };
            rows.push(row.trim_end().to_owned());
        }
        rows.join("\n")
    }
}

/// Wraps with the continued lines further right.
fn hanging(text: &str, width: usize) -> Vec<String> {
    let mut lines = wrap(text, width);
    if lines.len() > 1 {
        let first = lines.remove(0);
        let rest = text.get(first.len()..).unwrap_or_default().trim_start();
        lines = wrap(rest, width.saturating_sub(HANGING));
        for line in &mut lines {
            line.insert_str(0, &" ".repeat(HANGING));
        }
        lines.insert(0, first);
    }
    lines
}

fn pad(line: &mut String, width: usize) {
    let missing = width.saturating_sub(columns_of(line));
    line.push_str(&" ".repeat(missing));
}
