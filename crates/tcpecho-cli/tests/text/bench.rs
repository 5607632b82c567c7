//! `tcpecho bench`.

use crate::{looks, looks_like, seen};

#[test]
fn tables() {
    looks("bench", "tcpecho bench -q -n 500");
    looks("bench-stream", "tcpecho bench -q -W stream -d 500ms");
    looks("bench-idle", "tcpecho bench -q -W idle -c 10 -d 100ms");
    looks("bench-open", "tcpecho bench -q -R 1000 -c 10 -d 200ms");
}

#[test]
fn conditions_and_baseline() {
    let folder = std::env::temp_dir().join(format!("tcpecho-text-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let run = |line: &str| format!("cd {} && {line}", folder.display());
    looks("bench-fail-if", "tcpecho bench -n 500 --fail-if 'p50>1us' --fail-if 'errors>0'");
    looks(
        "bench-report",
        &run("tcpecho bench -q -n 500 --json > a.json && tcpecho bench report a.json"),
    );
    let line = "tcpecho bench -q -n 500 --baseline a.json --fail-if 'p50>+900000%'";
    looks("bench-baseline", &run(line));
    let _ = std::fs::remove_dir_all(&folder);
}

/// The order of the servers, and what is said of their distance, depend on the run.
#[test]
fn comparison() {
    let line = "tcpecho bench -q -n 2000 --rounds 2 --engines epoll,thread";
    looks_like("bench-compare", line, |text| {
        let varies = |line: &String| line.starts_with("epoll") || line.starts_with("thread");
        let mut seen = seen(text);
        seen.retain(|line| !varies(line));
        seen
    });
}

/// How many bars there are depends on the times.
#[test]
fn plot() {
    looks_like("bench-plot", "tcpecho bench -q -n 500 --plot", |text| {
        let (table, bars) = text.split_once("\nservice times\n").unwrap_or_default();
        assert!(text.is_empty() || bars.contains(" p50"), "{text}");
        seen(table)
    });
}

#[test]
fn failures() {
    looks("bench-refused", "tcpecho bench 127.0.0.1:1");
    looks("bench-usage", "tcpecho bench -W foo; tcpecho bench report; tcpecho bench report nofile");
}
