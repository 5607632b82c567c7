//! The accept backoff policy: which errors of accept(2) are retried at once, which later, and how often.
//!
//! All engines and all loops of a server use the same policy. The first few transient errors in a row are retried at
//! once. A persistent error of any kind is retried at most [`BURST`] times and then once per [`PACE`]: at most 20 times
//! per second, and service resumes within two paces of its end. The type is pure: the caller passes the time.

use std::time::{Duration, Instant};

use rustix::io::Errno;

/// How many transient failures in a row are retried at once.
const BURST: u32 = 8;
/// The shortest time between two tries while accept keeps failing.
const PACE: Duration = Duration::from_millis(100);
/// The shortest time between two reports of failures.
const SPEECH: Duration = Duration::from_secs(1);

/// What an errno of accept(2) means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The error belongs to one connection, or the call was interrupted.
    Transient,
    /// A resource is exhausted. Freeing it helps; retrying at once does not.
    Scarce,
    /// The descriptor is not a listening socket: a bug, or ss -K destroyed it.
    Fatal,
}

fn kind(errno: Errno) -> Kind {
    match errno {
        Errno::INTR | Errno::CONNABORTED | Errno::PERM => Kind::Transient,
        // "Linux accept() passes already-pending network errors on the new socket ... treat them like EAGAIN by retrying."
        Errno::NETDOWN
        | Errno::PROTO
        | Errno::NOPROTOOPT
        | Errno::HOSTDOWN
        | Errno::NONET
        | Errno::HOSTUNREACH
        | Errno::OPNOTSUPP
        | Errno::NETUNREACH => Kind::Transient,
        Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT => Kind::Fatal,
        // EMFILE, ENFILE, ENOBUFS, ENOMEM, and errors of later kernels.
        _ => Kind::Scarce,
    }
}

/// What to do after a failed accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Call it again.
    Again,
    /// Do not call it before this time.
    Wait(Instant),
    /// It fails forever.
    Fatal,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    failures: u64,
    burst: u32,
    /// The last failure was an exhausted resource.
    scarce: bool,
    next_try: Instant,
    last_early: Option<Instant>,
    said: bool,
}

/// The state of the policy.
#[derive(Debug, Default)]
pub(crate) struct AcceptBackoff {
    trouble: Option<Trouble>,
    last_said: Option<Instant>,
}

impl AcceptBackoff {
    /// Returns whether accept may be called now; `Err` says when to ask again. While accept fails, `Ok` uses up the try of this pace.
    pub(crate) fn may_try(&mut self, now: Instant) -> Result<(), Instant> {
        match &mut self.trouble {
            Some(trouble) if trouble.burst == 0 && now < trouble.next_try => Err(trouble.next_try),
            Some(trouble) if trouble.burst == 0 => {
                trouble.next_try = now + PACE;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A descriptor was freed: allows one early try per pace.
    pub(crate) fn freed(&mut self, now: Instant) {
        if let Some(trouble) = &mut self.trouble
            && trouble.scarce
            && trouble.last_early.is_none_or(|then| now >= then + PACE)
        {
            trouble.last_early = Some(now);
            trouble.next_try = now;
        }
    }

    /// Records a failed accept. The flag says whether to report it.
    pub(crate) fn failed(&mut self, errno: Errno, now: Instant) -> (Advice, bool) {
        let kind = kind(errno);
        if errno == Errno::INTR {
            return (Advice::Again, false);
        }
        let trouble = self.trouble.get_or_insert(Trouble {
            since: now,
            failures: 0,
            burst: BURST,
            scarce: false,
            next_try: now,
            last_early: None,
            said: false,
        });
        trouble.failures += 1;
        trouble.scarce = kind == Kind::Scarce;
        let advice = match kind {
            Kind::Fatal => Advice::Fatal,
            Kind::Transient if trouble.burst > 1 => {
                trouble.burst -= 1;
                Advice::Again
            }
            _ => {
                trouble.burst = 0;
                trouble.next_try = trouble.next_try.max(now + PACE);
                Advice::Wait(trouble.next_try)
            }
        };
        let say = !trouble.said && self.last_said.is_none_or(|then| now >= then + SPEECH);
        if say {
            trouble.said = true;
            self.last_said = Some(now);
        }
        (advice, say)
    }

    /// Records that accept worked or found an empty queue. Returns the number of failures and their duration if they were reported.
    pub(crate) fn worked(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let trouble = self.trouble.take()?;
        trouble.said.then(|| (trouble.failures, now - trouble.since))
    }

    /// Returns whether accept is failing.
    pub(crate) fn in_trouble(&self) -> bool {
        self.trouble.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries made in ten seconds, when every try fails with `errno`, a descriptor is freed every `freed`, and `loops`
    /// loops of one server try whenever they may.
    fn tries(errno: Errno, freed: Option<Duration>, loops: usize) -> (Vec<Instant>, usize) {
        let start = Instant::now();
        let mut backoff = AcceptBackoff::default();
        let (mut tries, mut said) = (Vec::new(), 0);
        for ms in 0..10_000u64 {
            let now = start + Duration::from_millis(ms);
            if freed.is_some_and(|every| ms % every.as_millis() as u64 == 0) {
                backoff.freed(now);
            }
            for _ in 0..loops {
                while backoff.may_try(now).is_ok() {
                    tries.push(now);
                    let (advice, say) = backoff.failed(errno, now);
                    said += usize::from(say);
                    if advice != Advice::Again {
                        break;
                    }
                }
            }
        }
        (tries, said)
    }

    fn busiest_second(tries: &[Instant]) -> usize {
        let second = Duration::from_secs(1);
        tries
            .iter()
            .map(|t| tries.iter().filter(|u| **u >= *t && **u < *t + second).count())
            .max()
            .unwrap()
    }

    #[test]
    fn a_persistent_error_is_retried_at_most_twenty_times_a_second_and_reported_once() {
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::PERM,
            Errno::CONNABORTED,
            Errno::PROTO,
            Errno::NETDOWN,
            Errno::IO,
        ] {
            for freed in [None, Some(Duration::from_millis(1)), Some(Duration::from_millis(70))] {
                for loops in [1, 4] {
                    let (tries, said) = tries(errno, freed, loops);
                    assert!(busiest_second(&tries) <= 20, "{errno} {freed:?} {loops}");
                    assert!(
                        tries.len() >= 90,
                        "{errno}: only {} tries in ten seconds",
                        tries.len()
                    );
                    assert_eq!(said, 1, "{errno}");
                }
            }
        }
    }

    #[test]
    fn a_few_transient_errors_are_retried_at_once() {
        let now = Instant::now();
        let mut backoff = AcceptBackoff::default();
        for _ in 1..BURST {
            assert_eq!(backoff.failed(Errno::CONNABORTED, now).0, Advice::Again);
        }
        assert_eq!(backoff.failed(Errno::CONNABORTED, now).0, Advice::Wait(now + PACE));
    }

    #[test]
    fn a_freed_descriptor_is_tried_at_once_and_success_forgets() {
        let now = Instant::now();
        let mut backoff = AcceptBackoff::default();
        assert_eq!(backoff.failed(Errno::MFILE, now), (Advice::Wait(now + PACE), true));
        assert!(backoff.may_try(now).is_err());
        backoff.freed(now);
        assert!(backoff.may_try(now).is_ok());
        assert_eq!(backoff.worked(now), Some((1, Duration::ZERO)));
        assert!(!backoff.in_trouble());
    }

    #[test]
    fn reports_are_a_second_apart_even_if_failures_alternate() {
        let start = Instant::now();
        let mut backoff = AcceptBackoff::default();
        let mut said = 0;
        for ms in 0..5_000 {
            let now = start + Duration::from_millis(ms);
            said += u32::from(backoff.failed(Errno::NOBUFS, now).1);
            backoff.worked(now);
        }
        assert_eq!(said, 5);
    }

    #[test]
    fn eintr_is_not_a_failure_and_a_broken_listener_is_fatal() {
        let now = Instant::now();
        let mut backoff = AcceptBackoff::default();
        assert_eq!(backoff.failed(Errno::INTR, now), (Advice::Again, false));
        assert!(!backoff.in_trouble());
        assert_eq!(backoff.failed(Errno::INVAL, now).0, Advice::Fatal);
    }
}
