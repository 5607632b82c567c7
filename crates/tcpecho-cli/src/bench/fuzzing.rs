//! The parsers of bench, as the fuzz targets call them.
#![allow(clippy::missing_errors_doc, reason = "each returns the parser's own sentence")]

use std::{net::SocketAddr, time::SystemTime};

use super::{
    args::lists,
    histogram::{QUANTILES, decode, decoded, encoded},
    merge::{self, ResultFile},
    report::{html, look::Look, plot, summary::BaselinePart, table},
};
use crate::threshold::{BENCH, Figures, PING, Threshold};

/// A file of results: of one run, of a comparison, or an HDR log.
pub struct File(ResultFile);

impl File {
    /// Reads it; `name` is the file's.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self, String> {
        merge::parse(bytes, name).map(Self)
    }

    /// As `bench report --json` writes it.
    pub fn json(&self) -> Result<String, String> {
        merge::json(&self.0)
    }

    /// As `bench report` and `bench report --plot` print it.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.0 {
            ResultFile::Run(summary) => {
                table::page(summary, false, Look::PLAIN) + &plot::draw(summary, Look::PLAIN)
            }
            ResultFile::Comparison(all) => all.page(false, Look::PLAIN),
        }
    }

    /// As `bench report --html` writes it.
    #[must_use]
    pub fn html(&self) -> String {
        match &self.0 {
            ResultFile::Run(summary) => html::run(summary),
            ResultFile::Comparison(all) => html::comparison(all),
        }
    }

    /// Adds another, as `report` does.
    pub fn add(&mut self, other: Self) -> Result<(), String> {
        self.0.add(other.0)
    }

    /// With `before` as the baseline: the changes in one line, and what a condition says. None for
    /// a comparison.
    #[must_use]
    pub fn against(&self, before: &Self, condition: &str) -> Option<(String, String)> {
        let (ResultFile::Run(now), ResultFile::Run(before)) = (&self.0, &before.0) else {
            return None;
        };
        let condition = Threshold::parse(condition, &BENCH).ok()?;
        let words = BaselinePart::of("before".to_owned(), now, before).words();
        Some((words, condition.judge(&now.figures(), Some(&before.figures())).line))
    }
}

/// Reads a condition: how it is shown, and what it says of these figures, in nanoseconds, a second, and a
/// number, against figures twice as large.
pub fn threshold(
    text: &str,
    nanoseconds: f64,
    rate: f64,
    count: f64,
) -> Result<(String, String), String> {
    let threshold = Threshold::parse(text, &BENCH)
        .or_else(|error| Threshold::parse(text, &PING).map_err(|_| error))
        .map_err(|error| error.to_string())?;
    let figures = |times: f64| Figures {
        quantiles: vec![Some(nanoseconds * times); QUANTILES.len()],
        max: Some(nanoseconds * times),
        mean: Some(nanoseconds * times),
        throughput: Some(rate * times),
        errors: Some(count * times),
        unanswered: Some(count * times),
        loss: Some(count * times),
    };
    Ok((threshold.to_string(), threshold.judge(&figures(1.0), Some(&figures(2.0))).line))
}

/// Decodes a histogram; returns how many times it has, its figures, and the times as they are written again.
pub fn histogram(bytes: &[u8]) -> Result<(u64, Vec<f64>, String), String> {
    let times = decode::decode(bytes)?;
    let quantiles = QUANTILES.iter().filter_map(|(_, q)| times.quantile(*q));
    let whole = [times.min(), times.max()].into_iter().flatten();
    let mut figures: Vec<f64> = quantiles.chain(whole).map(|ns| ns as f64).collect();
    figures.extend([times.mean(), times.stdev()].into_iter().flatten());
    let written = encoded(&times);
    if decoded(&written)?.inner() != times.inner() {
        return Err("BUG: what was written is not what was read".to_owned());
    }
    Ok((times.count(), figures, written))
}

/// Reads `I/N`.
pub fn shard(text: &str) -> Result<(u64, u64), String> {
    lists::shard(text).map_err(|error| error.to_string())
}

/// Reads a list of processors.
pub fn cpu_list(text: &str) -> Result<Vec<usize>, String> {
    lists::cpu_list(text).map_err(|error| error.to_string())
}

/// Reads a time.
pub fn moment(text: &str) -> Result<SystemTime, String> {
    lists::moment(text).map_err(|error| error.to_string())
}

/// Reads source addresses or a range of them.
pub fn sources(text: &str) -> Result<Vec<SocketAddr>, String> {
    lists::sources(&[text.to_owned()]).map_err(|error| error.to_string())
}
