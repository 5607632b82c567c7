//! Masks what differs from run to run in the output of a command.

use std::net::IpAddr;

/// Masks what differs from run to run: dates, times, free ports, numbers with a fraction, large numbers, percentages.
pub(crate) fn mask(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(mask_word).collect();
    let mut masked: Vec<String> = Vec::new();
    for word in words {
        let unit = word.trim_end_matches([',', ';', ':', ')']);
        let is_measured = masked
            .last()
            .is_some_and(|last| last.ends_with(|c: char| c.is_ascii_digit() || c == '#'));
        let is_rate = matches!(unit, "B/s" | "kB/s" | "MB/s" | "GB/s" | "Gbit/s");
        let is_rate = is_rate || matches!(unit, "kB" | "MB" | "GB");
        if is_measured && (is_rate || matches!(unit, "ns" | "µs" | "ms" | "s" | "min" | "%")) {
            let number = masked.pop().unwrap();
            let before = number.trim_end_matches(|c: char| c.is_ascii_digit() || c == '#');
            // The unit of a time depends on how long it took.
            let unit = if unit == "%" { " %" } else { "" };
            let after =
                word.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '%' | '/'));
            masked.push(format!("{before}#{unit}{after}"));
            continue;
        }
        let counted = matches!(word.as_str(), "in" | "messages/s" | "connections/s");
        if let Some(last) = masked.last_mut().filter(|last| counted && is_number(last)) {
            *last = String::from("#");
        }
        let number = word.trim_end_matches([',', ';', ':', ')']);
        if matches!(masked.last().map(String::as_str), Some("process" | "PID")) && is_number(number)
        {
            masked.push(format!("#{}", &word[number.len()..]));
            continue;
        }
        masked.push(word);
    }
    let line = masked.join(" ");
    // On a busy machine the kernel's timestamps of some probes, or of all, come too late to be used.
    let stamps = "kernel timestamps";
    let line = line.replace("user timestamps", stamps);
    line.find(stamps).map_or(line.clone(), |at| line[..at + stamps.len()].to_owned())
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn mask_word(word: &str) -> String {
    let mut masked = String::new();
    // A change has either sign.
    let change = word.strip_prefix(['+', '-']);
    let change = change.filter(|number| number.contains('.') && number.parse::<f64>().is_ok());
    let mut rest = change.unwrap_or(word);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        masked += &squeeze(before);
        let length = from
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ','))
            .unwrap_or(from.len());
        let number = from[..length].trim_end_matches(['.', ',']);
        rest = &from[number.len()..];
        let is_date = number.len() == 4 && rest.starts_with('-') && word.contains('T');
        if is_date {
            return masked + "#";
        }
        masked += &mask_number(number, &mut rest);
    }
    masked + &squeeze(rest)
}

/// Masks a number; takes the unit that follows it away from `rest` if it is a time.
fn mask_number(number: &str, rest: &mut &str) -> String {
    if number.parse::<IpAddr>().is_ok() {
        return number.to_owned();
    }
    for unit in ["ns", "µs", "ms", "s"] {
        let after = rest.strip_prefix(unit);
        if let Some(after) = after.filter(|after| !after.starts_with(char::is_alphanumeric)) {
            *rest = after;
            return "#".to_owned();
        }
    }
    let measured = number.contains(['.', ',']) || number.len() > 3 || rest.starts_with("/s");
    if measured { "#".to_owned() } else { number.to_owned() }
}

/// Makes one of several line-drawing characters in a row: arrows are as long as there is room.
fn squeeze(text: &str) -> String {
    let mut squeezed = String::new();
    for c in text.chars() {
        if c != '─' || !squeezed.ends_with('─') {
            squeezed.push(c);
        }
    }
    squeezed
}

#[test]
fn masking_hides_measured_values_and_nothing_else() {
    for (line, expected) in [
        (
            "connected to 127.0.0.1:40923 in 0.071 ms, kernel",
            "connected to 127.0.0.1:# in #, kernel",
        ),
        ("2 of 3 right, 4.2 s", "2 of 3 right, #"),
        (
            "finished: 11 bytes sent, 11 received in 446.9µs, 26.9 kB/s",
            "finished: 11 bytes sent, 11 received in #, #",
        ),
        (
            "2026-11-28T07:08:13.680Z session bytes=11 duration=0.000725s",
            "# session bytes=11 duration=#",
        ),
        ("server  16.1 µs of processor time; 17 % of it", "server # of processor time; # % of it"),
        ("engine epoll, process 379, processor 0", "engine epoll, process #, processor 0"),
        (
            "ok throughput<-99%: 34,034/s, change -18.3 %, limit 416/s",
            "ok throughput<-99%: #/s, change # %, limit #/s",
        ),
        ("590 MB/s   12 Gbit/s   111 MB in 0.10 s", "# # # in #"),
        ("p50/p90 = 0.383/3.559 ms", "p50/p90 = #/#"),
        ("   0.029 ms  socket     AF_INET = ok", "# socket AF_INET = ok"),
        ("   5.1 ms   ────── SYN seq=0 win=64240 ────▶", "# ─ SYN seq=0 win=# ─▶"),
        ("seq=2 time=3 ms retrans=1", "seq=2 time=# retrans=1"),
        ("throughput   56 messages/s   33 in 0.60 s", "throughput # messages/s # in #"),
        ("rtt p50 = 0.150 ms, kernel timestamps for 2", "rtt p50 = #, kernel timestamps"),
        ("rtt p50 = 0.150 ms, user timestamps", "rtt p50 = #, kernel timestamps"),
    ] {
        assert_eq!(mask(line), expected);
    }
}
