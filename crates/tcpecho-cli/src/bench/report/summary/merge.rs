//! Several results as one: counts and histograms add up exactly, throughputs as of one time.

use tcpecho_load::Unit;

use super::{Distribution, Latency, MOST_TAGS, Summary, TcpPart};

impl Summary {
    /// Adds the result of another machine, or of another part of the same run: counts and histograms
    /// exactly, throughputs as of one time.
    pub(in crate::bench) fn merge(&mut self, other: &Self) {
        let (one, two) = (self.parts as f64, other.parts as f64);
        add(&mut self.parts, other.parts);
        self.started = self.started.clone().min(other.started.clone());
        if self.settings.words != other.settings.words {
            self.settings.words = format!("{} results", self.parts);
        }
        if !self.server.words.contains(&other.server.words) {
            self.server.words = format!("{}; {}", self.server.words, other.server.words);
        }
        let same = self.settings.workload == other.settings.workload;
        self.settings.workload = self.settings.workload.take().filter(|_| same);
        let checked = self.settings.checked.zip(other.settings.checked);
        self.settings.checked = checked.map(|(mine, more)| mine && more);
        let (mine, more) = (&mut self.result, &other.result);
        mine.throughput_per_s += more.throughput_per_s;
        mine.seconds = (mine.seconds * one + more.seconds * two) / (one + two);
        add(&mut mine.messages, more.messages);
        add_known(&mut mine.sent_bytes, more.sent_bytes);
        add_known(&mut mine.received_bytes, more.received_bytes);
        add_known(&mut mine.connections_made, more.connections_made);
        add_known(&mut mine.connections_open, more.connections_open);
        add_known(&mut mine.messages_lost, more.messages_lost);
        add_known(&mut mine.messages_unanswered, more.messages_unanswered);
        add_known(&mut mine.messages_late, more.messages_late);
        add_known(&mut mine.messages_due, more.messages_due);
        add_known(&mut mine.lost_bytes, more.lost_bytes);
        mine.interrupted_by = mine.interrupted_by.take().or_else(|| more.interrupted_by.clone());
        Distribution::merge(&mut self.latency.response, other.latency.response.as_ref());
        Distribution::merge(&mut self.latency.service, other.latency.service.as_ref());
        Distribution::merge(&mut self.latency.connect, other.latency.connect.as_ref());
        merge_tagged(&mut self.latency, &other.latency);
        // Each had its own; what the sum would have compared with is nobody's.
        self.baseline = None;
        self.merge_sides(other);
        self.merge_intervals(other);
        for note in &other.notes {
            if !self.notes.contains(note) {
                self.notes.push(note.clone());
            }
        }
    }

    fn merge_sides(&mut self, other: &Self) {
        // Two machines that watch one server see the same process: its use is not added up.
        self.server.cpu_ns = None;
        self.server.cpu_ns_per_unit = None;
        self.server.cpu_share = None;
        self.server.memory_before_bytes = None;
        self.server.memory_held_bytes = None;
        self.server.memory_bytes_per_connection = None;
        self.client.threads.extend(&other.client.threads);
        let late = self.client.late_max_ns.zip(other.client.late_max_ns);
        self.client.late_max_ns = late.map(|(mine, more)| mine.max(more));
        self.client.late_mean_ns = None;
        let pauses = self.client.pauses.zip(other.client.pauses);
        self.client.pauses = pauses.map(|(mine, more)| mine.longer(more));
        add_known(&mut self.client.messages_across_pauses, other.client.messages_across_pauses);
        // Where a part does not say what its threads used, the sum of the others is not for all messages.
        let is_known = self.client.cpu_ns_per_unit.and(other.client.cpu_ns_per_unit).is_some();
        let busy: u64 =
            self.client.threads.iter().map(|used| used.busy_ns).fold(0, u64::saturating_add);
        let units = match self.unit() {
            Unit::Megabytes => self.result.received_bytes.unwrap_or_default() as f64 / 1e6,
            _ => self.result.messages as f64,
        };
        self.client.cpu_ns_per_unit = (is_known && units > 0.0).then(|| busy as f64 / units);
        let (mine, more) = (&mut self.tcp, &other.tcp);
        let sum = |part: &TcpPart| part.rtt_mean_us.unwrap_or(0.0) * part.connections_asked as f64;
        let (sum, asked) =
            (sum(mine) + sum(more), mine.connections_asked.saturating_add(more.connections_asked));
        mine.rtt_mean_us = (asked > 0).then(|| sum / asked as f64);
        mine.connections_asked = asked;
        mine.rtt_min_us = mine.rtt_min_us.into_iter().chain(more.rtt_min_us).min();
        add_known(&mut mine.segments_retransmitted, more.segments_retransmitted);
        for error in &other.errors {
            match self.errors.iter_mut().find(|mine| mine.ending == error.ending) {
                Some(mine) => add(&mut mine.count, error.count),
                None => self.errors.push(error.clone()),
            }
        }
    }

    /// Stretches of the same place are added; their quantiles cannot be, so they are left out.
    fn merge_intervals(&mut self, other: &Self) {
        for (place, row) in other.intervals.iter().enumerate() {
            let Some(mine) = self.intervals.get_mut(place) else {
                self.intervals.push(row.clone());
                continue;
            };
            mine.to_s = mine.to_s.max(row.to_s);
            add(&mut mine.messages, row.messages);
            add_known(&mut mine.received_bytes, row.received_bytes);
            add_known(&mut mine.connections, row.connections);
            add_known(&mut mine.errors, row.errors);
            mine.throughput_per_s += row.throughput_per_s;
            mine.max_ns = mine.max_ns.max(row.max_ns);
            (mine.p50_ns, mine.p99_ns) = (None, None);
        }
    }
}

fn merge_tagged(mine: &mut Latency, more: &Latency) {
    for (tag, times) in &more.other {
        if let Some(known) = mine.other.remove(tag) {
            let mut sum = Some(known);
            Distribution::merge(&mut sum, Some(times));
            mine.other.extend(sum.map(|sum| (tag.clone(), sum)));
        } else if mine.other.len() < MOST_TAGS {
            mine.other.insert(tag.clone(), times.clone());
        }
    }
}

/// The sum of what one of both does not know is not known.
fn add_known(sum: &mut Option<u64>, more: Option<u64>) {
    *sum = sum.zip(more).map(|(sum, more)| sum.saturating_add(more));
}

/// What a file says may be anything: no sum panics.
fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

#[cfg(test)]
mod tests {
    use tcpecho_load::ClientUse;

    use super::*;

    fn asked(connections_asked: u64, rtt_mean_us: Option<f64>, rtt_min_us: Option<u32>) -> Summary {
        let tcp =
            TcpPart { connections_asked, rtt_mean_us, rtt_min_us, segments_retransmitted: Some(5) };
        Summary { tcp, ..Summary::example() }
    }

    #[test]
    fn a_mean_round_trip_is_that_of_all_connections() {
        for (one, two, asked, mean, least) in [
            (asked(1, Some(100.0), Some(90)), asked(3, Some(300.0), Some(80)), 4, Some(250.0), 80),
            (asked(2, Some(100.0), Some(90)), asked(0, None, None), 2, Some(100.0), 90),
            (asked(0, None, Some(90)), asked(0, None, None), 0, None, 90),
        ] {
            let mut sum = one;
            sum.merge(&two);
            assert_eq!((sum.tcp.connections_asked, sum.tcp.rtt_mean_us), (asked, mean));
            assert_eq!(
                (sum.tcp.rtt_min_us, sum.tcp.segments_retransmitted),
                (Some(least), Some(10))
            );
        }
    }

    #[test]
    fn parts_of_one_run_add_up_as_of_one_time() {
        let mut part = Summary::example();
        part.client.cpu_ns_per_unit = Some(100.0);
        part.client.threads = vec![ClientUse { busy_ns: 1_000_000, ..ClientUse::default() }];
        let mut sum = part.clone();
        sum.merge(&part);
        // Of two threads that were busy for a millisecond each, for 20,000 messages.
        assert_eq!(sum.client.cpu_ns_per_unit, Some(100.0));
        assert_eq!(
            (sum.parts, sum.result.messages, sum.result.received_bytes),
            (2, 20_000, Some(1_280_000))
        );
        assert!((sum.result.throughput_per_s - 2000.0).abs() < 1e-9);
        assert!((sum.result.seconds - 10.0).abs() < 1e-9);
    }
}
