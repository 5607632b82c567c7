//! When probes are due. Due times are absolute: at a fixed pace the nth probe is due n intervals after the first, however late
//! the ones before were. So a slow answer is not hidden by the probes that waited for it (coordinated omission).

use std::time::{Duration, Instant};

/// Time between probes that find no connection, if the pace depends on answers.
const PAUSE: Duration = Duration::from_millis(10);

/// When the next probe is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// One interval after the one before, whether that is answered or not.
    Every(Duration),
    /// When the one before is answered or given up, but no sooner than this time after it was due.
    Settled(Duration),
    /// When the one before is answered or given up, and no later than this time after it was due.
    Flood(Duration),
}

/// The due times of the probes of one target.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    most: Option<u64>,
    taken: u64,
    start: Option<Instant>,
    /// `None` before the start, and while the next probe depends on the last one.
    due: Option<Instant>,
    last: Option<Instant>,
}

impl Schedule {
    /// Creates a schedule for `most` probes, or without end.
    pub(crate) fn new(pace: Pace, most: Option<u64>) -> Self {
        Schedule { pace, most, taken: 0, start: None, due: None, last: None }
    }

    /// Makes the first probe due now.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.start.is_none() {
            (self.start, self.due) = (Some(now), Some(now));
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.start.is_some()
    }

    /// Returns when the first probe was due.
    pub(crate) fn start(&self) -> Option<Instant> {
        self.start
    }

    /// Returns whether no more probes will be due.
    pub(crate) fn is_over(&self) -> bool {
        self.most.is_some_and(|most| self.taken >= most)
    }

    /// Returns when the next probe is due, if that is known.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.is_over() { None } else { self.due }
    }

    /// Takes the next probe: its number, from 1, and when it was due.
    pub(crate) fn take(&mut self) -> Option<(u64, Instant)> {
        let (start, due) = (self.start?, self.due()?);
        self.taken += 1;
        self.last = Some(due);
        self.due = match self.pace {
            Pace::Every(interval) => after(start, interval, self.taken),
            Pace::Settled(_) => None,
            Pace::Flood(most) => due.checked_add(most),
        };
        Some((self.taken, due))
    }

    /// Postpones what is due by a pause of this process.
    pub(crate) fn postpone(&mut self, span: Duration) {
        for at in [&mut self.start, &mut self.due, &mut self.last].into_iter().flatten() {
            *at = at.checked_add(span).unwrap_or(*at);
        }
    }

    /// Takes all probes that were due before `now`, if none was taken before, and returns how many.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> u64 {
        let (Some(start), Some(due)) = (self.start, self.due()) else { return 0 };
        if due >= now || self.taken > 0 {
            return 0;
        }
        let count = match self.pace {
            Pace::Settled(_) => 1,
            Pace::Every(interval) | Pace::Flood(interval) => {
                let whole = (now - start).as_nanos().saturating_sub(1) / interval.as_nanos().max(1);
                u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(1)
            }
        };
        self.taken = count.min(self.most.unwrap_or(u64::MAX));
        self.due = None;
        self.taken
    }

    /// Notes that the last probe taken had no connection, or lost it. That is known at once, so the next one waits.
    pub(crate) fn failed(&mut self, now: Instant) {
        if let (Some(last), Pace::Settled(least)) = (self.last, self.pace) {
            self.due = last.checked_add(least.max(PAUSE)).map(|due| due.max(now));
        }
    }

    /// Notes that the last probe taken is answered or given up.
    pub(crate) fn settled(&mut self, now: Instant) {
        let Some(last) = self.last else { return };
        match self.pace {
            Pace::Every(_) => {}
            Pace::Settled(least) => self.due = last.checked_add(least).map(|due| due.max(now)),
            Pace::Flood(_) => self.due = self.due.map(|due| due.min(now)),
        }
    }
}

fn after(start: Instant, interval: Duration, times: u64) -> Option<Instant> {
    let nanos = interval.as_nanos().checked_mul(u128::from(times))?;
    start.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_steady_pace_does_not_drift() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Pace::Every(SECOND), Some(3));
        assert_eq!(schedule.take(), None);
        schedule.begin(start);
        schedule.begin(start + SECOND);
        assert_eq!(schedule.take(), Some((1, start)));
        schedule.settled(start + 5 * SECOND);
        assert_eq!(schedule.due(), Some(start + SECOND));
        assert_eq!(schedule.take(), Some((2, start + SECOND)));
        assert_eq!(schedule.take(), Some((3, start + 2 * SECOND)));
        assert_eq!((schedule.is_over(), schedule.due(), schedule.take()), (true, None, None));
    }

    #[test]
    fn a_pause_of_ours_postpones_what_is_due() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Pace::Every(SECOND), None);
        schedule.begin(start);
        schedule.take();
        schedule.postpone(5 * SECOND);
        assert_eq!(schedule.take(), Some((2, start + 6 * SECOND)));
        assert_eq!(schedule.due(), Some(start + 7 * SECOND));
    }

    #[test]
    fn what_was_due_while_nothing_could_be_sent_is_counted() {
        let start = Instant::now();
        for (pace, most, count) in [
            (Pace::Every(SECOND), None, 3),
            (Pace::Every(SECOND), Some(1), 1),
            (Pace::Flood(SECOND / 2), None, 5),
            (Pace::Settled(SECOND), None, 1),
            (Pace::Every(Duration::from_nanos(1)), Some(9), 9),
        ] {
            let mut schedule = Schedule::new(pace, most);
            schedule.begin(start);
            assert_eq!(schedule.take_overdue(start), 0);
            assert_eq!(schedule.take_overdue(start + 2 * SECOND + SECOND / 4), count, "{pace:?}");
            assert_eq!(schedule.take_overdue(start + 9 * SECOND), 0);
        }
    }

    #[test]
    fn an_adaptive_pace_waits_for_the_answer() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Pace::Settled(SECOND), None);
        schedule.begin(start);
        schedule.take();
        assert_eq!(schedule.due(), None);
        schedule.settled(start + SECOND / 2);
        assert_eq!(schedule.due(), Some(start + SECOND));
        schedule.take();
        schedule.settled(start + 9 * SECOND);
        assert_eq!(schedule.due(), Some(start + 9 * SECOND));
    }

    #[test]
    fn a_flood_waits_for_the_answer_but_not_for_long() {
        let start = Instant::now();
        let mut schedule = Schedule::new(Pace::Flood(SECOND), None);
        schedule.begin(start);
        schedule.take();
        assert_eq!(schedule.due(), Some(start + SECOND));
        schedule.settled(start + SECOND / 4);
        assert_eq!(schedule.due(), Some(start + SECOND / 4));
    }

    #[test]
    fn without_a_connection_probes_are_due_after_a_pause() {
        let start = Instant::now();
        for pace in [Pace::Settled(Duration::ZERO), Pace::Flood(PAUSE)] {
            let mut schedule = Schedule::new(pace, None);
            schedule.begin(start);
            schedule.take();
            schedule.failed(start);
            assert_eq!(schedule.due(), Some(start + PAUSE));
        }
    }

    #[test]
    fn no_number_of_probes_overflows() {
        assert_eq!(after(Instant::now(), Duration::from_secs(1 << 40), u64::MAX), None);
    }
}
