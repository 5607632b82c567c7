//! The requests of one connection: what it may send, what it must receive, and how long that took. A pure state
//! machine without sockets and clocks.

use std::sync::LazyLock;

use crate::{
    histogram::Times,
    pattern::{Pattern, TURN},
    profile::Profile,
    tally::Tally,
};

/// The bytes that all connections send.
static PATTERN: LazyLock<Pattern> = LazyLock::new(Pattern::new);

/// The requests of a connection, and of the connections that replace it.
pub(crate) struct Flow {
    /// Its number among all connections of the run.
    pub(crate) number: u64,
    /// Messages that have become due, over all its connections.
    pub(crate) due: u64,
    /// Messages that were begun.
    pub(crate) begun: u64,
    /// Messages that were answered, lost or given up.
    pub(crate) answered: u64,
    /// Bytes sent on this connection.
    pub(crate) sent: u64,
    /// Bytes received on this connection.
    pub(crate) received: u64,
    /// Where the messages that were begun end, in bytes of this connection.
    horizon: u64,
    /// Where the next answer ends.
    next_end: u64,
    /// When bytes were last received, or first owed.
    pub(crate) progress: u64,
    /// How many connections came before this one.
    generation: u64,
    /// When the messages without an answer were begun, by their number modulo the depth.
    stamps: Box<[u64]>,
}

/// The current time, and the times that latencies are counted from, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: u64,
    /// When the schedule started.
    pub(crate) base: u64,
    /// When the last pause of this program ended; 0 if there was none.
    pub(crate) resumed: u64,
}

/// A sentence about received bytes that are not those that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mismatch(pub(crate) String);

impl Flow {
    pub(crate) fn new(number: u64, profile: &Profile) -> Self {
        Self {
            number,
            due: 0,
            begun: 0,
            answered: 0,
            sent: 0,
            received: 0,
            horizon: 0,
            next_end: profile.size(0),
            progress: 0,
            generation: 0,
            stamps: vec![0; profile.depth.unwrap_or(0)].into(),
        }
    }

    /// Returns how many messages have no answer yet.
    pub(crate) fn under_way(&self) -> u64 {
        self.begun - self.answered
    }

    /// Returns how many bytes were sent and not received.
    pub(crate) fn owed(&self) -> u64 {
        self.sent - self.received
    }

    /// Returns whether it waits for the server.
    pub(crate) fn waits(&self) -> bool {
        self.under_way() > 0 || self.owed() > 0
    }

    /// Returns whether it may begin another message.
    fn may_begin(&self, profile: &Profile) -> bool {
        self.under_way() < self.stamps.len() as u64
            && (profile.schedule.is_none() || self.due > self.begun)
    }

    /// Begins as many messages as the schedule, the depth and `budget` allow.
    pub(crate) fn begin(&mut self, profile: &Profile, now: u64, budget: &mut u64) {
        while *budget > 0 && self.may_begin(profile) {
            if !self.waits() {
                self.progress = now;
            }
            let place = (self.begun % self.stamps.len() as u64) as usize;
            self.stamps[place] = now;
            self.horizon += profile.size(self.begun);
            self.begun += 1;
            *budget -= 1;
        }
    }

    /// Returns how many bytes can be sent now, at most [`TURN`].
    pub(crate) fn ready(&self, profile: &Profile) -> usize {
        match profile.depth {
            None => TURN,
            Some(_) => (self.horizon - self.sent).min(TURN as u64) as usize,
        }
    }

    /// Returns the next `length` bytes to send, at most [`TURN`].
    pub(crate) fn outgoing(&self, length: usize) -> &'static [u8] {
        PATTERN.at(self.seed(), self.sent, length)
    }

    fn seed(&self) -> usize {
        (self.number as usize).wrapping_add(self.generation as usize * 31) % (1 << 24)
    }

    /// Notes bytes that were sent.
    pub(crate) fn sent(&mut self, count: usize, now: u64, tally: &mut Tally) {
        if self.owed() == 0 {
            self.progress = now;
        }
        self.sent += count as u64;
        tally.sent += count as u64;
    }

    /// Checks and counts received bytes. Returns how many messages they complete.
    pub(crate) fn received(
        &mut self,
        back: &[u8],
        profile: &Profile,
        moment: Moment,
        tally: &mut Tally,
    ) -> Result<u64, Mismatch> {
        self.check(back, profile)?;
        self.received += back.len() as u64;
        self.progress = moment.now;
        tally.received += back.len() as u64;
        if profile.depth.is_none() {
            return Ok(0);
        }
        let before = self.answered;
        while self.answered < self.begun && self.received >= self.next_end {
            self.note_time(profile, moment, tally);
            self.answered += 1;
            self.next_end += profile.size(self.answered);
        }
        tally.messages += self.answered - before;
        Ok(self.answered - before)
    }

    /// Records the latencies of the oldest message without an answer. A service time that contains a pause of
    /// this program says nothing about the server and is left out. A response time counts from when the message
    /// was due, even if this program was late.
    fn note_time(&self, profile: &Profile, moment: Moment, tally: &mut Tally) {
        let Moment { now, base, resumed } = moment;
        let begun = self.stamps[(self.answered % self.stamps.len() as u64) as usize];
        if begun < resumed {
            tally.across_pauses += 1;
        } else {
            tally.service.record(now.saturating_sub(begun));
        }
        if let Some(due) = profile.due(self.number, self.answered) {
            tally.response.record(now.saturating_sub(base + due));
        }
    }

    fn check(&self, back: &[u8], profile: &Profile) -> Result<(), Mismatch> {
        if self.owed() < back.len() as u64 {
            let more = self.received + back.len() as u64;
            let sent = self.sent;
            return Err(Mismatch(format!("{more} bytes came back of the {sent} that were sent")));
        }
        if !profile.check {
            return Ok(());
        }
        let sent = PATTERN.at(self.seed(), self.received, back.len());
        if back == sent {
            return Ok(());
        }
        let at = back.iter().zip(sent).position(|(back, sent)| back != sent).unwrap_or_default();
        let (place, number) = (self.received + at as u64, self.number);
        let (was, is) = (sent[at], back[at]);
        Err(Mismatch(format!(
            "byte {place} of connection {number} was sent as {was:02x} and came back as {is:02x}"
        )))
    }

    /// Starts again with a new connection. Returns how many messages were lost with the old one.
    pub(crate) fn restart(&mut self, profile: &Profile) -> u64 {
        let lost = self.under_way();
        self.answered = self.begun;
        self.generation += 1;
        (self.sent, self.received, self.horizon) = (0, 0, 0);
        self.next_end = profile.size(self.answered);
        lost
    }

    /// Counts messages without an answer at the end, with the time that they have waited so far, which is a
    /// lower bound. Includes messages that were due before `end` and could not be sent.
    pub(crate) fn give_up(
        &mut self,
        profile: &Profile,
        moment: Moment,
        end: u64,
        tally: &mut Tally,
    ) {
        let Moment { now, base, .. } = moment;
        while self.answered < self.begun {
            self.note_time(profile, moment, tally);
            self.answered += 1;
            tally.unanswered += 1;
        }
        while let Some(due) = profile.due(self.number, self.answered).filter(|d| base + d < end) {
            let waited = now.saturating_sub(base + due);
            // All messages of one bucket are recorded at once: there may be billions.
            let start = Times::bucket_start(waited);
            let same = |message| {
                profile
                    .due(self.number, message)
                    .is_some_and(|due| base + due < end && now.saturating_sub(base + due) >= start)
            };
            let count = how_many(self.answered, same);
            tally.response.record_many(waited, count - 1);
            self.answered += count;
            // The last has waited for the shortest time, which the histogram keeps exactly.
            let last = profile.due(self.number, self.answered - 1).unwrap_or(due);
            tally.response.record(now.saturating_sub(base + last));
            tally.unanswered += count;
        }
        self.begun = self.answered;
    }
}

/// Returns how many numbers from `first` on have a property. `first` has it, and no number after the first one
/// without it has it.
fn how_many(first: u64, has: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (1, 2);
    while high < 1 << 40 && has(first + high - 1) {
        (low, high) = (high, high * 2);
    }
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if has(first + middle - 1) { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    const MILLISECOND: u64 = 1_000_000;
    const UNLIMITED: u64 = u64::MAX;

    fn profile(depth: Option<usize>, schedule: Option<Schedule>) -> Profile {
        Profile { depth, schedule, ..Profile::new(vec![100]) }
    }

    fn when(now: u64) -> Moment {
        Moment { now, base: 0, resumed: 0 }
    }

    /// Sends all that the flow may send at this time.
    fn sends(flow: &mut Flow, profile: &Profile, now: u64, tally: &mut Tally) -> Vec<u8> {
        flow.begin(profile, now, &mut { UNLIMITED });
        let bytes = flow.outgoing(flow.ready(profile)).to_vec();
        flow.sent(bytes.len(), now, tally);
        bytes
    }

    /// The server answers immediately, except during one stall of 500 ms.
    #[test]
    fn response_time_sees_a_stall_whole_while_service_time_does_not() {
        let profile = profile(Some(1), Some(Schedule::Steady(1000.0)));
        let (mut flow, mut tally) = (Flow::new(0, &profile), Tally::new());
        let stall = 1000 * MILLISECOND..1500 * MILLISECOND;
        let mut under_way: Option<Vec<u8>> = None;
        for tick in 0..3000_u64 {
            let now = tick * MILLISECOND;
            flow.due = tick + 1;
            // After the stall the server answers the backlog immediately.
            for _ in 0..=flow.due - flow.answered {
                if under_way.is_none() {
                    let bytes = sends(&mut flow, &profile, now, &mut tally);
                    under_way = Some(bytes).filter(|bytes| !bytes.is_empty());
                }
                if stall.contains(&now) {
                    break;
                }
                if let Some(bytes) = under_way.take() {
                    flow.received(&bytes, &profile, when(now), &mut tally).unwrap();
                }
            }
        }
        assert_eq!((tally.messages, flow.under_way()), (3000, 0));
        // One request was sent before the stall and answered after it: one slow service time.
        let slow = |times: &Times, from: u64| times.between(from * MILLISECOND, u64::MAX >> 8);
        assert_eq!(slow(&tally.service, 2), 1);
        assert!(tally.service.quantile(0.99).unwrap() < MILLISECOND);
        // 500 requests were due during the stall. They waited from 500 ms down to 1 ms.
        assert_eq!(slow(&tally.response, 1), 500);
        let longest = tally.response.max().unwrap();
        assert!((499 * MILLISECOND..=501 * MILLISECOND).contains(&longest), "{longest}");
        let p95 = tally.response.quantile(0.95).unwrap();
        // 5 % of 3000 are 150; the 150th longest waited 350 ms.
        assert!((349 * MILLISECOND..=352 * MILLISECOND).contains(&p95), "{p95}");
    }

    #[test]
    fn what_never_comes_is_counted_with_the_time_it_waited() {
        let profile = profile(Some(2), Some(Schedule::Steady(10.0)));
        let (mut flow, mut tally) = (Flow::new(0, &profile), Tally::new());
        flow.due = 4;
        sends(&mut flow, &profile, 0, &mut tally);
        assert_eq!((flow.begun, flow.under_way()), (2, 2));
        let second = 1_000 * MILLISECOND;
        flow.give_up(&profile, when(2 * second), second, &mut tally);
        // Ten were due before the end, two of them were sent.
        assert_eq!((tally.unanswered, tally.service.count(), tally.response.count()), (10, 2, 10));
        assert!(tally.response.min().unwrap() >= 1_099 * MILLISECOND);
        assert!(tally.response.max().unwrap() >= 2 * second);
        assert_eq!(tally.messages, 0);
    }

    #[test]
    fn many_that_could_not_be_sent_are_counted_as_if_one_by_one() {
        let second = 1_000 * MILLISECOND;
        for schedule in [
            Schedule::Steady(200_000.0),
            Schedule::Ramp { from: 1.0, to: 300_000.0, over: second as f64 },
        ] {
            let profile = profile(Some(1), Some(schedule));
            let (mut flow, mut tally) = (Flow::new(0, &profile), Tally::new());
            let now = second + second / 3;
            flow.give_up(&profile, when(now), second, &mut tally);
            let mut each = Times::new();
            let due = (0..).map(|n| schedule.due(n)).take_while(|due| *due < second);
            due.for_each(|due| each.record(now - due));
            assert!(tally.response == each);
            assert_eq!(tally.unanswered, each.count());
        }
        // Recorded one by one, this would take hours.
        let profile = profile(Some(1), Some(Schedule::Steady(1e9)));
        let (mut flow, mut tally) = (Flow::new(0, &profile), Tally::new());
        flow.give_up(&profile, when(3700 * second), 3600 * second, &mut tally);
        assert_eq!(tally.unanswered, 3_600_000_000_000);
        assert_eq!(how_many(7, |n| n < 8), 1);
        assert_eq!(how_many(7, |n| n < 107), 100);
    }

    #[test]
    fn a_service_time_with_a_pause_of_ours_in_it_is_left_out() {
        let profile = profile(Some(2), Some(Schedule::Steady(1000.0)));
        let (mut flow, mut tally) = (Flow::new(0, &profile), Tally::new());
        flow.due = 3;
        let bytes = sends(&mut flow, &profile, MILLISECOND, &mut tally);
        let moment = |now, resumed| Moment { now, base: 0, resumed };
        let resumed = 900 * MILLISECOND;
        let after = moment(resumed + 1, resumed);
        assert_eq!(flow.received(&bytes[..100], &profile, after, &mut tally), Ok(1));
        let more = sends(&mut flow, &profile, resumed + 2, &mut tally);
        let bytes = [&bytes[100..], &more].concat();
        let after = moment(resumed + MILLISECOND, resumed);
        assert_eq!(flow.received(&bytes, &profile, after, &mut tally), Ok(2));
        // Two were sent before the pause, one after it. All three were due.
        assert_eq!((tally.messages, tally.across_pauses), (3, 2));
        assert_eq!((tally.service.count(), tally.response.count()), (1, 3));
        assert!(tally.service.max().unwrap() <= MILLISECOND + MILLISECOND / 100);
    }

    #[test]
    fn every_wrong_byte_is_found() {
        let profile = profile(Some(3), None);
        let (mut flow, mut tally) = (Flow::new(7, &profile), Tally::new());
        let bytes = sends(&mut flow, &profile, 0, &mut tally);
        assert_eq!(bytes.len(), 300);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            let Err(Mismatch(words)) = flow.received(&wrong, &profile, when(1), &mut tally) else {
                panic!("byte {at} was not seen")
            };
            assert!(words.contains(&format!("byte {at} of connection 7")), "{words}");
        }
        // One byte left out, one repeated, one too many.
        let without = [&bytes[..10], &bytes[11..]].concat();
        let doubled = [&bytes[..10], &bytes[9..299]].concat();
        let more = [&bytes[..], b"x"].concat();
        for wrong in [without, doubled, more] {
            assert!(flow.received(&wrong, &profile, when(1), &mut tally).is_err());
        }
        assert_eq!(tally.messages, 0);
        assert_eq!(flow.received(&bytes[..150], &profile, when(1), &mut tally), Ok(1));
        assert_eq!(flow.received(&bytes[150..], &profile, when(2), &mut tally), Ok(2));
    }

    #[test]
    fn sizes_come_in_turn_and_a_new_connection_starts_afresh() {
        let mut profile = profile(Some(1), None);
        profile.sizes = vec![10, 1000];
        let (mut flow, mut tally) = (Flow::new(0, &profile), Tally::new());
        let mut lengths = Vec::new();
        for _ in 0..3 {
            let bytes = sends(&mut flow, &profile, 0, &mut tally);
            lengths.push(bytes.len());
            assert_eq!(flow.received(&bytes, &profile, when(1), &mut tally), Ok(1));
        }
        assert_eq!(lengths, [10, 1000, 10]);
        let first = sends(&mut flow, &profile, 0, &mut tally);
        assert_eq!((first.len(), flow.restart(&profile)), (1000, 1));
        let bytes = sends(&mut flow, &profile, 0, &mut tally);
        assert_eq!(bytes.len(), 10);
        assert_eq!(flow.received(&bytes, &profile, when(1), &mut tally), Ok(1));
    }
}
