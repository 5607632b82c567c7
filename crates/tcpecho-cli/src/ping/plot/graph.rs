//! The graph of one target: times upwards on a logarithmic scale, probes to the right, ages below.

use std::time::{Duration, Instant};

use super::row::{Paint, Row};
use crate::units::ms;

/// What stands left of the columns.
pub(super) const AXIS: usize = 9;
/// Cells between two labels of the time axis.
const TICK: usize = 12;
/// Bits of a braille character (Unicode 10.0, 21.1): from the bottom up, in its left and its right column.
const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answer(Duration),
    Late(Duration),
    /// Lost, corrupted or refused: how it is drawn.
    Not(char),
}

/// A probe, and when that was known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) fate: Fate,
}

/// How graphs are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// In ASCII a cell is one probe; in braille two, and four levels.
    pub(super) ascii: bool,
    /// The target's colour.
    pub(super) paint: Paint,
}

impl Style {
    fn probes_per_cell(self) -> usize {
        if self.ascii { 1 } else { 2 }
    }

    fn levels_per_cell(self) -> usize {
        if self.ascii { 1 } else { 4 }
    }
}

/// Returns so many rows from the top, the last of them the time axis.
pub(super) fn graph(
    samples: &[Sample],
    (width, height): (usize, usize),
    now: Instant,
    style: Style,
) -> Vec<Row> {
    let room = width * style.probes_per_cell();
    let shown = &samples[samples.len().saturating_sub(room)..];
    let above = height.saturating_sub(1);
    let mut rows = lines(shown, above, style);
    if height > 1 {
        rows.push(time_axis(shown, width, now, style));
    } else {
        rows.extend((0..height).map(|_| Row::default()));
    }
    rows
}

fn lines(shown: &[Sample], height: usize, style: Style) -> Vec<Row> {
    let times = shown.iter().filter_map(|sample| match sample.fate {
        Fate::Answer(time) | Fate::Late(time) => Some(time.as_secs_f64().max(1e-9)),
        Fate::Not(_) => None,
    });
    let (low, high) =
        times.fold((f64::MAX, f64::MIN), |(low, high), time| (low.min(time), high.max(time)));
    if height == 0 {
        return Vec::new();
    }
    let has_times = low <= high;
    // At least a factor of two, so that noise does not fill the screen.
    let (low, high) = if has_times { (low, high.max(low * 2.0)) } else { (1e-3, 2e-3) };
    let span = (high / low).ln();
    let levels = height * style.levels_per_cell();
    let level = |time: Duration| {
        let share = (time.as_secs_f64().max(1e-9) / low).ln() / span * (levels - 1) as f64;
        (share.round().max(0.0) as usize).min(levels - 1)
    };
    let top = height - 1;
    let bar = if style.ascii { '|' } else { '│' };
    (0..height)
        .rev()
        .map(|row| {
            let at = low * (span * row as f64 / top.max(1) as f64).exp();
            let label = if has_times { ms(Duration::from_secs_f64(at)) } else { String::new() };
            let mut line = Row::new(Paint::Plain, format!("{label:>7} {bar}"));
            for cell in shown.chunks(style.probes_per_cell()) {
                let (paint, letter) = cell_of(cell, row, row == top, level, style);
                line.push(paint, letter);
            }
            line.trimmed()
        })
        .collect()
}

/// One character: the mark of a probe that has no answer in time, or the dots of the others.
fn cell_of(
    cell: &[Sample],
    row: usize,
    is_top: bool,
    level: impl Fn(Duration) -> usize,
    style: Style,
) -> (Paint, char) {
    let mut dots = 0;
    for (column, sample) in cell.iter().enumerate() {
        let (time, is_late) = match sample.fate {
            Fate::Not(mark) if is_top => return (Paint::Bad, mark),
            Fate::Not(_) => continue,
            Fate::Answer(time) => (time, false),
            Fate::Late(time) => (time, true),
        };
        let level = level(time);
        if level / style.levels_per_cell() == row {
            if is_late {
                return (Paint::Bad, 'L');
            }
            if style.ascii {
                return (style.paint, '*');
            }
            dots |= DOTS[column][level % 4];
        }
    }
    match dots {
        0 => (Paint::Plain, ' '),
        dots => (style.paint, char::from_u32(0x2800 + dots).unwrap_or('*')),
    }
}

/// A line with the ages of the probes above it.
fn time_axis(shown: &[Sample], width: usize, now: Instant, style: Style) -> Row {
    let (corner, line) = if style.ascii { ('+', '-') } else { ('└', '─') };
    let mut axis: Vec<char> = vec![line; width];
    let per_cell = style.probes_per_cell();
    let mut next = 0;
    while let Some(sample) = shown.get(next * per_cell) {
        let label = age(now.saturating_duration_since(sample.at));
        if next + label.chars().count() > width {
            break;
        }
        for (place, letter) in label.chars().enumerate() {
            axis[next + place] = letter;
        }
        next += TICK;
    }
    let axis: String = axis.into_iter().collect();
    Row::new(Paint::Plain, format!("{:>7} {corner}{axis}", "age"))
}

/// An age in few letters: `0.4s`, `12s`, `5m`, `2h`.
fn age(span: Duration) -> String {
    match span.as_secs() {
        0..10 => format!("{:.1}s", span.as_secs_f64()),
        seconds @ 10..100 => format!("{seconds}s"),
        seconds @ 100..6000 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(fates: &[Fate], now: Instant) -> Vec<Sample> {
        fates.iter().map(|fate| Sample { at: now, fate: *fate }).collect()
    }

    fn drawn(fates: &[Fate], size: (usize, usize), ascii: bool) -> Vec<String> {
        let now = Instant::now();
        let style = Style { ascii, paint: Paint::Plain };
        graph(&samples(fates, now), size, now, style).iter().map(Row::text).collect()
    }

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn every_probe_has_its_column() {
        let fates = [Fate::Answer(us(100)), Fate::Not('x'), Fate::Late(us(10_000))];
        let rows = drawn(&fates, (20, 6), true);
        assert_eq!(rows.len(), 6);
        assert_eq!(rows[0], "   10.0 | xL");
        assert_eq!(rows[4], "  0.100 |*");
        assert_eq!(rows[5], "    age +0.0s----------------");
        assert!(rows[1..4].iter().all(|row| row.ends_with('|')), "{rows:?}");
    }

    #[test]
    fn a_cell_of_braille_has_two_probes_and_four_levels() {
        let all = [100, 200, 400, 800].map(|time| Fate::Answer(us(time)));
        let rows = drawn(&all, (4, 2), false);
        // The first at the bottom left, the second a level higher, to its right.
        assert_eq!(rows[0], "  0.100 │⡠⠊");
        assert_eq!(rows[1], "    age └0.0s");
        let rows = drawn(&[Fate::Not('r'), Fate::Answer(us(100))], (4, 3), false);
        assert!(rows[0].ends_with('r') && rows[1].ends_with('⢀'), "{rows:?}");
    }

    #[test]
    fn no_screen_is_too_small() {
        let fates = [Fate::Answer(Duration::ZERO), Fate::Not('!')];
        for ascii in [true, false] {
            for (width, height) in [(0, 0), (1, 1), (2, 2), (0, 9)] {
                assert_eq!(drawn(&fates, (width, height), ascii).len(), height);
            }
            assert_eq!(drawn(&[], (10, 3), ascii).len(), 3);
        }
    }

    #[test]
    fn an_axis_without_times_has_no_numbers() {
        let rows = drawn(&[Fate::Not('x'), Fate::Not('r')], (10, 3), true);
        assert_eq!(rows[..2], ["        |xr", "        |"]);
    }

    #[test]
    fn ages() {
        for (seconds, text) in
            [(0.44, "0.4s"), (12.9, "12s"), (150.0, "2m"), (5999.0, "99m"), (7300.0, "2h")]
        {
            assert_eq!(age(Duration::from_secs_f64(seconds)), text);
        }
    }
}
