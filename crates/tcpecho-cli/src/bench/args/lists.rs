//! Parsers for lists of addresses and processors, times and shards.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use tcpecho::{ParseError, internal::parse_source};

use super::refuse;

/// The most source addresses: enough for every connection that a process can have.
const MOST_SOURCES: u128 = 65_536;

pub(in crate::bench) fn sources(texts: &[String]) -> Result<Vec<SocketAddr>, ParseError> {
    let mut all = Vec::new();
    for text in texts {
        match text.split_once('-') {
            None => all.push(parse_source(text)?),
            Some((from, to)) => all.extend(range(from, to)?),
        }
    }
    Ok(all)
}

fn range(from: &str, to: &str) -> Result<Vec<SocketAddr>, ParseError> {
    let (first, last) = (parse_source(from)?.ip(), parse_source(to)?.ip());
    let number = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let (low, high) = (number(first), number(last));
    if first.is_ipv4() != last.is_ipv4() || high < low || high - low >= MOST_SOURCES {
        return Err(refuse(
            "invalid range of source addresses: expected at most 65536 ascending addresses of one family",
        ));
    }
    let address = |number: u128| -> IpAddr {
        match first {
            IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        }
    };
    Ok((low..=high).map(|number| SocketAddr::new(address(number), 0)).collect())
}

/// Processors, each once, in the order given: `0,2-3`; none for `any`.
pub(in crate::bench) fn cpu_list(text: &str) -> Result<Vec<usize>, ParseError> {
    if text == "any" {
        return Ok(Vec::new());
    }
    let wrong = || {
        let text = text.escape_debug();
        refuse(&format!("\"{text}\" is not a list of processors (examples: 0,2-3, any)"))
    };
    let most = rustix::thread::CpuSet::MAX_CPU;
    let number = |text: &str| text.parse::<usize>().ok().filter(|cpu| *cpu < most);
    let mut cpus = Vec::new();
    let mut is_new = vec![true; most];
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => {
                cpus.extend((low..=high).filter(|cpu| std::mem::take(&mut is_new[*cpu])));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(cpus)
}

/// RFC 3339, as `date -Iseconds` and `date -Ins` print it too, or seconds since 1970. A time without an
/// offset is UTC.
pub(in crate::bench) fn moment(text: &str) -> Result<SystemTime, ParseError> {
    rfc3339(text).or_else(|| since_1970(text)).ok_or_else(|| {
        let text = text.escape_debug();
        refuse(&format!(
            "\"{text}\" is not a time (examples: 2026-11-21T12:00:00Z, 2026-11-21T13:00:00+01:00, \
             seconds since 1970)"
        ))
    })
}

fn since_1970(text: &str) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn rfc3339(text: &str) -> Option<SystemTime> {
    let (local, offset) = match text.len().checked_sub("+01:00".len()) {
        Some(at) if text.is_char_boundary(at) => match offset(&text[at..]) {
            Some(offset) => (&text[..at], offset),
            None => (text, 0),
        },
        _ => (text, 0),
    };
    // date -Ins has a comma before the nanoseconds.
    let local = humantime::parse_rfc3339_weak(&local.replace(',', ".")).ok()?;
    let distance = Duration::from_secs(offset.unsigned_abs());
    if offset >= 0 { local.checked_sub(distance) } else { local.checked_add(distance) }
}

/// Seconds east of Greenwich: `+01:00`, `-09:30`.
fn offset(text: &str) -> Option<i64> {
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| digits && *number <= most)
    };
    Some(sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60))
}

/// `2/3` as the second of three, counted from 0.
pub(in crate::bench) fn shard(text: &str) -> Result<(u64, u64), ParseError> {
    let parsed = text
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
    match parsed {
        Some((part, of)) if part >= 1 && part <= of => Ok((part - 1, of)),
        _ => Err(refuse("invalid --shard: expected I/N, such as 1/3")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_what_date_prints_or_seconds() {
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (text, time) in [
            ("2026-11-28T02:33:06Z", at(1_795_833_186)),
            ("2026-11-28T02:33:06", at(1_795_833_186)),
            ("2026-11-28T02:33:06+00:00", at(1_795_833_186)),
            ("2026-11-28T02:33:06-00:00", at(1_795_833_186)),
            ("2026-11-28T04:33:06+02:00", at(1_795_833_186)),
            ("2026-11-27T17:03:06-09:30", at(1_795_833_186)),
            ("2026-11-28T02:33:06.5+00:00", at(1_795_833_186) + Duration::from_millis(500)),
            ("2026-11-28T02:33:06,000000001+00:00", at(1_795_833_186) + Duration::from_nanos(1)),
            ("1795833186", at(1_795_833_186)),
            ("0.25", SystemTime::UNIX_EPOCH + Duration::from_millis(250)),
        ] {
            assert_eq!(moment(text), Ok(time), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "-1",
            "nan",
            "1e300",
            "+01:00",
            "2026-11-28T02:33:06+24:00",
            "2026-11-28T02:33:06+01:60",
            "2026-11-28T02:33:06+1:000",
            "2026-11-28T02:33:06++1:00",
            "2026-13-28T02:33:06Z",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_are_listed_once() {
        assert_eq!(cpu_list("3,0-2,1-4,3"), Ok(vec![3, 0, 1, 2, 4]));
        assert_eq!(cpu_list("any"), Ok(Vec::new()));
        for text in ["", "0,", "2-1", "x", "0-99999999", "-1"] {
            assert!(cpu_list(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), near in "[0-9T:.,/+Z-]{0,30}") {
            for text in [text, near] {
                let _ = (moment(&text), shard(&text), cpu_list(&text), sources(&[text]));
            }
        }
    }
}
