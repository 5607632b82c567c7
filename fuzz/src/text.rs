//! Values in arguments and environment variables.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tcpecho::{
    Endpoint,
    internal::{ListenHost, parse_duration, parse_listen, parse_source},
};
use tcpecho_cli::fuzzing;

use crate::{accepted, check_sentence, text};

/// A host and a port, an address to connect from, and one to listen on.
pub fn endpoint(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let length = text.len();
    if let Some(endpoint) = accepted(text.parse::<Endpoint>(), length) {
        assert!(endpoint.port != 0 && !endpoint.host.is_empty());
        assert!(!endpoint.host.contains(|c: char| c.is_control() || c.is_whitespace()));
        assert_eq!(endpoint.to_string().parse(), Ok(endpoint.clone()));
        let apart = Endpoint::with_port(&endpoint.host, &endpoint.port.to_string());
        assert_eq!(apart, Ok(endpoint.clone()));
        // A complete address means that address, here and for the standard library.
        if let Ok(address) = text.parse::<SocketAddr>() {
            assert_eq!(endpoint.port, address.port());
        }
    }
    if let Some((host, port)) = text.split_once(' ') {
        accepted(Endpoint::with_port(host, port), length);
    }
    if let Some(source) = accepted(parse_source(text), length) {
        let written = match source {
            SocketAddr::V4(v4) if v4.port() == 0 => v4.ip().to_string(),
            SocketAddr::V6(v6) if v6.port() == 0 && v6.scope_id() == 0 => format!("[{}]", v6.ip()),
            SocketAddr::V6(v6) if v6.port() == 0 => format!("[{}%{}]", v6.ip(), v6.scope_id()),
            complete => complete.to_string(),
        };
        assert_eq!(parse_source(&written), Ok(source));
    }
    if let Some((ListenHost::Addr(listen), _)) = accepted(parse_listen(text), length) {
        assert_eq!(listen.port(), 0);
        assert_eq!(parse_listen(&listen.to_string()), Ok((ListenHost::Addr(listen), Some(0))));
    }
    accepted(fuzzing::listener(text), length);
}

/// A span of time: exact to the nanosecond, and bounded.
pub fn duration(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(span) = accepted(parse_duration(text), text.len()) else { return };
    assert!(span <= Duration::from_secs(10 * 365 * 24 * 3600));
    let seconds = format!("{}.{:09}", span.as_secs(), span.subsec_nanos());
    assert_eq!(parse_duration(&seconds), Ok(span));
    // Another way to the same number.
    let units = [
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
        ("", 1.0),
    ];
    let (mut rest, mut wanted) = (text, 0.0);
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number = &rest[..rest.len() - after.len()];
        rest = after.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
        let unit = &after[..after.len() - rest.len()];
        let (_, seconds) = units.iter().find(|(name, _)| *name == unit).expect("a unit");
        wanted += number.parse::<f64>().expect("a decimal number") * seconds;
    }
    let error = (span.as_secs_f64() - wanted).abs();
    assert!(error <= 1e-8 + wanted * 1e-12, "{text:?} is {span:?}, not {wanted} s");
}

/// Numbers of bytes, and rates.
pub fn size(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let length = text.len();
    for most in [1, 16 << 20, u64::from(u32::MAX)] {
        if let Some(size) = accepted(fuzzing::size(text, most), length) {
            assert!((1..=most).contains(&size));
            assert_eq!(fuzzing::size(&size.to_string(), most), Ok(size));
        }
    }
    if let Some(rate) = accepted(fuzzing::rate(text), length) {
        assert!(rate.is_finite() && (0.001..=1e9).contains(&rate));
        assert_eq!(fuzzing::rate(&rate.to_string()), Ok(rate));
    }
}

/// Conditions on a result.
pub fn threshold(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for (time, rate, count) in [(0.0, 0.0, 0.0), (1e6, 1e3, 1.0), (1e18, 1e18, 1e18)] {
        let Some(read) = accepted(fuzzing::threshold(text, time, rate, count), text.len()) else {
            return;
        };
        let (shown, judged) = &read;
        check_sentence(shown, text.len());
        check_sentence(judged, text.len());
        assert!(!judged.contains("NaN") && !judged.contains("inf"), "{judged}");
        assert_eq!(fuzzing::threshold(shown, time, rate, count).as_ref(), Ok(&read));
    }
}

/// Parts of a run, lists of processors, moments, ranges of addresses.
pub fn lists(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let length = text.len();
    if let Some((part, of)) = accepted(fuzzing::shard(text), length) {
        assert!(part < of);
        assert_eq!(fuzzing::shard(&format!("{}/{of}", part + 1)), Ok((part, of)));
    }
    if let Some(cpus) = accepted(fuzzing::cpu_list(text), length) {
        let mut each = cpus.clone();
        each.sort_unstable();
        each.dedup();
        assert_eq!(each.len(), cpus.len(), "a processor twice");
        assert_eq!(cpus.is_empty(), text == "any");
    }
    if let Some(moment) = accepted(fuzzing::moment(text), length) {
        let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if since.as_secs() < 1 << 32 {
            let seconds = format!("{}", since.as_secs());
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
            assert_eq!(fuzzing::moment(&seconds), Ok(whole));
        }
    }
    if let Some(sources) = accepted(fuzzing::sources(text), length) {
        assert!((1..=65_536).contains(&sources.len()));
        assert!(sources.iter().all(|source| source.is_ipv4() == sources[0].is_ipv4()));
    }
}
