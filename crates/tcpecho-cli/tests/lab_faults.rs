//! `tcpecho lab test` with programs that have one fault each: the verdict names it, its words are for
//! people, and the lab does not wait for its own end.

#[path = "common/script.rs"]
mod script;
#[path = "common/lab.rs"]
mod support;
use script::Script;
use serde_json::Value;
use support::{lab, text};

/// The beginning of a server: `listener` and `port`.
const LISTENS: &str = "
import os, select, signal, socket, sys, threading
port = int(sys.argv[1])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('', port))
listener.listen(64)
";

/// A thread for each client.
const THREADS: &str = "
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

/// The rows of a table; prints SKIP and returns nothing where no hosts can be made.
fn rows(server: &str, names: &[&str]) -> Option<Vec<Value>> {
    let args = [&["test", "--server", server, "--format", "json"], names].concat();
    let output = lab(&args);
    if output.status.code() == Some(77) {
        println!("SKIP {}", text(&output.stderr));
        return None;
    }
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    Some(report["trials"].as_array().unwrap().clone())
}

/// Each of these trials has this verdict, and none waits for a whole minute.
fn all_are(server: &str, names: &[&str], verdict: &str) -> Option<Vec<Value>> {
    let rows = rows(server, names)?;
    for row in &rows {
        assert_eq!(row["verdict"], verdict, "{row:#}");
        assert!(row["duration_ms"].as_f64().unwrap() < 45_000.0, "{row:#}");
    }
    Some(rows)
}

/// UNP 7.5: a child still has a connection when its parent is started again.
#[test]
fn a_server_with_children_that_does_not_set_reuseaddr_cannot_be_restarted() {
    let serves = "
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    client = listener.accept()[0]
    if os.fork() == 0:
        listener.close()
        while data := client.recv(65536):
            client.sendall(data)
        os._exit(0)
    client.close()
";
    for (option, verdict) in [(1, "right"), (0, "in-use")] {
        let listens = LISTENS.replace("SO_REUSEADDR, 1", &format!("SO_REUSEADDR, {option}"));
        let name = format!("forks-{option}.py");
        let Some(script) = Script::new(&name, &format!("{listens}{serves}")) else { return };
        let names = ["bind-in-use-by-time-wait"];
        if all_are(&script.as_server(), &names, verdict).is_none() {
            return;
        }
    }
}

/// It waits with select(2), and reads a line with stdio, which blocks (UNP 6.8).
const SELECTS: &str = "
clients = {}
while True:
    for ready in select.select([listener, *clients], [], [])[0]:
        if ready is listener:
            client = listener.accept()[0]
            clients[client] = client.makefile('rb')
            continue
        try:
            line = clients[ready].readline()
            if not line:
                raise OSError
            ready.sendall(line)
        except OSError:
            clients.pop(ready).close()
            ready.close()
";

#[test]
fn a_server_that_one_client_stalls_has_a_fault_and_an_iterative_one_a_remark() {
    let Some(selects) = Script::new("selects.py", &format!("{LISTENS}{SELECTS}")) else { return };
    if all_are(&selects.as_server(), &["half-a-line", "zero-window"], "stalls").is_none() {
        return;
    }
    let iterates = "
while True:
    client = listener.accept()[0]
    while data := client.recv(65536):
        client.sendall(data)
    client.close()
";
    let Some(iterates) = Script::new("iterates.py", &format!("{LISTENS}{iterates}")) else {
        return;
    };
    let rows = all_are(&iterates.as_server(), &["half-a-line", "normal-startup"], "right").unwrap();
    for row in rows {
        assert_eq!(row["notes"][0], "serves one client at a time", "{row:#}");
    }
}

/// The lab's client waits for the second line, which the program keeps in its buffer.
#[test]
fn a_server_that_keeps_a_line_is_late_and_nobody_waits_for_the_lab_s_client() {
    let Some(selects) = Script::new("keeps.py", &format!("{LISTENS}{SELECTS}")) else { return };
    all_are(&selects.as_server(), &["stdio-and-poll"], "late");
}

/// It answers what it receives first, and closes, mostly with unread data. Whether the lab's client
/// notices that in send, shutdown or recv depends on the machine; the verdict does not.
#[test]
fn a_server_that_closes_early_loses_bytes_in_whatever_call_the_lab_notices_it() {
    let serves = "
def serve(client):
    client.sendall(client.recv(10))
    client.close()
";
    let Some(script) = Script::new("once.py", &format!("{LISTENS}{serves}{THREADS}")) else {
        return;
    };
    let names = [
        "half-close",
        "segment-lost",
        "segment-doubled",
        "segments-reordered",
        "fragmentation-needed",
        "short-counts",
        "urgent-data",
        "half-a-line",
        "zero-window",
        "close-with-unread-data",
        "stdio-and-poll",
    ];
    let Some(rows) = all_are(&script.as_server(), &names, "lost") else { return };
    for row in rows {
        let notes = row["notes"].to_string();
        assert!(!notes.contains("at a time"), "every connection was closed: {row:#}");
    }
}

/// Remarks have the words of a person, not those of the lab's own protocol.
#[test]
fn remarks_say_what_was_received() {
    let serves = "
def serve(client):
    while data := client.recv(65536):
        client.sendall(data.upper())
    client.close()
";
    let Some(script) = Script::new("upper.py", &format!("{LISTENS}{serves}{THREADS}")) else {
        return;
    };
    let server = script.as_server();
    let output = lab(&["test", "--server", &server, "normal-startup", "half-close"]);
    if output.status.code() == Some(77) {
        return println!("SKIP {}", text(&output.stderr));
    }
    let table = text(&output.stdout);
    for words in [
        r#"echoed bytes that were not sent: "HELLO\n" instead of "hello\n""#,
        "echoed bytes that were not sent: 100000 of 100000 bytes arrived, not those that were sent",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(!table.contains("ok 6"), "{table}");
}

/// It does not restart accept(2), and ends.
#[test]
fn a_server_that_a_signal_ends_is_told_so() {
    let serves = "
def interrupted(*_):
    raise InterruptedError(4, 'Interrupted system call')
signal.signal(signal.SIGCHLD, interrupted)
while True:
    client = listener.accept()[0]
    if os.fork() == 0:
        while data := client.recv(65536):
            client.sendall(data)
        os._exit(0)
    client.close()
";
    let Some(script) = Script::new("eintr.py", &format!("{LISTENS}{serves}")) else { return };
    let output = lab(&["test", "--server", &script.as_server(), "zombies-without-handler"]);
    if output.status.code() == Some(77) {
        return println!("SKIP {}", text(&output.stderr));
    }
    let table = text(&output.stdout);
    assert!(table.contains("FAILED: exited with status 1"), "{table}");
    let hint = "died (1): exited, although a server does not end, because a signal interrupted a \
                call (tcpecho lab explain eintr-on-accept)";
    assert!(table.contains(hint), "{table}");
}

#[test]
fn a_server_of_the_other_family_is_one_error_for_all_trials() {
    let serves = "
import socket, sys, time
family, address = {'4': (socket.AF_INET, ''), '6': (socket.AF_INET6, '::')}[sys.argv[2]]
listener = socket.socket(family)
if family == socket.AF_INET6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
listener.bind((address, int(sys.argv[1])))
listener.listen(5)
time.sleep(600)
";
    let Some(script) = Script::new("family.py", serves) else { return };
    for (ours, its) in [("4", "6"), ("6", "4")] {
        let server = format!("{} {its}", script.as_server());
        let output = lab(&["test", "--server", &server, "--family", ours]);
        if output.status.code() == Some(77) {
            return println!("SKIP {}", text(&output.stderr));
        }
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let wanted = format!("it listens on IPv{its} only; use --family {its}");
        assert!(said.contains(&wanted), "{said}");
        assert_eq!((said.lines().count(), text(&output.stdout).as_str()), (1, ""), "{said}");
    }
}
