//! A condition on a result: `p99<2ms`, `p99>+10%`, `throughput<-5%`, `errors>0`.

use std::{fmt, str::FromStr};

use tcpecho::{ParseError, internal::parse_duration};

use super::histogram::QUANTILES;
use crate::{size::parse_rate, units::time};

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Measure {
    /// A quantile of the latencies, by its place in [`QUANTILES`].
    Quantile(usize),
    Max,
    Mean,
    Throughput,
    Errors,
    Unanswered,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// Nanoseconds, units a second, or a count.
    Absolute(f64),
    /// A change against the baseline: 0.1 for `+10%`.
    Relative(f64),
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Threshold {
    pub(super) measure: Measure,
    above: bool,
    bound: Bound,
    text: String,
}

/// The figures that a condition can look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures {
    /// Nanoseconds, in the order of [`QUANTILES`]; `None` without a sample.
    pub(super) quantiles: Vec<Option<f64>>,
    pub(super) max: Option<f64>,
    pub(super) mean: Option<f64>,
    pub(super) throughput: Option<f64>,
    pub(super) errors: Option<f64>,
    pub(super) unanswered: Option<f64>,
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
        }
    }

    /// The figures that are compared with a baseline, by their names; always the same ones in the same
    /// order.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, Option<f64>)> {
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
                "\"{}\" is no condition; write 'p99<2ms', 'p99.9>+10%' or 'throughput<-5%'",
                text.escape_debug()
            ))
        };
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim());
        let measure = match name {
            "max" => Measure::Max,
            "mean" => Measure::Mean,
            "throughput" => Measure::Throughput,
            "errors" => Measure::Errors,
            "unanswered" => Measure::Unanswered,
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
        if let Some(percent) = text.strip_suffix('%') {
            let signed = percent.starts_with(['+', '-']);
            let share = percent.parse::<f64>().ok().filter(|share| signed && share.is_finite())?;
            return Some(Bound::Relative(share / 100.0));
        }
        Some(Bound::Absolute(match measure {
            Measure::Throughput => parse_rate(text).ok()?,
            Measure::Errors | Measure::Unanswered => text.parse::<u32>().ok()?.into(),
            _ => parse_duration(text).ok()?.as_nanos() as f64,
        }))
    }

    /// A condition that needs no baseline and holds below a bound on a latency.
    pub(super) fn absolute(text: &str) -> Result<Self, ParseError> {
        let threshold: Self = text.parse()?;
        if threshold.is_relative() || threshold.above || !threshold.is_of_latency() {
            return Err(ParseError::new("--find-rate wants a latency and its bound: 'p99<2ms'"));
        }
        Ok(threshold)
    }

    pub(super) fn is_of_latency(&self) -> bool {
        matches!(self.measure, Measure::Quantile(_) | Measure::Max | Measure::Mean)
    }

    /// Says that it cannot be judged, because a figure is not there.
    pub(super) fn lacks(&self, figures: &Figures) -> Option<String> {
        let missing = figures.get(self.measure).is_none();
        missing.then(|| format!("{self} cannot be judged: there is no such figure"))
    }

    pub(super) fn is_relative(&self) -> bool {
        matches!(self.bound, Bound::Relative(_))
    }

    /// Whether it holds, and the sentence that says so; a figure that is missing holds nothing.
    pub(super) fn holds(&self, now: &Figures, before: Option<&Figures>) -> Option<String> {
        let value = now.get(self.measure)?;
        let bound = match self.bound {
            Bound::Absolute(bound) => bound,
            Bound::Relative(change) => before?.get(self.measure)? * (1.0 + change),
        };
        let holds = if self.above { value > bound } else { value < bound };
        let show = |value| self.show(value);
        holds.then(|| match before.filter(|_| self.is_relative()) {
            Some(before) => {
                let was = before.get(self.measure).unwrap_or_default();
                format!("{self} holds: {} against {} before", show(value), show(was))
            }
            None => format!("{self} holds: it was {}", show(value)),
        })
    }

    fn show(&self, value: f64) -> String {
        match self.measure {
            Measure::Throughput => format!("{value:.1}/s"),
            Measure::Errors | Measure::Unanswered => format!("{value:.0}"),
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
        Figures { quantiles, throughput: Some(throughput), errors: Some(0.0), ..Figures::default() }
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
            assert_eq!(threshold.holds(&now, Some(&before)).is_some(), holds, "{text}");
        }
        let missing = |text: &str| text.parse::<Threshold>().unwrap().lacks(&now);
        assert!(missing("p50<1h").unwrap().contains("p50<1h cannot be judged"));
        assert_eq!((missing("p99<1h"), missing("errors>0")), (None, None));
        let relative: Threshold = "p99>+10%".parse().unwrap();
        assert_eq!(relative.holds(&now, None), None);
    }

    #[test]
    fn a_condition_is_shown_without_what_stands_around_it() {
        for text in ["p99<2ms", "\u{85}p99 <\t2ms\n"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), "p99<2ms");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in
            ["", "p99", "p99=2ms", "p98<2ms", "p99<10%", "p99<x", "errors>1s", "<2ms", "µ<1"]
        {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
        assert!(Threshold::absolute("p99>2ms").is_err());
        assert!(Threshold::absolute("throughput<2").is_err());
        assert!(Threshold::absolute("p99<+2%").is_err());
        assert!(Threshold::absolute("p99.9<2ms").is_ok());
    }
}
