//! The reports of the connections that have ended, kept for [`Server::sessions`](crate::Server::sessions).

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{Report, counted::counted};

/// How many reports a server keeps by default.
pub(crate) const KEPT: usize = 1024;
/// How long [`Server::sessions`](crate::Server::sessions) waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Reports of the latest connections that have ended, in the order of their ends.
pub(crate) struct Sessions {
    most: usize,
    log: Mutex<Log>,
    changed: Condvar,
}

#[derive(Default)]
struct Log {
    kept: VecDeque<Report>,
    /// Connections that have ended, whether their reports are kept or not.
    ended: u64,
    /// The server has ended, so nothing will change.
    closed: bool,
    /// Threads that wait for a change. Without any, the end of a connection costs no system call.
    waiting: usize,
}

impl Sessions {
    pub(crate) fn new(most: usize) -> Self {
        Sessions { most, log: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has ended.
    pub(crate) fn ended(&self, report: Report) {
        let mut log = self.lock();
        log.ended += 1;
        if self.most > 0 {
            if log.kept.len() == self.most {
                log.kept.pop_front();
            }
            log.kept.push_back(report);
        }
        self.tell(&log);
    }

    /// The server has ended.
    pub(crate) fn close(&self) {
        let mut log = self.lock();
        log.closed = true;
        self.tell(&log);
    }

    fn tell(&self, log: &Log) {
        if log.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Returns the reports that are kept, in the order of accept.
    pub(crate) fn kept(&self) -> Vec<Report> {
        self.lock().reports()
    }

    /// Waits until all connections have ended. `arrived` counts those that have reached the server, served or not.
    pub(crate) fn wait(
        &self,
        limit: Duration,
        arrived: impl Fn() -> u64,
    ) -> Result<Vec<Report>, StillOpen> {
        let start = Instant::now();
        let mut log = self.lock();
        loop {
            let open = arrived().saturating_sub(log.ended);
            if open == 0 || log.closed {
                return Ok(log.reports());
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(StillOpen { ended: log.reports(), open, limit });
            }
            log.waiting += 1;
            log = self.changed.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
            log.waiting -= 1;
        }
    }
}

impl Log {
    fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<Report> = self.kept.iter().cloned().collect();
        reports.sort_by_key(|report| report.number);
        reports
    }
}

/// Connections had not ended when [`Server::sessions`](crate::Server::sessions) had waited for its limit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StillOpen {
    /// The connections that have ended, in the order of accept.
    pub ended: Vec<Report>,
    /// The number of connections that are open, or wait in the accept queue.
    pub open: u64,
    /// The limit.
    pub limit: Duration,
}

impl fmt::Display for StillOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = counted(self.open, "connection is", "connections are");
        write!(
            f,
            "{open} still open after {:?}, {} ended: close the client, or end the server with finish, because a \
             script that pauses or has stopped reading notices no FIN",
            self.limit,
            self.ended.len(),
        )
    }
}

impl Error for StillOpen {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Outcome, Session, Tracked};

    fn report(number: u64) -> Report {
        let peer = ([127, 0, 0, 1], 7).into();
        Session::new(peer, Instant::now(), number).report(
            Outcome::FINISHED,
            Instant::now(),
            None,
            Tracked::default(),
        )
    }

    fn numbers(reports: &[Report]) -> Vec<u64> {
        reports.iter().map(|report| report.number).collect()
    }

    #[test]
    fn the_latest_reports_are_kept_and_sorted() {
        let sessions = Sessions::new(3);
        for number in [2, 1, 5, 3] {
            sessions.ended(report(number));
        }
        assert_eq!(numbers(&sessions.kept()), [1, 3, 5]);
        assert_eq!(numbers(&sessions.wait(Duration::ZERO, || 4).unwrap()), [1, 3, 5]);
        let none = Sessions::new(0);
        none.ended(report(1));
        assert!(none.wait(Duration::ZERO, || 1).unwrap().is_empty());
    }

    #[test]
    fn a_wait_that_is_over_says_how_many_are_open() {
        let sessions = Sessions::new(3);
        sessions.ended(report(1));
        let error = sessions.wait(Duration::from_millis(1), || 3).unwrap_err();
        assert_eq!((error.open, numbers(&error.ended)), (2, vec![1]));
        let text = error.to_string();
        assert!(text.starts_with("2 connections are still open after 1ms, 1 ended: "), "{text}");
        // Nothing more will end.
        sessions.close();
        assert_eq!(numbers(&sessions.wait(PATIENCE, || 3).unwrap()), [1]);
    }
}
