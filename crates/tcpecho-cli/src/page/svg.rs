//! Line charts as SVG, in the page's own colours.

use std::fmt::Write;

use crate::markup::escaped;

/// The drawing, in its own units; the page scales it.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 36.0;
/// The width of a character of a label, and the least space between two labels.
const CHARACTER: f64 = 7.5;
const SPACE: f64 = 8.0;

/// Lines that have a colour and a dash pattern of their own.
const PATTERNS: usize = 8;

/// One line, by name; its colour and pattern are the page's class `s0`, `s1` and so on, by its place.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Axis {
    pub(crate) log: bool,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Where there are lines, and what stands at them.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a round number above the largest value.
    pub(crate) fn linear(most: f64, show: fn(f64) -> String) -> Self {
        // Beyond that a step is no longer a number that it could be divided into.
        let most = if (1e-9..=1e18).contains(&most) { most } else { 1.0 };
        let rough = most / 4.0;
        let magnitude = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
        let step = steps.iter().map(|s| s * magnitude).find(|s| *s >= rough).unwrap_or(rough);
        let count = (most / step).ceil().max(1.0) as usize;
        let ticks = (0..=count).map(|n| (n as f64 * step, show(n as f64 * step))).collect();
        Axis { log: false, low: 0.0, high: count as f64 * step, ticks }
    }

    /// From 0 to exactly there, in seconds.
    pub(crate) fn seconds(end: f64) -> Self {
        let mut axis = Self::linear(end, |at| {
            let text = format!("{at:.2}");
            let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
            format!("{} s", text.trim_end_matches('.'))
        });
        axis.high = end;
        axis.ticks.retain(|tick| tick.0 <= end * 1.001);
        axis
    }

    /// Decades, and 2 and 5 within them where there are few.
    pub(crate) fn decades(low: f64, high: f64, show: fn(f64) -> String) -> Self {
        let (low, high) = (low.max(1.0), high.max(2.0));
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let parts: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let all =
            (first..=last).flat_map(|power| parts.iter().map(move |p| p * 10_f64.powi(power)));
        let all: Vec<f64> = all.collect();
        let below = all.iter().copied().filter(|tick| *tick <= low).fold(low, f64::min);
        let from = all.iter().copied().filter(|tick| *tick <= low).fold(below, f64::max);
        let to = all.iter().copied().filter(|tick| *tick >= high).fold(f64::INFINITY, f64::min);
        let to = if to.is_finite() && to > from { to } else { from * 10.0 };
        let inside = all.into_iter().filter(|tick| (from..=to).contains(tick));
        Axis { log: true, low: from, high: to, ticks: inside.map(|t| (t, show(t))).collect() }
    }

    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.max(1e-9).log10() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        ((scale(value) - low) / (high - low).max(1e-12)).clamp(0.0, 1.0)
    }
}

/// The drawing, under this name for those who do not see it; a legend where there is more than one line. The marks stand on
/// the x axis, for what was not answered.
pub(crate) fn chart(name: &str, x: &Axis, y: &Axis, series: &[Series], marks: &[f64]) -> String {
    let at = |point: &(f64, f64)| (across(x, point.0), down(y, point.1));
    let mut svg = begin(name, series);
    grid(&mut svg, y);
    let names = x.ticks.iter().map(|(value, name)| (across(x, *value), name.as_str()));
    labels(&mut svg, &names.collect::<Vec<_>>(), true);
    for (place, line) in series.iter().enumerate() {
        let (class, name) = (place % PATTERNS, escaped(&line.name));
        let points: Vec<String> = line
            .points
            .iter()
            .filter(|point| point.0.is_finite() && point.1.is_finite())
            .map(at)
            .map(|(across, down)| format!("{across:.1},{down:.1}"))
            .collect();
        if let [only] = points.as_slice() {
            let (across, down) = only.split_once(',').unwrap_or((only, "0"));
            let _ =
                write!(svg, "<circle class=\"f{class}\" cx=\"{across}\" cy=\"{down}\" r=\"3\"/>");
        }
        let points = points.join(" ");
        let _ = write!(
            svg,
            "<polyline class=\"s{class}\" points=\"{points}\"><title>{name}</title></polyline>"
        );
    }
    for mark in marks {
        let (at, foot) = (across(x, *mark), HEIGHT - BOTTOM);
        let _ = write!(svg, "{}", cross(at, foot - 6.0));
    }
    svg.push_str("</svg>");
    if series.len() > 1 || !marks.is_empty() {
        svg.push_str("<ul class=\"legend\">");
        for (place, line) in series.iter().enumerate() {
            let (class, name) = (place % PATTERNS, escaped(&line.name));
            let _ = write!(
                svg,
                "<li><svg class=\"key\" viewBox=\"0 0 36 12\" aria-hidden=\"true\">\
                 <line class=\"s{class}\" x1=\"0\" x2=\"36\" y1=\"6\" y2=\"6\"/></svg>{name}</li>"
            );
        }
        if !marks.is_empty() {
            let _ = write!(
                svg,
                "<li><svg class=\"key\" viewBox=\"0 0 36 12\" aria-hidden=\"true\">{}</svg>\
                 not answered</li>",
                cross(18.0, 6.0)
            );
        }
        svg.push_str("</ul>");
    }
    svg
}

fn cross(at: f64, down: f64) -> String {
    let (left, right, top, foot) = (at - 4.0, at + 4.0, down - 4.0, down + 4.0);
    format!(
        "<path class=\"lost-mark\" d=\"M{left:.1} {top:.1}L{right:.1} {foot:.1}M{left:.1} {foot:.1}L{right:.1} {top:.1}\"/>"
    )
}

/// Columns of equal width, each with the number in it and the name of the edge where it begins, and
/// the name of the last edge.
pub(crate) fn columns(name: &str, counts: &[(String, u64)], end: &str) -> String {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0) as f64;
    let y = Axis::linear(most, |value| format!("{value:.0}"));
    let width = (WIDTH - LEFT - RIGHT) / counts.len().max(1) as f64;
    let left = |place: usize| LEFT + place as f64 * width;
    let mut svg = begin(name, &[]);
    grid(&mut svg, &y);
    for (place, (_, count)) in counts.iter().enumerate() {
        let (top, foot) = (down(&y, *count as f64), HEIGHT - BOTTOM);
        let (x, width) = (left(place) + 1.0, (width - 2.0).max(0.5));
        // Even one in a million shows.
        let height = if *count > 0 { (foot - top).max(1.0) } else { 0.0 };
        let _ = write!(
            svg,
            "<rect class=\"f0\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{count}</title></rect>",
            foot - height
        );
    }
    let names = counts.iter().map(|(name, _)| name.as_str()).chain([end]);
    let names = names.enumerate().map(|(place, name)| (left(place), name));
    labels(&mut svg, &names.collect::<Vec<_>>(), false);
    svg + "</svg>"
}

fn across(x: &Axis, value: f64) -> f64 {
    LEFT + x.place(value) * (WIDTH - LEFT - RIGHT)
}

fn down(y: &Axis, value: f64) -> f64 {
    HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM)
}

fn begin(name: &str, series: &[Series]) -> String {
    let lines: Vec<&str> = series.iter().map(|line| line.name.as_str()).collect();
    let lines = if lines.len() > 1 { format!(": {}", lines.join(", ")) } else { String::new() };
    let name = escaped(&format!("{name}{lines}"));
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}\">"
    )
}

/// Lines across, with their values on the left.
fn grid(svg: &mut String, y: &Axis) {
    let (right, text) = (WIDTH - RIGHT, LEFT - 8.0);
    for (value, name) in &y.ticks {
        let (at, name) = (down(y, *value), escaped(name));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
        );
        let at = at + 4.0;
        let _ = write!(svg, "<text x=\"{text}\" y=\"{at:.1}\" text-anchor=\"end\">{name}</text>");
    }
}

/// The values below, those that fit beside each other.
fn labels(svg: &mut String, labels: &[(f64, &str)], has_lines: bool) {
    let (foot, text) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 20.0);
    if has_lines {
        for (at, _) in labels {
            let _ = write!(
                svg,
                "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{foot}\"/>"
            );
        }
    }
    for (at, name) in fitting(labels) {
        let name = escaped(name);
        let _ =
            write!(svg, "<text x=\"{at:.1}\" y=\"{text}\" text-anchor=\"middle\">{name}</text>");
    }
}

/// The labels that do not overlap, with their centres inside the drawing. The first and the last are
/// kept before others.
fn fitting<'a>(labels: &[(f64, &'a str)]) -> Vec<(f64, &'a str)> {
    let half = |name: &str| name.chars().count() as f64 * CHARACTER / 2.0;
    let inside = |(at, name): (f64, &'a str)| {
        let half = half(name);
        (at.min(WIDTH - half).max(half), name)
    };
    let overlap = |(left, before): (f64, &str), (right, after): (f64, &str)| {
        left + half(before) + SPACE > right - half(after)
    };
    let mut kept: Vec<(f64, &str)> = Vec::new();
    for (place, label) in labels.iter().copied().map(inside).enumerate() {
        let is_last = place + 1 == labels.len();
        while is_last && kept.len() > 1 && kept.last().is_some_and(|one| overlap(*one, label)) {
            kept.pop();
        }
        if kept.last().is_none_or(|before| !overlap(*before, label)) {
            kept.push(label);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values() {
        let axis = Axis::linear(1234.0, |value| format!("{value}"));
        assert!(axis.high >= 1234.0 && axis.low == 0.0 && axis.ticks.len() >= 3);
        for (low, high) in [(1.0, 1.0), (12_000.0, 15_000.0), (100.0, 1e9)] {
            let axis = Axis::decades(low, high, |value| format!("{value}"));
            assert!(axis.low <= low.max(1.0) && axis.high >= high, "{low} {high}");
            assert!(!axis.ticks.is_empty());
        }
        for most in
            [0.0, 5e-324, 1e-300, f64::MIN_POSITIVE, 1e300, f64::MAX, f64::INFINITY, f64::NAN]
        {
            let axis = Axis::linear(most, |_| String::new());
            assert!(axis.high > 0.0 && axis.high.is_finite() && axis.ticks.len() < 10, "{most}");
            assert!(Axis::seconds(most).ticks.len() < 10);
        }
    }

    #[test]
    fn labels_of_an_axis_do_not_overlap() {
        let nines = [0.0, 0.301, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let names = ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
        for last in 1..nines.len() {
            let x = Axis { log: false, low: 0.0, high: nines[last], ticks: Vec::new() };
            let all = nines[..=last].iter().zip(names).map(|(at, name)| (across(&x, *at), name));
            let kept = fitting(&all.collect::<Vec<_>>());
            let width = |name: &str| name.chars().count() as f64 * CHARACTER;
            for pair in kept.windows(2) {
                let [(left, before), (right, after)] = *pair else { continue };
                assert!(left + width(before) / 2.0 < right - width(after) / 2.0, "{kept:?}");
            }
            assert_eq!((kept[0].1, kept[kept.len() - 1].1), ("0 %", names[last]));
            assert!(kept.iter().all(|(at, name)| at + width(name) / 2.0 <= WIDTH), "{kept:?}");
        }
    }

    #[test]
    fn every_column_with_something_in_it_is_seen() {
        let counts = [("1 ms".to_owned(), 1_000_000), ("2 ms".to_owned(), 1), ("<".to_owned(), 0)];
        let drawn = columns("times", &counts, "8 ms");
        assert_eq!(drawn.matches("<rect").count(), 3);
        assert!(drawn.contains("height=\"1.0\"") && drawn.contains("height=\"0.0\""), "{drawn}");
        assert!(!drawn.contains("><<"), "{drawn}");
    }
}
