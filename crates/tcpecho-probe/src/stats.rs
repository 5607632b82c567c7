//! Counts and times of a target. Times are kept in histograms, whose size does not grow with the number of probes.

use std::{collections::BTreeMap, time::Duration};

/// Bits of a time in nanoseconds that its bucket depends on: buckets differ by less than a thousandth.
const BITS: u32 = 11;

/// Counts and times of a target. Each probe ends in one of five ways: answered, late, corrupted, refused or lost.
#[derive(Debug, Default)]
pub struct Stats {
    /// Probes that were due and sent, or could not be sent.
    pub transmitted: u64,
    /// Probes that came back whole and in time.
    pub answered: u64,
    /// Probes that came back whole, but after the timeout.
    pub late: u64,
    /// Probes that came back with a byte changed or missing.
    pub corrupted: u64,
    /// Probes whose SYN was answered by RST ([`Mode::Connect`](crate::Mode::Connect)).
    pub refused: u64,
    /// Probes that did not come back.
    pub lost: u64,
    /// Answers to probes that had been answered before.
    pub doubled: u64,
    /// Bytes received that belong to no probe.
    pub foreign_bytes: u64,
    /// Segments that the kernel retransmitted.
    pub retransmits: u64,
    /// Connections that were established.
    pub connections: u64,
    /// Connections that ended before the run did.
    pub breaks: u64,
    /// Times without an answer.
    pub outages: Outages,
    /// From when probes were due to their answers.
    pub time: Series,
    /// From when the first byte of probes was sent to when the last came back; by the kernel's timestamps where they are
    /// known.
    pub rtt: Series,
    /// How many of the round trips are measured by the kernel's timestamps.
    pub by_kernel: u64,
    /// The times of handshakes.
    pub connect: Series,
    jitter_ns: f64,
    previous: Option<Duration>,
}

impl Stats {
    /// Records the answer to a probe, in time or late.
    pub(crate) fn answer(&mut self, time: Duration, rtt: Duration, by_kernel: bool) {
        self.time.record(time);
        self.rtt.record(rtt);
        self.by_kernel += u64::from(by_kernel);
        // RFC 3550, 6.4.1: the difference in transit of two probes that follow each other, smoothed by a sixteenth.
        if let Some(previous) = self.previous.replace(rtt) {
            let difference = rtt.abs_diff(previous).as_nanos() as f64;
            self.jitter_ns += (difference - self.jitter_ns) / 16.0;
        }
    }

    /// Returns the interarrival jitter of the round trips (RFC 3550 6.4.1).
    #[must_use]
    pub fn jitter(&self) -> Duration {
        Duration::from_nanos(self.jitter_ns as u64)
    }

    /// Returns how many answers have no time, because this process did not run while they were under way.
    #[must_use]
    pub fn untimed(&self) -> u64 {
        self.received().saturating_sub(self.time.count())
    }

    /// Returns how many probes came back whole, in time or late.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.answered + self.late
    }

    /// Returns how many probes are no longer waited for.
    fn settled(&self) -> u64 {
        self.received() + self.corrupted + self.refused + self.lost
    }

    /// Returns how many percent of the probes that are no longer waited for did not come back whole.
    #[must_use]
    pub fn loss_percent(&self) -> f64 {
        match self.settled() {
            0 => 0.0,
            settled => (settled - self.received()) as f64 * 100.0 / settled as f64,
        }
    }
}

/// Times without an answer around a broken connection or a failed attempt.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Outages {
    /// How many there were.
    pub count: u64,
    /// How long they were in total.
    pub all: Duration,
    /// The longest.
    pub longest: Duration,
    /// The last, if no answer has ended it.
    pub unended: Option<Duration>,
}

impl Outages {
    /// Adds one that an answer has ended.
    pub(crate) fn add(&mut self, span: Duration) {
        self.count += 1;
        self.all = self.all.saturating_add(span);
        self.longest = self.longest.max(span);
    }

    /// Adds one that has not ended.
    pub(crate) fn add_unended(&mut self, span: Duration) {
        self.add(span);
        self.unended = Some(span);
    }
}

/// Times of one kind: extremes, mean and deviation, and a histogram.
#[derive(Debug, Default)]
pub struct Series {
    /// By the shortest time of the bucket. There are at most 1024 for each power of two.
    buckets: BTreeMap<u64, Bucket>,
    sum: f64,
    squares: f64,
    least: Option<Duration>,
    most: Option<Duration>,
    count: u64,
}

/// Times that differ by less than a thousandth.
#[derive(Debug, Default)]
struct Bucket {
    count: u64,
    /// The longest, which stands for all.
    longest: u64,
}

impl Series {
    /// Adds a time.
    pub fn record(&mut self, span: Duration) {
        let nanos = nanos(span);
        let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS);
        let bucket = self.buckets.entry(nanos >> shift << shift).or_default();
        bucket.count += 1;
        bucket.longest = bucket.longest.max(nanos);
        self.count += 1;
        self.sum += nanos as f64;
        self.squares += nanos as f64 * nanos as f64;
        self.least = Some(self.least.map_or(span, |least| least.min(span)));
        self.most = Some(self.most.map_or(span, |most| most.max(span)));
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the smallest; zero if there is none.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.least.unwrap_or_default()
    }

    /// Returns the largest; zero if there is none.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.most.unwrap_or_default()
    }

    /// Returns the mean; zero if there is none.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.sum / self.count.max(1) as f64) as u64)
    }

    /// Returns the standard deviation, which ping(8) calls `mdev`.
    #[must_use]
    pub fn deviation(&self) -> Duration {
        let count = self.count.max(1) as f64;
        let mean = self.sum / count;
        Duration::from_nanos((self.squares / count - mean * mean).max(0.0).sqrt() as u64)
    }

    /// Returns a time that was recorded and that this many percent did not exceed, within a thousandth; zero if there is
    /// none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        // 99.9 / 100 * 1000 is a rounding above 999.
        let rank = (percent * self.count as f64 / 100.0 - 1e-6).ceil().max(1.0) as u64;
        let mut below = 0;
        let found = self.buckets.values().find(|bucket| {
            below += bucket.count;
            below >= rank
        });
        found.map_or(self.max(), |bucket| Duration::from_nanos(bucket.longest))
    }

    /// Returns how many were at least `low` and less than `high`.
    #[must_use]
    pub fn between(&self, low: Duration, high: Duration) -> u64 {
        let within = |bucket: &&Bucket| (nanos(low)..nanos(high)).contains(&bucket.longest);
        self.buckets.values().filter(within).map(|bucket| bucket.count).sum()
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_series_knows_its_middle_and_its_ends() {
        let mut series = Series::default();
        for count in 1..=1000 {
            series.record(ms(count));
        }
        assert_eq!((series.min(), series.max(), series.count()), (ms(1), ms(1000), 1000));
        assert_eq!(series.mean(), Duration::from_micros(500_500));
        for (percent, expected) in [(50.0, 500), (90.0, 900), (99.0, 990), (100.0, 1000)] {
            let seen = series.percentile(percent).as_millis().abs_diff(expected);
            assert!(seen <= expected / 500, "p{percent}: {:?}", series.percentile(percent));
        }
        assert!(series.deviation().abs_diff(Duration::from_micros(288_675)) < ms(1));
        assert_eq!(series.between(ms(0), ms(10_000)), 1000);
    }

    /// A bucket's bound may print as another number than each time in it.
    #[test]
    fn a_percentile_is_a_time_that_was_recorded() {
        let mut series = Series::default();
        let times = [68_490, 68_499, 68_495, 90_000].map(Duration::from_nanos);
        for time in times {
            series.record(time);
        }
        for tenths in 0..=1000 {
            let time = series.percentile(f64::from(tenths) / 10.0);
            assert!(times.contains(&time), "p{tenths}/10: {time:?}");
        }
        assert_eq!(series.percentile(50.0), times[1]);
        assert_eq!(series.percentile(100.0), times[3]);
    }

    #[test]
    fn nothing_recorded_is_no_trouble() {
        let stats = Stats::default();
        assert_eq!((stats.time.percentile(50.0), stats.jitter()), Default::default());
        assert_eq!((stats.time.mean(), stats.time.deviation()), Default::default());
        assert!(stats.loss_percent().abs() < f64::EPSILON);
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        let mut stats = Stats::default();
        for rtt in [10, 26, 10] {
            stats.answer(ms(rtt), ms(rtt), false);
        }
        // 16/16 = 1, then 1 + (16 - 1)/16.
        assert_eq!(stats.jitter(), Duration::from_nanos(1_937_500));
    }

    #[test]
    fn what_is_under_way_is_not_lost() {
        let stats = Stats { transmitted: 5, answered: 2, lost: 1, late: 1, ..Stats::default() };
        assert_eq!((stats.settled(), stats.received()), (4, 3));
        assert!((stats.loss_percent() - 25.0).abs() < 1e-9);
    }
}
