//! What either end of the connection, or of a pipe, leaves to do: a FIN ends one direction (RFC 9293 3.6), and nothing that
//! was read is lost without a word.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    os::fd::AsFd,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{SendFlags, send, sockopt};

use super::{MIB, support::*};

const TOTAL: usize = 20 * MIB;

/// Types all of it and ends the input.
fn pours(client: &mut Client, bytes: usize) -> thread::JoinHandle<bool> {
    let mut stdin = client.takes_stdin();
    thread::spawn(move || (0..bytes / MIB).all(|_| stdin.write_all(&vec![0; MIB]).is_ok()))
}

#[test]
fn the_rest_is_sent_to_a_peer_that_has_ended_its_direction() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| {
            stream.write_all(b"hi").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            got.len()
        });
        let mut client = Client::to(addr, &["--no-check"]);
        client.sees(b"hi");
        let writer = pours(&mut client, TOTAL);
        client.ends().with(0).says_nothing();
        assert!(writer.join().unwrap());
        assert_eq!(server.join().unwrap(), TOTAL);
    }
}

/// Its input has given nothing yet when the FIN comes.
#[test]
fn input_that_comes_late_is_sent_too() {
    let (addr, server) = peer(families().next().unwrap(), |mut stream| {
        stream.write_all(b"hi").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        got
    });
    let mut client = Client::to(addr, &["--no-check"]);
    client.sees(b"hi");
    // Its end of the connection is half-closed, and it has seen that.
    until(|| {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        table.contains(&format!(":{:04X} 08 ", addr.port()))
    });
    client.types(b"late");
    client.finishes().with(0).says_nothing();
    assert_eq!(server.join().unwrap(), "late");
}

#[test]
fn what_a_closed_peer_has_not_taken_is_told() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| stream.write_all(b"bye").unwrap());
        let mut client = Client::to(addr, &["--no-check", "--json"]);
        client.sees(b"bye");
        server.join().unwrap();
        let writer = pours(&mut client, 4 * MIB);
        let ended = client.ends();
        let report = ended.with(4).json();
        assert_eq!(report["diagnosis"]["case"], "fin-then-rst");
        assert!(report["evidence"]["queued_bytes"].as_u64() > Some(0), "{report}");
        assert_eq!(report["evidence"]["returned_bytes"], 0);
        writer.join().unwrap();
    }
}

/// Its kernel takes all of it, and its program nothing.
#[test]
fn a_peer_that_does_not_read_is_not_success() {
    let at = families().next().unwrap();
    let (addr, server) = peer(at, |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        stream
    });
    let mut client = Client::to(addr, &["--no-check", "--timeout", "1s"]);
    let writer = pours(&mut client, TOTAL);
    let ended = client.ends();
    ended.with(4).says("timed-out").says("bytes could not be sent").says("window");
    assert!(!writer.join().unwrap());
    drop(server.join().unwrap());

    // The same with so little that all of it fits into the peer's receive buffer, and the peer closes without having read it.
    let (addr, server) = peer(at, |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        stream.peek(&mut [0]).unwrap();
    });
    let mut client = Client::to(addr, &["--no-check"]);
    client.types(b"unread");
    let ended = client.ends();
    server.join().unwrap();
    ended.with(4).says("closed-early").says("RST came after the FIN");
}

/// A slow sink takes longer than `--timeout`, but it takes bytes all the time. On a machine that holds the sink up for
/// longer than a quarter of the limit, bytes did not move all the time: then everything is twice as slow.
#[test]
fn bytes_that_move_out_of_the_kernel_are_no_silence() {
    let moved = (0..4).any(|doublings| is_slow_and_steady(1 << doublings));
    assert!(moved, "this machine never lets a sink be steady");
}

/// Sends to a sink that needs more than two seconds, with a limit of one, both times `factor`. Gives `false` if it was not
/// steady and the client ended the connection.
fn is_slow_and_steady(factor: u32) -> bool {
    let limit = Duration::from_secs(1) * factor;
    let (addr, server) = peer(families().next().unwrap(), move |mut stream| {
        sockopt::set_socket_recv_buffer_size(&stream, 64 * 1024).unwrap();
        let (mut total, mut buffer) = (0, vec![0; 16 * 1024]);
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        loop {
            // This is the sink's slowness, which is what is tested.
            thread::sleep(Duration::from_millis(20) * factor);
            let count = stream.read(&mut buffer).unwrap_or(0);
            longest = longest.max(last.elapsed());
            last = Instant::now();
            if count == 0 {
                return (total, longest);
            }
            total += count;
        }
    });
    let seconds = limit.as_secs().to_string();
    let mut client = Client::to(addr, &["--no-check", "--timeout", &seconds]);
    let writer = pours(&mut client, 2 * MIB);
    let ended = client.ends();
    let all_written = writer.join().unwrap();
    let (total, longest) = server.join().unwrap();
    if ended.status != Some(0) && longest > limit / 4 {
        return false;
    }
    ended.with(0).says_nothing();
    assert!(all_written);
    assert_eq!(total, 2 * MIB);
    true
}

/// At a terminal nobody is asked to type more for a peer that says no more. script(1) gives it one.
#[test]
fn at_a_terminal_the_peers_end_is_the_end() {
    let (addr, server) = peer(families().next().unwrap(), |mut stream| {
        stream.write_all(b"12:00\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read(&mut [0]).unwrap()
    });
    let line = format!(
        "timeout --foreground 60 {} connect --no-check {addr}",
        env!("CARGO_BIN_EXE_tcpecho")
    );
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIP no script(1) here");
        server_is_left(addr);
        return;
    };
    let mut said = String::new();
    // Its input stays open until it has ended by itself.
    let input = child.stdin.take();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    drop(input);
    assert!(said.contains("12:00"), "{said}");
    assert_eq!(server.join().unwrap(), 0, "our FIN");
}

fn server_is_left(addr: SocketAddr) {
    let _ = std::net::TcpStream::connect(addr);
}

/// After an echo that came back whole, a server that does not close did answer.
#[test]
fn a_complete_echo_without_a_fin_is_told_as_that() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| {
            expect(&mut stream, b"hello");
            stream.write_all(b"hello").unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            stream
        });
        let mut client = Client::to(addr, &["--timeout", "300ms", "--json"]);
        client.types(b"hello");
        let ended = client.finishes();
        let report = ended.with(4).json();
        assert_eq!(ended.stdout, b"hello");
        assert_eq!(report["diagnosis"]["case"], "does-not-close", "{report}");
        assert_eq!(report["evidence"]["tcp"]["state"], "FIN_WAIT_2");
        let message = report["message"].as_str().unwrap();
        assert!(message.contains("5 of 5 bytes") && !message.contains("acknowledged"), "{message}");
        drop(server.join().unwrap());
    }
}

/// A FIN that follows ours by a segment is not an RST.
#[test]
fn a_short_answer_after_our_fin_is_not_called_a_reset() {
    for at in families() {
        let (addr, server) = peer(at, |mut stream| {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).unwrap();
            stream.write_all(&got[..5]).unwrap();
        });
        let mut client = Client::to(addr, &["--json"]);
        client.types(b"0123456789");
        let ended = client.finishes();
        assert_eq!(ended.with(4).json()["diagnosis"]["case"], "closed-early");
        assert_eq!(ended.stdout, b"01234");
        server.join().unwrap();
    }
}

/// Urgent bytes are part of the answer (RFC 6093).
#[test]
fn an_urgent_byte_is_printed_and_checked() {
    for at in families() {
        let (addr, server) = peer(at, |stream| {
            send(stream.as_fd(), b"12", SendFlags::OOB).unwrap();
        });
        let client = Client::to(addr, &["--no-check"]);
        assert_eq!(client.finishes().with(0).stdout, b"12");
        server.join().unwrap();

        let (addr, _server) = peer(at, |mut stream| {
            expect(&mut stream, b"hello");
            send(stream.as_fd(), b"!", SendFlags::OOB).unwrap();
            stream.write_all(b"hello").unwrap();
            stream
        });
        let mut client = Client::to(addr, &[]);
        client.types(b"hello");
        client.ends().with(1).says("at offset 0: expected 0x68 'h', got 0x21 '!'");
    }
}

#[test]
fn what_a_signal_leaves_undelivered_is_told() {
    let (addr, _server) = peer(families().next().unwrap(), |stream| stream);
    let mut client = Client::to(addr, &["--no-check"]);
    let mut stdin = client.takes_stdin();
    let writer = thread::spawn(move || while stdin.write_all(&[7; 4096]).is_ok() {});
    // The peer reads nothing, so at last everything waits in our memory.
    let input = format!("/proc/{}/fd/0", client.pid().as_raw_nonzero());
    let pipe = std::fs::File::open(input).unwrap();
    let held = || rustix::io::ioctl_fionread(&pipe).unwrap();
    until(|| {
        let before = held();
        thread::sleep(Duration::from_millis(300));
        before > 0 && held() == before
    });
    drop(pipe);
    client.gets(rustix::process::Signal::TERM);
    let ended = client.ends();
    ended.with(143).says("interrupted (SIGTERM)").says("bytes of standard input were not sent");
    writer.join().unwrap();
}

/// A mismatch that was found while output was blocked stays one though nobody reads any more.
#[test]
fn a_reader_that_leaves_does_not_hide_a_failure() {
    // More than a pipe holds, and less than that and what is read ahead of it.
    const SENT: usize = 100_000;
    let (addr, _server) = peer(families().next().unwrap(), |mut stream| {
        let mut answer = vec![0; SENT];
        stream.read_exact(&mut answer).unwrap();
        answer.push(b'!');
        stream.write_all(&answer).unwrap();
        stream
    });
    let mut client = Client::to(addr, &["--json"]);
    let stdout = client.takes_stdout();
    client.types(&vec![b'x'; SENT]);
    until_full(&stdout);
    drop(stdout);
    assert_eq!(client.ends().with(1).json()["ending"], "mismatch");
}

#[test]
fn what_a_full_disk_did_not_take_is_counted() {
    let (addr, _server) = peer(families().next().unwrap(), |mut stream| {
        stream.write_all(b"hello").unwrap();
        stream
    });
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcpecho"));
    command.args(["connect", "--no-check"]).arg(addr.to_string()).stdout(full);
    let client = Client::run(&mut command);
    client.ends().with(2).says("ENOSPC").says("5 bytes received were not written");
}
