//! `tcpecho lab shell`, with scripts as a user would write them.

#[path = "common/lab.rs"]
mod support;
use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Output, Stdio},
};
use support::{text, typed};

fn shell(args: &[&str], script: &str) -> Output {
    typed(&[&["shell"], args].concat(), script)
}

/// The output of a script that must succeed; prints SKIP and returns nothing where no hosts can be
/// made.
fn played(args: &[&str], script: &str) -> Option<String> {
    support::shown(&shell(args, script))
}

/// The output contains these parts in this order.
fn has_in_order(shown: &str, parts: &[&str]) {
    let mut rest = shown;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("missing {part:?} in:\n{shown}"));
        rest = &rest[at + part.len()..];
    }
}

const SERVER: &str = "server tcpecho serve -l 0.0.0.0:7 -l [::]:8 --log off\nexpect \"listening\"\nexpect \"listening\"\n";

#[test]
fn a_conversation_with_a_lost_syn_and_a_middlebox() {
    let script = "drop next SYN\n\
                  client tcpecho connect {server}:7\n\
                  expect packet SYN from client\n\
                  expect SYN from client within 1m\n\
                  expect state client ESTABLISHED within 1m\n\
                  expect state server ESTABLISHED\n\
                  > 2 hello there\n\
                  expect \"hello there\"\n\
                  states\n\
                  rules\n\
                  reset\n\
                  expect packet RST\n\
                  wait 2\n\
                  client\n";
    let Some(shown) = played(&[], &format!("{SERVER}{script}")) else { return };
    has_in_order(
        &shown,
        &[
            "client  192.0.2.10",
            "server 1| listening on",
            "== drop next SYN",
            ", dropped ─",
            "→ ESTABLISHED",
            "client 2> hello there",
            "client 2| hello there",
            "server  ESTABLISHED  198.51.100.20:7",
            "no rules: all packets are delivered",
            "by a middlebox, in the peer's name",
            "ECONNRESET",
            "exited with 4: tcpecho connect {server}:7",
        ],
    );
}

/// The pause imitates a busy machine: the server's kernel has retransmitted the SYN-ACK when the
/// state is read, and SYN_RECV is over. The router answers every SYN, because an error that arrives
/// while connect(2) still holds the socket is not reported to it.
#[test]
fn hosts_crash_and_reboot_and_the_wire_holds_and_answers() {
    let script = "hold next SYN-ACK\n\
                  client tcpecho connect [{server6}]:8\n\
                  expect packet SYN-ACK from server\n\
                  pause 1500ms\n\
                  expect state server SYN_RECV\n\
                  release SYN-ACK\n\
                  expect state client ESTABLISHED\n\
                  crash server\n\
                  states\n\
                  boot server\n\
                  answer SYN with icmp host-unreachable\n\
                  client tcpecho connect {server}:7\n\
                  wait 3\n\
                  counter client Tcp.AttemptFails\n\
                  sysctl client tcp_retries2 3\n\
                  sysctl client tcp_retries2\n\
                  kill 2\n\
                  wait 2\n";
    let Some(shown) = played(&["--family", "both"], &format!("{SERVER}{script}")) else { return };
    has_in_order(
        &shown,
        &[
            "held",
            "1 released",
            "server: power off",
            "server  is off",
            "server: rebooted",
            "answered: host unreachable",
            "EHOSTUNREACH",
            "client 3 exited with 3",
            "Tcp.AttemptFails = 1",
            "net.ipv4.tcp_retries2 = 3",
            "client 2 killed by SIGKILL",
        ],
    );
}

/// A server on the IPv6 wildcard listens over IPv4, too, and its connections have IPv4 addresses.
#[test]
fn a_server_on_the_ipv6_wildcard_is_seen_over_either_family() {
    let script = "server tcpecho serve -l [::]:7 --log off\n\
                  expect state server LISTEN\n\
                  client tcpecho connect {server}:7\n\
                  expect state server ESTABLISHED\n\
                  states\n";
    for family in ["4", "both"] {
        let Some(shown) = played(&["--family", family], script) else { return };
        let states: Vec<&str> = shown
            .lines()
            .filter(|line| line.starts_with("server  ") && line.contains('→'))
            .collect();
        assert_eq!(states.len(), 2, "{shown}");
        assert!(states[0].contains("LISTEN") && states[0].contains(" [::]:7 "), "{shown}");
        assert!(states[1].contains("ESTABLISHED  198.51.100.20:7 → 192.0.2.10:"), "{shown}");
    }
}

#[test]
fn random_decisions_come_from_the_seed() {
    // Datagrams, because they are not retransmitted.
    let script = "drop 50% of packets from client\n\
                  client bash -c 'for i in {1..24}; do echo > /dev/udp/{server}/9; done'\n\
                  wait 1\n";
    if Command::new("bash").arg("--version").output().is_err() {
        return println!("SKIP there is no bash");
    }
    let fates = |seed: &str| {
        let all_seen = "expect packet packet from client\n".repeat(24);
        let shown = played(&["--seed", seed], &format!("{script}{all_seen}"))?;
        let fates = shown.lines().filter(|line| line.contains("─ protocol 17"));
        Some(fates.map(|line| line.contains("dropped")).collect::<Vec<_>>())
    };
    let Some(first) = fates("1") else { return };
    assert_eq!(first.len(), 24, "{first:?}");
    assert_eq!(fates("1").unwrap(), first);
    assert!(["2", "3", "4"].iter().any(|seed| fates(seed).unwrap() != first));
}

#[test]
fn a_script_ends_at_the_first_error() {
    for (script, status, why) in [
        ("cut\nexplode\nquit\n", 2, "line 2: \"explode\" is not a command"),
        ("drop next SYM\n", 2, "line 1: \"SYM\" is neither a packet"),
        ("wait 7\n", 2, "there is no program 7"),
        ("client /no/such/program\n", 2, "start /no/such/program"),
        ("crash client\nclient true\n", 2, "EHOSTDOWN"),
        ("sysctl client net.ipv4.nonsense 1\n", 2, "ENOENT"),
        ("client true\nwait 1\n> 1 hello\n", 2, "EPIPE"),
        ("reset\n", 2, "no connection"),
        ("counter client No.Such\n", 2, "No.Such"),
        ("client sleep 60\nwait 1 within 200ms\n", 1, "within 200ms"),
        ("client true\nwait 1 within 1m\nwait 1 within soon\n", 2, "\"soon\" is not a duration"),
        ("expect state client LISTEN within 100ms\n", 1, "no socket in LISTEN"),
        // A word that looks like a packet is not taken for a text.
        ("expect RST within 100ms\n", 1, "RST did not happen within 100ms"),
        ("expect RTS within 100ms\n", 2, "put it in quotes: expect \"RTS\""),
        ("expect \"RST\" within 100ms\n", 1, "a line with \"RST\" did not happen within 100ms"),
    ] {
        let output = shell(&[], script);
        let said = text(&output.stderr);
        if output.status.code() == Some(77) {
            return println!("SKIP {said}");
        }
        assert_eq!(output.status.code(), Some(status), "{script}: {said}");
        assert!(said.contains(why), "{script}: {said}");
    }
}

/// As root it would change this machine permanently.
#[test]
fn only_the_host_s_own_settings_are_read_and_set() {
    let read = |key: &str| std::fs::read_to_string(format!("/proc/sys/{key}")).unwrap();
    let before = (read("vm/stat_interval"), read("net/ipv4/tcp_retries2"));
    for line in [
        "sysctl server vm.stat_interval 2",
        "sysctl server vm.stat_interval",
        "sysctl client kernel.hostname elsewhere",
        "sysctl client net.core.netdev_budget 1",
    ] {
        let output = shell(&[], &format!("{line}\n"));
        let said = text(&output.stderr);
        if output.status.code() == Some(77) {
            return println!("SKIP {said}");
        }
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        let key = line.split(' ').nth(2).unwrap();
        let (machine, absent) = ("belongs to the whole machine", "ENOENT");
        assert!(said.contains(key) && (said.contains(machine) || said.contains(absent)), "{said}");
    }
    let set = "sysctl server net.ipv4.tcp_retries2 3\nsysctl server net.ipv4.tcp_retries2\n";
    let Some(shown) = played(&[], set) else { return };
    assert!(shown.contains("net.ipv4.tcp_retries2 = 3"), "{shown}");
    assert_eq!(before, (read("vm/stat_interval"), read("net/ipv4/tcp_retries2")));
}

/// No packet tells that a program listens; the state is recorded all the same, while nothing else
/// happens.
#[test]
fn a_listener_is_shown_when_it_listens() {
    let program = env!("CARGO_BIN_EXE_tcpecho");
    let mut shell = Command::new(program)
        .args(["lab", "shell"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = shell.stdin.take().unwrap();
    let mut shown = BufReader::new(shell.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The host shares the file system: a FIFO says when to listen, not a command.
    let gate = std::env::temp_dir().join(format!("tcpecho-gate-{}", std::process::id()));
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let fifo = gate.display();
    let server = format!("sh -c 'read line < {fifo}; exec {program} serve -l 0.0.0.0:7'");
    keyboard.write_all(format!("server {server}\nstates\n").as_bytes()).unwrap();
    let is_ready = shown.any(|line| line.contains("no sockets"));
    if is_ready {
        std::fs::write(&gate, "go\n").unwrap();
        assert!(shown.any(|line| line.contains("- → LISTEN")), "the lab ended");
    }
    std::fs::remove_file(&gate).unwrap();
    drop(keyboard);
    shown.for_each(drop);
    let output = shell.wait_with_output().unwrap();
    assert!(support::shown(&output).is_none() || is_ready, "{}", text(&output.stderr));
}

/// The parent of the lab may ignore or block signals. The programs in its hosts start with the
/// defaults, and their exits are reported.
#[test]
fn programs_start_with_default_signal_dispositions() {
    let ignoring =
        ["env", "--ignore-signal=CHLD,PIPE,INT,HUP,QUIT,USR1", "--block-signal=TERM,USR2"];
    let works = Command::new(ignoring[0]).args(&ignoring[1..]).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        return println!("SKIP: env(1) does not change signals here");
    }
    let mut lab = Command::new(ignoring[0]);
    lab.args(&ignoring[1..]).arg(env!("CARGO_BIN_EXE_tcpecho")).args(["lab", "shell"]);
    let script = "server grep -E Sig(Blk|Ign) /proc/self/status\nwait 1\n\
                  client sh -c 'sleep 0.1 & wait $!; echo \"waited: $?\"'\nwait 2\n";
    let output = support::typed_at(lab, script);
    let Some(shown) = support::shown(&output) else { return };
    has_in_order(
        &shown,
        &[
            "SigBlk:    0000000000000000",
            "SigIgn:    0000000000000000",
            "server 1 exited with 0",
            "waited: 0",
            "client 2 exited with 0",
        ],
    );
}

#[test]
fn nothing_is_left_when_the_shell_exits() {
    // Recognized by its unique argument.
    let length = format!("{}.5", 100_000 + std::process::id());
    let alive = || {
        std::fs::read_dir("/proc").unwrap().any(|entry| {
            let command = std::fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            let mut words = command.split(|byte| *byte == 0);
            words.next().is_some_and(|program| program.ends_with(b"sleep"))
                && words.next() == Some(length.as_bytes())
        })
    };
    let Some(_) = played(&[], &format!("client sleep {length}\nserver sleep {length}\nstates\n"))
    else {
        return;
    };
    assert!(!alive());
}

#[test]
fn help_lists_every_command_and_verb() {
    let Some(shown) = played(&[], "help\n# a comment\n\n") else { return };
    for word in ["client [CMD...]", "sysctl", "expect [packet] PACKET", "forge", "reorder", "quit"]
    {
        assert!(shown.contains(word), "{shown}");
    }
    // The limits, there and in the help of the command.
    let help = text(&typed(&["shell", "--help"], "").stdout);
    for page in [shown, help] {
        for limit in ["give up after 30s", "at most 24h", "4096 characters"] {
            assert!(page.contains(limit), "{limit}: {page}");
        }
    }
}
