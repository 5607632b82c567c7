//! A condition on a result: `p99<2ms`, `p99>+10%`, `throughput<-5%`, `errors>0`, `loss>1%`.

use std::{fmt, str::FromStr};

use tcpecho::{
    ParseError,
    internal::{parse_duration, parse_rate},
};

use crate::units::{self, digits, percent, time};

/// The quantiles that reports show, by their names.
pub(crate) const QUANTILES: &[(&str, f64)] =
    &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

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

impl FromStr for Threshold {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(format!(
                "\"{}\" is not a condition (examples: 'p99>2ms', 'p99.9>+10%', 'throughput<-5%', 'loss>1%')",
                text.escape_debug()
            ))
        };
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim());
        let measure = match name {
            "max" => Measure::Max,
            "mean" | "avg" => Measure::Mean,
            "throughput" => Measure::Throughput,
            "errors" => Measure::Errors,
            "unanswered" => Measure::Unanswered,
            "loss" => Measure::Loss,
            name => QUANTILES
                .iter()
                .position(|(known, _)| *known == name)
                .map(Measure::Quantile)
                .ok_or_else(wrong)?,
        };
        let above = text.as_bytes()[at] == b'>';
        // Blanks around the parts may be anything that a terminal obeys.
        let text = format!("{name}{}{bound}", if above { '>' } else { '<' });
        let bound = Self::bound(measure, bound).ok_or_else(wrong)?;
        Ok(Self { measure, above, bound, text })
    }
}

impl Threshold {
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

    /// A condition that needs no baseline and holds below a bound on a latency.
    pub(crate) fn absolute(text: &str) -> Result<Self, ParseError> {
        let threshold: Self = text.parse()?;
        if threshold.is_relative() || threshold.above || !threshold.is_of_latency() {
            return Err(ParseError::new(
                "--find-rate requires a latency and its bound, such as 'p99<2ms'",
            ));
        }
        Ok(threshold)
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
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(threshold.holds(&now, Some(&before)), holds, "{text}");
        }
        let judge = |text: &str, before| text.parse::<Threshold>().unwrap().judge(&now, before);
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
        let missing = |text: &str| text.parse::<Threshold>().unwrap().lacks(&now);
        assert!(missing("p50<1h").unwrap().contains("p50<1h cannot be judged"));
        assert_eq!((missing("p99<1h"), missing("errors>0")), (None, None));
        let relative: Threshold = "p99>+10%".parse().unwrap();
        assert!(!relative.holds(&now, None));
    }

    #[test]
    fn a_condition_is_shown_without_what_stands_around_it() {
        for text in ["p99<2ms", "\u{85}p99 <\t2ms\n"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), "p99<2ms");
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
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
        assert!(Threshold::absolute("p99>2ms").is_err());
        assert!(Threshold::absolute("throughput<2").is_err());
        assert!(Threshold::absolute("p99<+2%").is_err());
        assert!(Threshold::absolute("p99.9<2ms").is_ok());
    }
}
