//! `tcpecho connect` as a user runs it, against peers that behave and peers that do not, over both
//! families.

#[path = "connect/causes.rs"]
mod causes;
#[path = "connect/half_close.rs"]
mod half_close;
#[path = "connect/screen.rs"]
mod screen;
#[path = "connect/support.rs"]
mod support;
#[path = "connect/typing.rs"]
mod typing;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use support::*;

const MIB: usize = 1 << 20;

#[test]
fn lines_come_back_at_once_and_silence_means_success() {
    for at in families() {
        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &[]);
        client.types(b"hello\n");
        client.sees(b"hello\n");
        client.types(b"world\n");
        client.sees(b"world\n");
        client.finishes().with(0).says_nothing();
        server.join().unwrap();
    }
}

#[test]
fn any_bytes_and_no_final_newline() {
    let everything: Vec<u8> = (0..=255).collect();
    for text in [&b""[..], b"no newline", b"\n", &everything, &vec![b'x'; MIB]] {
        for at in families() {
            let (addr, server) = peer(at, echo);
            let mut client = Client::to(addr, &[]);
            let (mut stdin, text) = (client.takes_stdin(), text.to_vec());
            let sent = text.clone();
            let writer = thread::spawn(move || stdin.write_all(&sent).unwrap());
            let ended = client.ends();
            assert!(ended.with(0).says_nothing().stdout == text);
            writer.join().unwrap();
            server.join().unwrap();
        }
    }
}

#[test]
fn without_an_address_it_talks_with_itself() {
    for args in [&[][..], &["-6"]] {
        let mut client = Client::connect(args);
        client.types(b"hello\n");
        let ended = client.finishes();
        assert_eq!(ended.with(0).says("a server of our own").stdout, b"hello\n");
    }
}

#[test]
fn gigabytes_would_pass_in_bounded_memory() {
    const TOTAL: usize = 64 * MIB;
    for at in families() {
        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &[]);
        let mut stdin = client.takes_stdin();
        let writer = thread::spawn(move || {
            for from in (0..TOTAL).step_by(MIB) {
                stdin.write_all(&pattern(from, MIB)).unwrap();
            }
            stdin
        });
        for from in (0..TOTAL).step_by(MIB) {
            client.sees(&pattern(from, MIB));
        }
        // Its input is still open, so it is still there to be looked at.
        let stdin = writer.join().unwrap();
        let most = peak_memory(client.pid());
        assert!(most < 40 * MIB, "{most} bytes");
        drop(stdin);
        client.ends().with(0).says_nothing();
        server.join().unwrap();
    }
}

fn peak_memory(pid: rustix::process::Pid) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn what_is_sent_ahead_of_the_echo_is_bounded() {
    thread::scope(|scope| {
        for at in families() {
            scope.spawn(move || is_bounded_ahead(at));
        }
    });
}

fn is_bounded_ahead(at: SocketAddr) {
    let (addr, server) = peer(at, |mut stream| {
        let mut sink = Vec::new();
        let _ = stream.read_to_end(&mut sink);
        sink.len()
    });
    // Long enough that no busy machine keeps everybody from moving a byte.
    let mut client = Client::to(addr, &["--timeout", "3s", "--json"]);
    let mut stdin = client.takes_stdin();
    // The client takes no more than its window and ends, which ends this.
    let writer = thread::spawn(move || while stdin.write_all(&[7; 4096]).is_ok() {});
    let ended = client.ends();
    assert_eq!(ended.with(4).json()["ending"], "timed-out");
    assert_eq!(ended.json()["sent"], 16 * MIB);
    assert_eq!(server.join().unwrap(), 16 * MIB);
    writer.join().unwrap();
}

#[test]
fn a_changed_byte_is_found() {
    for at in families() {
        let (addr, _server) = peer(at, |mut stream| {
            expect(&mut stream, b"hello world\n");
            stream.write_all(b"hello ").unwrap();
            stream.write_all(b"wOrld\n").unwrap();
            stream
        });
        let mut client = Client::to(addr, &[]);
        client.types(b"hello world\n");
        let ended = client.ends();
        ended
            .with(1)
            .says("tcpecho: mismatch\n")
            .says("at offset 7: expected 0x6f 'o', got 0x4f 'O'")
            .says("; use --no-check for servers that do not echo");
        assert_eq!(ended.stdout, b"hello wOrld\n");
    }
}

#[test]
fn a_byte_too_many_is_found() {
    for at in families() {
        let (addr, _server) = peer(at, |mut stream| {
            expect(&mut stream, b"hi");
            stream.write_all(b"hi!").unwrap();
            stream
        });
        let mut client = Client::to(addr, &["--json"]);
        client.types(b"hi");
        let ended = client.ends();
        assert_eq!(ended.with(1).stdout, b"hi!");
        assert_eq!(ended.json()["ending"], "mismatch");
        assert_eq!(ended.json()["first_difference_offset"], 2);
    }
}

#[test]
fn a_server_that_goes_away_is_noticed_while_the_user_types_nothing() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| {
            expect(&mut stream, b"hello\n");
            stream.write_all(b"hello\n").unwrap();
        });
        let mut client = Client::to(addr, &[]);
        client.types(b"hello\n");
        client.sees(b"hello\n");
        let stdin = client.takes_stdin();
        // Nothing else ends it: its input stays open.
        let ended = client.ends();
        server.join().unwrap();
        ended.with(4).says("tcpecho: closed-early\n").says("end of file; 6 of 6 bytes");
        drop(stdin);
    }
}

#[test]
fn a_reset_is_noticed_while_the_user_types_nothing() {
    for at in families() {
        let (addr, _server) = peer(at, |mut stream| {
            expect(&mut stream, b"hello\n");
            stream.write_all(b"hello\n").unwrap();
            reset(stream);
        });
        let mut client = Client::to(addr, &[]);
        client.types(b"hello\n");
        let ended = client.ends();
        assert_eq!(ended.with(4).stdout, b"hello\n");
        ended
            .says("tcpecho: reset\n")
            .says(&format!("recv {addr}: Connection reset by peer (ECONNRESET)"));
    }
}

#[test]
fn a_server_that_closes_midway_is_told_with_what_is_missing() {
    for at in families() {
        let (addr, _server) = peer(at, |mut stream| {
            expect(&mut stream, b"0123456789");
            stream.write_all(b"01234").unwrap();
        });
        let mut client = Client::to(addr, &[]);
        client.types(b"0123456789");
        let ended = client.finishes();
        assert_eq!(ended.with(4).stdout, b"01234");
        ended.says("tcpecho: closed-early\n").says("end of file; 5 of 10 bytes had come back");
    }
}

#[test]
fn what_came_before_a_reset_is_delivered_though_a_send_saw_it_first() {
    for at in families() {
        let (addr, _server) = peer(at, |mut stream| {
            expect(&mut stream, b"0123456789");
            stream.write_all(b"01234").unwrap();
            // Unread bytes make the close a reset.
            stream.peek(&mut [0]).unwrap();
        });
        let mut client = Client::to(addr, &[]);
        let mut stdin = client.takes_stdin();
        stdin.write_all(b"0123456789").unwrap();
        let writer = thread::spawn(move || while stdin.write_all(b"more").is_ok() {});
        let ended = client.ends();
        ended.with(4).says("tcpecho: reset\n").says("(ECONNRESET); 5 of ");
        assert_eq!(ended.stdout, b"01234");
        writer.join().unwrap();
    }
}

#[test]
fn a_closed_stdin_is_exit_status_2() {
    // Nobody is connected to: that would be exit status 3.
    let (_held, addr) = deserted(([127, 0, 0, 1], 0).into());
    let connect = format!("connect {addr}");
    for verb in [&connect, "lab shell", "lab learn normal-startup", "lab run normal-startup --slow"]
    {
        let script = format!("exec \"$0\" {verb} <&-");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_tcpecho")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{verb}: {said}");
        let told = "tcpecho: read from stdin: Bad file descriptor (EBADF)";
        assert!(said.contains(told), "{verb}: {said}");
    }
    let script = format!("exec \"$0\" {connect} --json <&-");
    let output =
        Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_tcpecho")]).output().unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&object["errno"], &object["exit_status"]), (&"EBADF".into(), &2.into()));
}

#[test]
fn a_stdin_that_cannot_be_read_is_exit_status_2() {
    for at in families() {
        let (addr, server) = peer(at, echo);
        let directory = fs::File::open("/").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
        let output =
            command.arg("connect").arg(addr.to_string()).stdin(directory).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said, "tcpecho: read from stdin: Is a directory (EISDIR)\n");
        server.join().unwrap();
    }
}

#[test]
fn a_refused_connection() {
    for at in families() {
        let (_held, addr) = deserted(at);
        let ended = Client::to(addr, &[]).ends();
        ended
            .with(3)
            .says("tcpecho: refused\n")
            .says(&format!("connect {addr}: Connection refused"));
        // The same as two arguments.
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        Client::connect(&[&host, &port, "-q"]).ends().with(3).says("refused");
    }
}

#[test]
fn a_connection_nobody_accepts_times_out() {
    for at in families() {
        let (_listener, addr, _first) = full(at);
        let ended = Client::to(addr, &["-w", "100ms", "--json"]).ends();
        let report = ended.with(3).json();
        assert_eq!(report["ending"], "connect-timeout");
        assert_eq!(report["errno"], "ETIMEDOUT");
        assert!(report["attempts"][0]["elapsed_us"].as_u64().unwrap() >= 100_000);
    }
}

#[test]
fn control_c_ends_a_pending_connect() {
    for at in families() {
        let (_listener, addr, _first) = full(at);
        let client = Client::to(addr, &[]);
        let table = if at.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
        let port = format!(":{:04X} 02 ", addr.port());
        until(|| fs::read_to_string(table).unwrap().contains(&port));
        client.gets(Signal::INT);
        let ended = client.ends();
        ended.with(130);
        // A user who interrupts the program needs no advice.
        let told = ended.stderr.strip_prefix("tcpecho: interrupted (SIGINT): 0 bytes sent, ");
        assert_eq!(told.map(|told| told.lines().count()), Some(1), "{}", ended.stderr);
    }
}

#[test]
fn a_silent_server_is_given_up() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| {
            expect(&mut stream, b"hello?\n");
            stream.read(&mut [0])
        });
        let mut client = Client::to(addr, &["--timeout", "200ms"]);
        client.types(b"hello?\n");
        let ended = client.ends();
        ended.with(4).says("tcpecho: timed-out\n").says("no byte moved for 200ms; 0 of 7 bytes");
        assert_eq!(server.join().unwrap().unwrap(), 0);
    }
}

#[test]
fn a_user_who_thinks_is_not_given_up() {
    let (addr, server) = peer(families().next().unwrap(), echo);
    let mut client = Client::to(addr, &["--timeout", "2s"]);
    client.types(b"a");
    client.sees(b"a");
    // The thinking is what is tested: longer than the timeout, with nothing owed.
    thread::sleep(Duration::from_secs(3));
    client.types(b"b");
    client.sees(b"b");
    client.finishes().with(0).says_nothing();
    server.join().unwrap();
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    for at in families() {
        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &[]);
        client.types(b"hello\n");
        client.sees(b"hello\n");
        drop(client.takes_stdout());
        client.ends().with(0).says_nothing();
        server.join().unwrap();
    }
}

#[test]
fn signals_end_it_with_a_summary() {
    for (signal, name, status) in
        [(Signal::INT, "SIGINT", 130), (Signal::TERM, "SIGTERM", 143), (Signal::HUP, "SIGHUP", 129)]
    {
        for at in families() {
            let (addr, server) = peer(at, echo);
            let mut client = Client::to(addr, &[]);
            client.types(b"hello\n");
            client.sees(b"hello\n");
            client.gets(signal);
            let ended = client.ends();
            ended.with(status).says(&format!("interrupted ({name}): 6 bytes sent, 6 received in "));
            server.join().unwrap();
        }
    }
}

#[test]
fn stopping_and_continuing_changes_nothing() {
    let (addr, server) = peer(families().next().unwrap(), echo);
    let mut client = Client::to(addr, &[]);
    client.types(b"a");
    client.sees(b"a");
    let stat = format!("/proc/{}/stat", client.pid().as_raw_nonzero());
    for _ in 0..10 {
        client.gets(Signal::STOP);
        until(|| fs::read_to_string(&stat).unwrap().contains(") T "));
        client.gets(Signal::CONT);
        client.types(b"b");
        client.sees(b"b");
    }
    client.finishes().with(0).says_nothing();
    server.join().unwrap();
}

#[test]
fn control_c_works_while_output_is_blocked() {
    let (addr, _server) = peer(families().next().unwrap(), echo);
    let mut client = Client::to(addr, &[]);
    let mut stdin = client.takes_stdin();
    let writer = thread::spawn(move || while stdin.write_all(&[7; 4096]).is_ok() {});
    let stdout = client.takes_stdout();
    until_full(&stdout);
    client.gets(Signal::INT);
    client.ends().with(130).says("interrupted (SIGINT)");
    writer.join().unwrap();
}

#[test]
fn a_blocked_output_is_not_the_servers_silence() {
    let (addr, server) = peer(families().next().unwrap(), echo);
    let mut client = Client::to(addr, &["--timeout", "2s", "--user-timeout", "1500ms"]);
    let mut stdin = client.takes_stdin();
    let text = pattern(0, 32 * MIB);
    let sent = text.clone();
    let writer = thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut stdout = client.takes_stdout();
    until_full(&stdout);
    // The pause is what is tested: longer than the timeout.
    thread::sleep(Duration::from_secs(3));
    let mut got = Vec::new();
    stdout.read_to_end(&mut got).unwrap();
    client.ends().with(0).says_nothing();
    assert!(got == text);
    writer.join().unwrap();
    server.join().unwrap();
}

#[test]
fn the_flags_of_a_shared_output_are_left_alone() {
    let (addr, server) = peer(families().next().unwrap(), echo);
    let (mut read, write) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    let shared = write.try_clone().unwrap();
    command.arg("connect").arg(addr.to_string()).stdout(Stdio::from(shared));
    let mut client = Client::run(&mut command);
    client.types(b"hello");
    let mut got = [0; 5];
    read.read_exact(&mut got).unwrap();
    let flags = rustix::fs::fcntl_getfl(&write).unwrap();
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    client.finishes().with(0).says_nothing();
    server.join().unwrap();
}

#[test]
fn a_full_disk_is_told() {
    let (addr, server) = peer(families().next().unwrap(), echo);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    command.arg("connect").arg(addr.to_string()).stdout(full);
    let mut client = Client::run(&mut command);
    client.types(b"hello");
    client.ends().with(2).says("write to stdout: No space left on device (ENOSPC)");
    server.join().unwrap();
}

/// As after `2>&-` in a shell: the object of `--json` is a result, and a result that is lost is a failure.
#[test]
fn a_closed_stderr_with_json_is_exit_status_2() {
    for (options, status) in [("--json", 2), ("", 0)] {
        let (addr, server) = peer(families().next().unwrap(), echo);
        let script = format!("exec \"$0\" connect {options} {addr} 2>&-");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_tcpecho")]);
        let mut client = Client::run(&mut command);
        client.types(b"hello");
        client.finishes().with(status);
        server.join().unwrap();
    }
}

#[test]
fn no_check_prints_whatever_comes() {
    for at in families() {
        let (addr, _server) = peer(at, |mut stream| stream.write_all(b"220 welcome\r\n").unwrap());
        let client = Client::to(addr, &["--no-check"]);
        let ended = client.finishes();
        assert_eq!(ended.with(0).says_nothing().stdout, b"220 welcome\r\n");
    }
}

#[test]
fn no_check_still_sends_everything_and_waits_for_the_end() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            stream.write_all(b"bye").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            got
        });
        let mut client = Client::to(addr, &["--no-check"]);
        client.types(b"request");
        let ended = client.finishes();
        assert_eq!(ended.with(0).says_nothing().stdout, b"bye");
        assert_eq!(server.join().unwrap(), b"request");
    }
}

#[test]
fn verbose_tells_how_it_went_and_json_is_one_object() {
    for at in families() {
        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &["-v"]);
        client.types(b"hello\n");
        let ended = client.finishes();
        ended.with(0).says(&format!("connected to {addr} from "));
        ended.says("finished: 6 bytes sent, 6 received in ");
        server.join().unwrap();

        let (addr, server) = peer(at, echo);
        let mut client = Client::to(addr, &["--json"]);
        client.types(b"hello\n");
        let report = client.finishes().with(0).json();
        assert_eq!(report["ending"], "finished");
        assert_eq!(report["addr"], addr.to_string());
        assert_eq!((&report["sent"], &report["received"]), (&6.into(), &6.into()));
        assert!(report["first_difference_offset"].is_null() && report["errno"].is_null());
        assert!(report["duration_us"].as_u64() >= report["connect_us"].as_u64());
        assert_eq!(report["attempts"], serde_json::json!([]));
        server.join().unwrap();
    }
}

#[test]
fn a_source_address_is_used() {
    let (addr, server) = peer("127.0.0.1:0".parse().unwrap(), |stream| {
        let from = stream.peer_addr().unwrap();
        echo(stream);
        from
    });
    Client::to(addr, &["-s", "127.0.0.9"]).finishes().with(0).says_nothing();
    assert_eq!(server.join().unwrap().ip().to_string(), "127.0.0.9");

    if TcpListener::bind("192.0.2.1:0").is_ok() {
        eprintln!("SKIP: net.ipv4.ip_nonlocal_bind is on here");
        return;
    }
    // 192.0.2.0/24 is nobody's (RFC 5737).
    let ended = Client::to(addr, &["-s", "192.0.2.1"]).ends();
    ended.with(3).says("no-local-port").says("bind 192.0.2.1:0: Cannot assign requested address");
}

#[test]
fn invalid_arguments_are_usage_errors() {
    for args in [
        &["host:0"][..],
        &["host:7", "8"],
        &["::1:"],
        &["-4", "-6", "host"],
        &["-6", "-s", "127.0.0.1", "host"],
        &["-w", "soon", "host"],
        &["-w", "-1", "host"],
        &["--nonsense", "host"],
        &["::1:80"],
        &["-s", "::1:80", "::1"],
        &["\u{1b}[31mhost\n"],
    ] {
        let ended = Client::connect(args).ends();
        assert!(!ended.with(2).stderr.contains('\u{1b}'));
        assert!(ended.stderr.starts_with("tcpecho: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("-- -"), "{}", ended.stderr);
    }
}

/// An address is no name: there is nothing to resolve.
#[test]
fn an_address_of_the_wrong_family_is_a_bad_address() {
    for args in [
        &["-s", "::1", "127.0.0.1"][..],
        &["-s", "127.0.0.1", "::1"],
        &["-4", "::1"],
        &["-6", "127.0.0.1"],
        &["-4", "fe80::1%lo"],
        &["fe80::1%nosuch0", "7"],
    ] {
        let ended = Client::connect(args).ends();
        assert!(!ended.with(3).stderr.contains("name has"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("no such name"), "{}", ended.stderr);
        ended.says("tcpecho: bad-address\n");
        Client::connect(&[&["--exit-detail"], args].concat()).ends().with(81);
    }
}

#[test]
fn a_name_without_an_address() {
    // RFC 6761 keeps this name from ever having one. Where no name server answers, the resolver is not to wait for long.
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    command.args(["connect", "no-such-host.invalid", "--json"]);
    command.env("RES_OPTIONS", "ndots:1 timeout:1 attempts:1").stdout(Stdio::piped());
    let ended = Client::run(&mut command).ends();
    let report = ended.with(3).json();
    assert_eq!(
        (&report["ending"], &report["op"]),
        (&"resolve-failed".into(), &"getaddrinfo".into())
    );
}

#[test]
fn every_address_of_a_name_is_tried_and_each_failure_kept() {
    if Command::new("unshare").arg("--version").output().is_err() {
        eprintln!("SKIP: no unshare here");
        return;
    }
    let hosts = std::env::temp_dir().join(format!("tcpecho-hosts-{}", std::process::id()));
    fs::write(&hosts, "127.0.0.1 both.test\n127.0.0.2 both.test\n").unwrap();
    let connect = |port: u16| {
        let script = "mount --bind \"$1\" /etc/hosts || exit 77; shift; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(&hosts);
        command.args([env!("CARGO_BIN_EXE_tcpecho"), "connect", "--json", "both.test"]);
        Client::run(command.arg(port.to_string()).stdout(Stdio::piped()))
    };
    let both = || {
        let (one, addr) = deserted("127.0.0.1:0".parse().unwrap());
        let (two, other) = deserted(format!("127.0.0.2:{}", addr.port()).parse().unwrap());
        [(one, addr), (two, other)]
    };

    let held = both();
    let ended = connect(held[0].1.port()).ends();
    if ended.status != Some(3) && !ended.stderr.starts_with('{') {
        eprintln!("SKIP: no mount namespace with /etc/hosts of its own: {}", ended.stderr);
        return;
    }
    let report = ended.with(3).json();
    if report["ending"] == "resolve-failed" {
        eprintln!("SKIP: names are not looked up in /etc/hosts here: {report}");
        return;
    }
    let mut tried = [&report["attempts"][0]["addr"], &report["attempts"][1]["addr"]];
    tried.sort_by_key(ToString::to_string);
    assert_eq!(tried, [&held[0].1.to_string(), &held[1].1.to_string()]);

    // One of the two listens, then the other: once it is the second to be tried, and the failure of
    // the first is kept.
    let mut failures = 0;
    for which in [0, 1] {
        let held = both();
        let (socket, addr) = &held[which];
        rustix::net::listen(socket, 1).unwrap();
        let listener = TcpListener::from(socket.try_clone().unwrap());
        let server = thread::spawn(move || echo(listener.accept().unwrap().0));
        let report = connect(addr.port()).finishes().with(0).json();
        assert_eq!(report["addr"], addr.to_string());
        failures += report["attempts"].as_array().unwrap().len();
        server.join().unwrap();
    }
    assert_eq!(failures, 1);
    fs::remove_file(hosts).unwrap();
}
