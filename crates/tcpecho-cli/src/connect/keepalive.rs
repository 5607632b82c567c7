//! `--keepalive IDLE[,INTERVAL[,COUNT]]` and `--user-timeout TIME`, and `off` for both.

use std::time::Duration;

use tcpecho::{
    Keepalive, ParseError,
    internal::{Kernel, LONGEST_USER_TIMEOUT, parse_duration},
};

/// What `--keepalive` said; none for `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asking(pub(super) Option<Keepalive>);

/// What `--user-timeout` said; none for `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UserTimeout(pub(super) Option<Duration>);

/// The longest that the kernel takes for either time of keepalive, in seconds (`MAX_TCP_KEEPIDLE`).
const LONGEST: Duration = Duration::from_secs(32767);
/// The most probes (`MAX_TCP_KEEPCNT`).
const MOST: u32 = 127;

/// Reads the silence before the first probe, the time between probes, and their number.
pub(super) fn keepalive(text: &str) -> Result<Asking, ParseError> {
    if matches!(text, "off" | "0") {
        return Ok(Asking(None));
    }
    let mut parts = text.split(',');
    let idle = span(parts.next().unwrap_or_default())?;
    // As often as makes three probes in the time of the silence.
    let interval = parts.next().map_or(Ok((idle / 3).max(Duration::from_secs(1))), span)?;
    let interval = Duration::from_secs(interval.as_secs());
    let count = parts.next().map_or(Ok(3), |text| match text.parse() {
        Ok(count @ 1..=MOST) => Ok(count),
        _ => Err(ParseError::new("keepalive sends 1 to 127 probes")),
    })?;
    match parts.next() {
        None => Ok(Asking(Some(Keepalive { idle, interval, count }))),
        Some(_) => Err(ParseError::new("keepalive is IDLE[,INTERVAL[,COUNT]]")),
    }
}

/// The kernel counts in whole seconds.
fn span(text: &str) -> Result<Duration, ParseError> {
    match parse_duration(text)? {
        span if span.subsec_nanos() != 0 || span.is_zero() => {
            Err(ParseError::new("keepalive counts in whole seconds"))
        }
        span if span > LONGEST => Err(ParseError::new("keepalive waits 32767 seconds at most")),
        span => Ok(span),
    }
}

/// Reads how long data may stay unacknowledged.
pub(super) fn user_timeout(text: &str) -> Result<UserTimeout, ParseError> {
    if text == "off" {
        return Ok(UserTimeout(None));
    }
    match parse_duration(text)? {
        span if span.is_zero() => Ok(UserTimeout(None)),
        span if span > LONGEST_USER_TIMEOUT => Err(ParseError::new(
            "a user timeout is 2147483647ms (596.5h) at most, which is the kernel's limit",
        )),
        // The kernel counts in milliseconds, and 0 would be its own default.
        span => Ok(UserTimeout(Some(span.max(Duration::from_millis(1))))),
    }
}

/// Half a minute, unless whoever set this host up wants its kernel to give up earlier: an option of the socket would make it
/// wait longer.
pub(super) fn usual_user_timeout() -> Option<Duration> {
    const USUAL: Duration = Duration::from_secs(30);
    let kernel = Kernel::read_retransmission().data_wait(Duration::from_millis(200), None);
    kernel.is_none_or(|wait| wait >= USUAL).then_some(USUAL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asks(idle: u64, interval: u64, count: u32) -> Asking {
        let (idle, interval) = (Duration::from_secs(idle), Duration::from_secs(interval));
        Asking(Some(Keepalive { idle, interval, count }))
    }

    #[test]
    fn every_spelling() {
        assert_eq!(keepalive("15s,5s,3"), Ok(asks(15, 5, 3)));
        assert_eq!(keepalive("1m"), Ok(asks(60, 20, 3)));
        assert_eq!(keepalive("1"), Ok(asks(1, 1, 3)));
        assert_eq!(keepalive("2,1"), Ok(asks(2, 1, 3)));
        assert_eq!((keepalive("off"), keepalive("0")), (Ok(Asking(None)), Ok(Asking(None))));
        assert_eq!(user_timeout("off"), Ok(UserTimeout(None)));
        assert_eq!(user_timeout("1us"), Ok(UserTimeout(Some(Duration::from_millis(1)))));
    }

    #[test]
    fn what_the_kernel_would_not_take_is_refused() {
        for text in ["", "1.5s", "10h", "1,0", "1,1,0", "1,1,128", "1,1,1,1", "soon", "1,,1"] {
            assert!(keepalive(text).is_err(), "{text}");
        }
        assert!(user_timeout("600h").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), near in "[0-9,.smhof]{0,24}") {
            for text in [text, near] {
                let _ = (keepalive(&text), user_timeout(&text));
            }
        }

        #[test]
        fn what_the_kernel_takes_comes_back(
            idle in 1_u64..=32767, interval in 1_u64..=32767, count in 1_u32..=127,
        ) {
            prop_assert_eq!(keepalive(&format!("{idle},{interval}s,{count}")), Ok(asks(idle, interval, count)));
        }
    }
}
