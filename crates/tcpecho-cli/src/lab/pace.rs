//! What the report says about time: the kernel timers that a run has shortened, and their values on
//! this machine.

use std::{io, time::Duration};

use serde::Serialize;
use tcpecho_lab::{Side, pace::Shortened, run::Run, text::Text};

/// One sentence for each timer that was shortened, or waited for as it is, and one for each host
/// with other settings.
pub(super) fn sentences(run: &Run) -> Vec<String> {
    run.shortened.iter().map(sentence).chain(settings(run)).collect()
}

/// What else the run has set in each host's kernel; what is the same in both hosts, once.
fn settings(run: &Run) -> Vec<String> {
    let of = |side| {
        let settings = run.settings().into_iter().filter(|(host, ..)| *host == side);
        let words = settings.map(|(_, key, values)| format!("{key} {}", values.join(", then ")));
        words.collect::<Vec<_>>().join("; ")
    };
    let [client, server] = [of(Side::Client), of(Side::Server)];
    if client == server {
        return (!client.is_empty())
            .then(|| format!("both hosts: also set: {client}"))
            .into_iter()
            .collect();
    }
    let sides = [(Side::Client, client), (Side::Server, server)];
    let changed = sides.iter().filter(|(_, words)| !words.is_empty());
    changed.map(|(side, words)| format!("{side}: also set: {words}")).collect()
}

fn sentence(shortened: &Shortened) -> String {
    let Shortened { side, own, here } = shortened;
    if own == here {
        let settings = own.timer.keys().iter().zip(&own.values);
        let settings: Vec<_> = settings.map(|(key, value)| format!("{key} {value}")).collect();
        return format!(
            "{side}: {} as on this host: {} at least",
            settings.join(", "),
            words(own.time())
        );
    }
    let changed: Vec<_> =
        shortened.changed().map(|(key, own, here)| format!("{key} {own} → {here}")).collect();
    format!(
        "{side}: {}: {} at least instead of {} with this host's own settings, {:.0} times shorter",
        changed.join(", "),
        words(here.time()),
        words(own.time()),
        shortened.factor()
    )
}

/// Writes one JSON object for each timer.
pub(super) fn ndjson(out: &mut impl io::Write, run: &Run, seed: u64) -> io::Result<()> {
    #[derive(Serialize)]
    struct Chance<'a> {
        scenario: &'a str,
        family: String,
        what: &'a str,
        seed: u64,
    }
    let (scenario, family) = (run.text.name, run.family.to_string());
    let line = Chance { scenario, family: family.clone(), what: "seed", seed };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)?;
    for shortened in &run.shortened {
        #[derive(Serialize)]
        struct Pace<'a> {
            scenario: &'a str,
            family: &'a str,
            what: &'a str,
            text: String,
            here_ms: u128,
            own_ms: u128,
            factor: f64,
        }
        let line = Pace {
            scenario,
            family: &family,
            what: "shortened",
            text: sentence(shortened),
            here_ms: shortened.here.time().as_millis(),
            own_ms: shortened.own.time().as_millis(),
            factor: shortened.factor(),
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

/// How long a scenario takes with this host's own settings, if it waits for any timer.
pub(super) fn warning(text: &Text) -> Option<String> {
    let times = text.timers.iter().filter_map(|timer| timer.own().ok()).map(|own| own.time());
    let whole: Duration = times.sum();
    // This is the minimum: the kernel checks the limit only when a timer expires.
    (!text.timers.is_empty())
        .then(|| format!("{}: this will take {} or more", text.name, words(whole)))
}

/// `15 min 25 s`, `2 h 11 min 15 s`, `0.6 s`.
fn words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 {
        return format!("{} s", (seconds * 10.0).round() / 10.0);
    }
    let whole = seconds.round() as u64;
    let parts = [(whole / 3600, "h"), (whole / 60 % 60, "min"), (whole % 60, "s")];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    parts.map(|(number, unit)| format!("{number} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        for (milliseconds, said) in [
            (600, "0.6 s"),
            (3000, "3 s"),
            (924_600, "15 min 25 s"),
            (131_000, "2 min 11 s"),
            (7_875_000, "2 h 11 min 15 s"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(words(Duration::from_millis(milliseconds)), said);
        }
    }
}
