//! Line charts as SVG, in the page's own colours.

use std::fmt::Write;

/// The drawing, in its own units; the page scales it.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 36.0;

/// One line, by name; its colour is the page's class `s0`, `s1` and so on, by its place.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

pub(super) struct Axis {
    pub(super) log: bool,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Where there are lines, and what stands at them.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a round number above the largest value.
    pub(super) fn linear(most: f64, show: fn(f64) -> String) -> Self {
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
    pub(super) fn seconds(end: f64) -> Self {
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
    pub(super) fn decades(low: f64, high: f64, show: fn(f64) -> String) -> Self {
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

/// The drawing; a legend where there is more than one line.
pub(super) fn chart(x: &Axis, y: &Axis, series: &[Series]) -> String {
    let at = |point: &(f64, f64)| {
        let across = LEFT + x.place(point.0) * (WIDTH - LEFT - RIGHT);
        let down = HEIGHT - BOTTOM - y.place(point.1) * (HEIGHT - TOP - BOTTOM);
        (across, down)
    };
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for (value, name) in &y.ticks {
        let (_, down) = at(&(x.low, *value));
        let (right, text) = (WIDTH - RIGHT, LEFT - 8.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{down:.1}\" y2=\"{down:.1}\"/>"
        );
        let down = down + 4.0;
        let _ = write!(svg, "<text x=\"{text}\" y=\"{down:.1}\" text-anchor=\"end\">{name}</text>");
    }
    for (value, name) in &x.ticks {
        let (across, _) = at(&(*value, y.low));
        let (foot, text) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 18.0);
        let _ = write!(
            svg,
            "<line class=\"tick\" x1=\"{across:.1}\" x2=\"{across:.1}\" y1=\"{TOP}\" y2=\"{foot}\"/>"
        );
        let _ = write!(
            svg,
            "<text x=\"{across:.1}\" y=\"{text}\" text-anchor=\"middle\">{name}</text>"
        );
    }
    for (place, line) in series.iter().enumerate() {
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
                write!(svg, "<circle class=\"f{place}\" cx=\"{across}\" cy=\"{down}\" r=\"3\"/>");
        }
        let _ = write!(svg, "<polyline class=\"s{place}\" points=\"{}\"/>", points.join(" "));
    }
    svg.push_str("</svg>");
    if series.len() > 1 {
        svg.push_str("<p class=\"legend\">");
        for (place, line) in series.iter().enumerate() {
            let _ = write!(svg, "<span><i class=\"b{place}\"></i>{}</span>", line.name);
        }
        svg.push_str("</p>");
    }
    svg
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
}
