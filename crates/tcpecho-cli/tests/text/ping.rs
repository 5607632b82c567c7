//! `tcpecho ping`.

use crate::{
    common::{Serving, somewhere},
    looks, looks_like,
    printed::{Place, WIDTHS, fits, without_escapes},
    seen,
};

#[test]
fn lines_and_summary() {
    looks("ping", "tcpecho ping -c 2 -i 0.01");
    looks("ping-date", "tcpecho ping -c 1 -D");
    looks("ping-connect", "tcpecho ping -c 1 --connect");
    looks("ping-reconnect", "tcpecho ping -c 1 --reconnect");
    looks("ping-quiet", "tcpecho ping -c 2 -i 0.01 -q");
}

#[test]
fn two_targets() {
    let servers = [(); 2].map(|()| Serving::start("epoll", somewhere(), &[]));
    let [one, other] = servers.each_ref().map(Serving::addr);
    // Which of them is first is not certain.
    looks_like("ping-targets", &format!("tcpecho ping -c 1 {one} {other}"), |text| {
        let mut seen = seen(text);
        seen.sort();
        seen
    });
}

#[test]
fn failures_and_conditions() {
    looks("ping-refused", "tcpecho ping -c 1 127.0.0.1:1");
    looks("ping-unresolved", "tcpecho ping nosuch.invalid");
    looks("ping-fail-if", "tcpecho ping -c 1 -q --fail-if 'loss>1%' --fail-if 'p50>1us'");
}

#[test]
fn sweeps() {
    looks("ping-size-sweep", "tcpecho ping --size-sweep=256");
    looks("ping-idle-sweep", "tcpecho ping --idle-sweep=100ms");
}

/// How many bars there are depends on the times.
#[test]
fn histogram() {
    looks_like("ping-histogram", "tcpecho ping -c 5 -i 0.01 -q --histogram", |text| {
        let bar = |line: &&str| line.contains(" ms ") && line.contains("% ") || line.ends_with('%');
        let (bars, others): (Vec<&str>, Vec<&str>) = text.lines().partition(bar);
        assert!(text.is_empty() || bars.iter().any(|bar| bar.contains('█')), "{text}");
        seen(&others.join("\n"))
    });
}

/// Every screen that is drawn fits, and the legend, the figures and the note are whole.
#[test]
fn plot() {
    for columns in WIDTHS {
        let line = "tcpecho ping -c 5 -i 0.05 --plot";
        let Some(text) = Place::Terminal(columns).shows(line) else { return };
        let screens: Vec<&str> = text.split("\x1b[H").collect();
        let last = without_escapes(screens[screens.len() - 1]);
        for screen in &screens {
            fits(columns, &without_escapes(screen));
        }
        let words = last.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            " probes, 0% loss, min ",
            "answered L late x lost r refused ! corrupted (time= in ms, log scale)",
            "connected to 127.0.0.1:",
            " kernel timestamps",
        ] {
            assert!(words.contains(part), "{columns} columns, {part:?}:\n{last}");
        }
    }
}
