//! Lists and moments as a person writes them.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use tcpecho::{NotUnderstood, parse_source};

use super::refuse;

/// The most source addresses: enough for every connection that a process can have.
const MOST_SOURCES: u128 = 65_536;

pub(super) fn sources(texts: &[String]) -> Result<Vec<SocketAddr>, NotUnderstood> {
    let mut all = Vec::new();
    for text in texts {
        match text.split_once('-') {
            None => all.push(parse_source(text)?),
            Some((from, to)) => all.extend(range(from, to)?),
        }
    }
    Ok(all)
}

fn range(from: &str, to: &str) -> Result<Vec<SocketAddr>, NotUnderstood> {
    let (first, last) = (parse_source(from)?.ip(), parse_source(to)?.ip());
    let number = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let (low, high) = (number(first), number(last));
    if first.is_ipv4() != last.is_ipv4() || high < low || high - low >= MOST_SOURCES {
        return Err(refuse("a range of source addresses goes up, in one family, by 65536 at most"));
    }
    let address = |number: u128| -> IpAddr {
        match first {
            IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        }
    };
    Ok((low..=high).map(|number| SocketAddr::new(address(number), 0)).collect())
}

/// Processors: `0,2-3`; none for `any`.
pub(in crate::bench) fn cpu_list(text: &str) -> Result<Vec<usize>, NotUnderstood> {
    if text == "any" {
        return Ok(Vec::new());
    }
    let wrong = || {
        let text = text.escape_debug();
        refuse(&format!("\"{text}\" is no list of processors, such as 0,2-3, or any"))
    };
    let most = rustix::thread::CpuSet::MAX_CPU;
    let number = |text: &str| text.parse::<usize>().ok().filter(|cpu| *cpu < most);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => cpus.extend(low..=high),
            _ => return Err(wrong()),
        }
    }
    Ok(cpus)
}

/// RFC 3339, or seconds since 1970.
pub(super) fn moment(text: &str) -> Result<SystemTime, NotUnderstood> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let seconds: Option<f64> = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
        .ok_or_else(|| {
            let text = text.escape_debug();
            refuse(&format!("\"{text}\" is no time; write 2026-11-21T12:00:00Z or seconds"))
        })
}

/// `2/3` as the second of three, counted from 0.
pub(super) fn shard(text: &str) -> Result<(u64, u64), NotUnderstood> {
    let parsed = text
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
    match parsed {
        Some((part, of)) if part >= 1 && part <= of => Ok((part - 1, of)),
        _ => Err(refuse("--shard wants I/N, such as 1/3")),
    }
}
