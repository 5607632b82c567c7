//! A condition on a result: `p99<2ms`, `p99>+10%`, `throughput<-5%`, `errors>0`, `loss>1%`.

use std::{fmt, time::Duration};

use tcpecho::{
    ParseError,
    internal::{parse_duration, parse_rate},
};

use crate::units::{self, digits, percent, time};

/// The quantiles that reports show, by their names.
pub(crate) const QUANTILES: &[(&str, f64)] =
    &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// What the conditions of an option can be about.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Whose conditions they are, as it stands in "is not a condition of".
    of: &'static str,
    /// The names of the figures, the quantiles excepted: all have those.
    figures: &'static [(&'static str, Measure)],
    /// Whether a bound can be a change against a baseline.
    has_baseline: bool,
    /// Conditions that are accepted.
    examples: &'static str,
    /// Whether times are shown in milliseconds, as ping(8) does.
    in_ms: bool,
}

/// `tcpecho ping --fail-if`.
pub(crate) const PING: Vocabulary = Vocabulary {
    of: "ping",
    figures: &[("max", Measure::Max), ("mean", Measure::Mean), ("loss", Measure::Loss)],
    has_baseline: false,
    examples: "'loss>1%', 'p99>5ms'",
    in_ms: true,
};

/// `tcpecho bench --fail-if`.
pub(crate) const BENCH: Vocabulary = Vocabulary {
    of: "bench",
    figures: &[
        ("max", Measure::Max),
        ("mean", Measure::Mean),
        ("throughput", Measure::Throughput),
        ("errors", Measure::Errors),
        ("unanswered", Measure::Unanswered),
    ],
    has_baseline: true,
    examples: "'p99>2ms', 'errors>0', 'throughput<10k'; with --baseline 'p99.9>+10%', 'throughput<-5%'",
    in_ms: false,
};

/// `tcpecho bench --find-rate`.
const FIND_RATE: Vocabulary = Vocabulary {
    of: "--find-rate",
    figures: &[("max", Measure::Max), ("mean", Measure::Mean)],
    has_baseline: false,
    examples: "'p99<2ms'",
    in_ms: false,
};

impl Vocabulary {
    fn measure(&self, name: &str) -> Option<Measure> {
        let quantile = QUANTILES.iter().position(|(known, _)| *known == name);
        // As ping(8) calls it.
        let name = if name == "avg" { "mean" } else { name };
        let other = || self.figures.iter().find(|(known, _)| *known == name);
        quantile.map(Measure::Quantile).or_else(|| other().map(|(_, measure)| *measure))
    }

    /// The names of all figures: `p50, p90 or max`.
    fn names(&self) -> String {
        let names: Vec<&str> = QUANTILES
            .iter()
            .map(|(name, _)| *name)
            .chain(self.figures.iter().map(|(name, _)| *name))
            .collect();
        match names.split_last() {
            Some((last, before)) => format!("{} or {last}", before.join(", ")),
            None => String::new(),
        }
    }

    fn refuse(&self, text: &str) -> ParseError {
        let operators = if self.of == FIND_RATE.of { "<" } else { "< or >" };
        ParseError::new(format!(
            "\"{}\" is not a condition of {}: expected {}, then {operators}, then a limit (examples: {})",
            text.escape_debug(),
            self.of,
            self.names(),
            self.examples
        ))
    }
}

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measure {
    /// A quantile of the latencies, by its place in [`QUANTILES`].
    Quantile(usize),
    Max,
    Mean,
    Throughput,
    Errors,
    Unanswered,
    /// The percentage of the probes that were lost.
    Loss,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// Nanoseconds, units a second, a count, or percent.
    Absolute(f64),
    /// A change against the baseline: 0.1 for `+10%`.
    Relative(f64),
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) measure: Measure,
    above: bool,
    bound: Bound,
    text: String,
    in_ms: bool,
}

/// The figures that a condition can look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    /// Nanoseconds, in the order of [`QUANTILES`]; `None` without a sample.
    pub(crate) quantiles: Vec<Option<f64>>,
    pub(crate) max: Option<f64>,
    pub(crate) mean: Option<f64>,
    pub(crate) throughput: Option<f64>,
    pub(crate) errors: Option<f64>,
    pub(crate) unanswered: Option<f64>,
    /// Percent.
    pub(crate) loss: Option<f64>,
}

/// A condition and the figures that decided it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    /// The condition is met, or cannot be judged because a figure is missing.
    pub(crate) failed: bool,
    /// The condition, its value, the baseline with the change, and the limit.
    pub(crate) line: String,
}

impl Figures {
    fn get(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Quantile(place) => self.quantiles.get(place).copied().flatten(),
            Measure::Max => self.max,
            Measure::Mean => self.mean,
            Measure::Throughput => self.throughput,
            Measure::Errors => self.errors,
            Measure::Unanswered => self.unanswered,
            Measure::Loss => self.loss,
        }
    }

    /// The figures that are compared with a baseline, by their names; always the same ones in the same
    /// order.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        let quantiles = QUANTILES.iter().enumerate();
        quantiles.map(|(place, (name, _))| (*name, self.get(Measure::Quantile(place)))).chain([
            ("max", self.max),
            ("mean", self.mean),
            ("throughput", self.throughput),
        ])
    }
}

impl Threshold {
    /// Reads a condition of this option.
    ///
    /// # Errors
    /// A sentence that names the figures and the operators of the option.
    pub(crate) fn parse(text: &str, of: &Vocabulary) -> Result<Self, ParseError> {
        let wrong = || of.refuse(text);
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim());
        let measure = of.measure(name).ok_or_else(wrong)?;
        let above = text.as_bytes()[at] == b'>';
        // Blanks around the parts may be anything that a terminal obeys.
        let text = format!("{name}{}{bound}", if above { '>' } else { '<' });
        let bound = Self::bound(measure, bound).ok_or_else(wrong)?;
        if matches!(bound, Bound::Relative(_)) && !of.has_baseline {
            return Err(wrong());
        }
        Ok(Self { measure, above, bound, text, in_ms: of.in_ms })
    }

    fn bound(measure: Measure, text: &str) -> Option<Bound> {
        if let (Measure::Loss, Some(percent)) = (measure, text.strip_suffix('%')) {
            let share = percent.trim_end().parse::<f64>().ok();
            return share.filter(|share| (0.0..=100.0).contains(share)).map(Bound::Absolute);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let signed = percent.starts_with(['+', '-']);
            let share = percent.parse::<f64>().ok().filter(|share| signed && share.is_finite())?;
            return Some(Bound::Relative(share / 100.0));
        }
        Some(Bound::Absolute(match measure {
            Measure::Throughput => parse_rate(text).ok()?,
            Measure::Errors | Measure::Unanswered => text.parse::<u32>().ok()?.into(),
            Measure::Loss => return None,
            _ => parse_duration(text).ok()?.as_nanos() as f64,
        }))
    }

    /// Reads a condition that holds below a bound on a latency.
    pub(crate) fn absolute(text: &str) -> Result<Self, ParseError> {
        let threshold = Self::parse(text, &FIND_RATE)?;
        if threshold.above { Err(FIND_RATE.refuse(text)) } else { Ok(threshold) }
    }

    pub(crate) fn is_of_latency(&self) -> bool {
        matches!(self.measure, Measure::Quantile(_) | Measure::Max | Measure::Mean)
    }

    /// Says that it cannot be judged, because a figure is not there.
    pub(crate) fn lacks(&self, figures: &Figures) -> Option<String> {
        let missing = figures.get(self.measure).is_none();
        missing.then(|| format!("{self} cannot be judged: there is no such figure"))
    }

    pub(crate) fn is_relative(&self) -> bool {
        matches!(self.bound, Bound::Relative(_))
    }

    /// Returns whether it is met; a figure that is missing meets nothing.
    pub(crate) fn holds(&self, now: &Figures, before: Option<&Figures>) -> bool {
        let (Some(value), Some(limit)) = (now.get(self.measure), self.limit(before)) else {
            return false;
        };
        if self.above { value > limit } else { value < limit }
    }

    /// Judges a result by the condition, which describes a failure. A condition that cannot be judged must not pass for one
    /// that is not met.
    pub(crate) fn judge(&self, now: &Figures, before: Option<&Figures>) -> Judgement {
        let Some(value) = now.get(self.measure) else {
            return Judgement { failed: true, line: format!("{self}: not measured") };
        };
        let mut line = format!("{self}: {}", self.show(value));
        if let Some(was) = before.and_then(|before| before.get(self.measure)) {
            line = format!("{line}, baseline {}", self.show(was));
            if was > 0.0 && (value / was).is_finite() {
                line = format!("{line}, change {:+.1} %", (value / was - 1.0) * 100.0);
            }
        }
        if let Some(limit) = self.limit(before).filter(|limit| limit.is_finite()) {
            line = format!("{line}, limit {}", self.show(limit));
        }
        Judgement { failed: self.holds(now, before), line }
    }

    /// The value beyond which it is met.
    fn limit(&self, before: Option<&Figures>) -> Option<f64> {
        match self.bound {
            Bound::Absolute(limit) => Some(limit),
            Bound::Relative(change) => Some(before?.get(self.measure)? * (1.0 + change)),
        }
    }

    fn show(&self, value: f64) -> String {
        match self.measure {
            Measure::Throughput => format!("{}/s", units::rate(value)),
            Measure::Errors | Measure::Unanswered => format!("{value:.0}"),
            Measure::Loss if value.fract() == 0.0 => format!("{} %", percent(value)),
            Measure::Loss => format!("{} %", digits(value)),
            _ if self.in_ms => format!("{} ms", units::ms(Duration::from_nanos(value as u64))),
            _ => time(value),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(p99: f64, throughput: f64) -> Figures {
        let quantiles = QUANTILES.iter().map(|(name, _)| (*name == "p99").then_some(p99)).collect();
        Figures {
            quantiles,
            throughput: Some(throughput),
            errors: Some(0.0),
            loss: Some(1.0),
            ..Figures::default()
        }
    }

    /// Reads a condition of bench, or else of ping.
    fn threshold(text: &str) -> Result<Threshold, ParseError> {
        Threshold::parse(text, &BENCH).or_else(|_| Threshold::parse(text, &PING))
    }

    #[test]
    fn an_error_names_the_figures_of_its_own_command() {
        let error = |text, of| Threshold::parse(text, of).unwrap_err().to_string();
        let (ping, bench) = (error("p98>1ms", &PING), error("p98>1ms", &BENCH));
        assert!(
            ping.contains("of ping: expected p50, p90, ") && ping.contains("mean or loss"),
            "{ping}"
        );
        assert!(!ping.contains("throughput"), "{ping}");
        assert!(
            bench.contains("errors or unanswered, then < or >") && !bench.contains("loss"),
            "{bench}"
        );
        assert!(Threshold::parse("throughput<5", &PING).is_err());
        assert!(Threshold::parse("p99>+10%", &PING).is_err());
        assert!(Threshold::parse("loss>1%", &BENCH).is_err());
        let error = Threshold::absolute("p99>2ms").unwrap_err().to_string();
        assert!(error.contains("then <, then a limit (examples: 'p99<2ms')"), "{error}");
        for (of, text) in
            [(&PING, PING.examples), (&BENCH, BENCH.examples), (&FIND_RATE, FIND_RATE.examples)]
        {
            for example in text.split('\'').skip(1).step_by(2) {
                assert!(Threshold::parse(example, of).is_ok(), "{example}");
            }
        }
    }

    #[test]
    fn ping_shows_times_as_its_table_does() {
        let judged =
            Threshold::parse("p99>1us", &PING).unwrap().judge(&figures(82_400.0, 1.0), None);
        assert_eq!(judged.line, "p99>1us: 0.082 ms, limit 0.001 ms");
    }

    #[test]
    fn conditions() {
        let now = figures(2e6, 900.0);
        let before = figures(1e6, 1000.0);
        for (text, holds) in [
            ("p99<3ms", true),
            ("p99<2ms", false),
            ("p99 > 1.9ms", true),
            ("p99>+10%", true),
            ("p99>+150%", false),
            ("throughput<-5%", true),
            ("throughput<-15%", false),
            ("throughput>1k", false),
            ("errors>0", false),
            // There is no such figure.
            ("p50<1h", false),
            ("max>0s", false),
        ] {
            let threshold = threshold(text).unwrap();
            assert_eq!(threshold.holds(&now, Some(&before)), holds, "{text}");
        }
        let judge = |text: &str, before| threshold(text).unwrap().judge(&now, before);
        let line = |text: &str, before| judge(text, before).line;
        assert_eq!(line("p99>1ms", None), "p99>1ms: 2.00 ms, limit 1.00 ms");
        assert_eq!(
            line("throughput<-5%", Some(&before)),
            "throughput<-5%: 900/s, baseline 1,000/s, change -10.0 %, limit 950/s"
        );
        assert_eq!(line("loss>2.5%", None), "loss>2.5%: 1 %, limit 2.50 %");
        assert_eq!(line("errors>0", Some(&before)), "errors>0: 0, baseline 0, limit 0");
        assert_eq!(line("p50>1h", None), "p50>1h: not measured");
        assert!(judge("p50>1h", None).failed && judge("p99>1ms", None).failed);
        assert!(!judge("loss>1%", None).failed && judge("loss>0.5%", None).failed);
        let missing = |text: &str| threshold(text).unwrap().lacks(&now);
        assert!(missing("p50<1h").unwrap().contains("p50<1h cannot be judged"));
        assert_eq!((missing("p99<1h"), missing("errors>0")), (None, None));
        let relative = threshold("p99>+10%").unwrap();
        assert!(!relative.holds(&now, None));
    }

    #[test]
    fn a_condition_is_shown_without_what_stands_around_it() {
        for text in ["p99<2ms", "\u{85}p99 <\t2ms\n"] {
            assert_eq!(threshold(text).unwrap().to_string(), "p99<2ms");
        }
    }

    #[test]
    fn what_is_not_a_condition_is_refused() {
        for text in [
            "",
            "loss>1",
            "loss>101%",
            "loss<-1%",
            "p99",
            "p99=2ms",
            "p98<2ms",
            "p99<10%",
            "p99<x",
            "errors>1s",
            "<2ms",
            "µ<1",
        ] {
            assert!(threshold(text).is_err(), "{text}");
        }
        assert!(Threshold::absolute("p99>2ms").is_err());
        assert!(Threshold::absolute("throughput<2").is_err());
        assert!(Threshold::absolute("p99<+2%").is_err());
        assert!(Threshold::absolute("p99.9<2ms").is_ok());
    }
}
