//! Reading and writing exactly, where the kernel's counts are short.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::sockopt;
use tcpecho::exact::{LineReader, read_exactly_or_eof, write_all};

/// Two ends of a connection that holds very little.
fn narrow_pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    sockopt::set_socket_send_buffer_size(&ours, 1).unwrap();
    (ours, theirs)
}

fn many_bytes() -> Vec<u8> {
    (0..1_000_000_u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn all_is_written_and_read_through_a_tiny_buffer() {
    for nonblocking in [false, true] {
        let (ours, theirs) = narrow_pair();
        ours.set_nonblocking(nonblocking).unwrap();
        theirs.set_nonblocking(nonblocking).unwrap();
        let writer = thread::spawn(move || write_all(&ours, &many_bytes()));
        let mut read = vec![0; 1_000_001];
        assert_eq!(read_exactly_or_eof(&theirs, &mut read).unwrap(), 1_000_000);
        assert!(read[..1_000_000] == many_bytes());
        writer.join().unwrap().unwrap();
    }
}

#[test]
fn a_full_buffer_ends_the_reading() {
    let (mut ours, theirs) = narrow_pair();
    ours.write_all(b"hello").unwrap();
    let mut buffer = [0; 3];
    assert_eq!(read_exactly_or_eof(&theirs, &mut buffer).unwrap(), 3);
    assert_eq!(read_exactly_or_eof(&theirs, &mut []).unwrap(), 0);
    drop(ours);
    assert_eq!(read_exactly_or_eof(&theirs, &mut buffer).unwrap(), 2);
}

#[test]
fn a_pipe_is_written_too() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    write_all(&writer, b"hello").unwrap();
    drop(writer);
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert_eq!(read, "hello");
}

#[test]
fn errors_name_their_call() {
    let (ours, theirs) = narrow_pair();
    drop(theirs);
    let error = write_all(&ours, b"hello").unwrap_err();
    assert_eq!((error.op, error.source), ("write", tcpecho::Errno::EPIPE));
}

#[test]
fn a_timeout_of_the_socket_is_kept() {
    let (_ours, theirs) = narrow_pair();
    theirs.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let error = read_exactly_or_eof(&theirs, &mut [0; 4]).unwrap_err();
    assert_eq!((error.op, error.source), ("read", tcpecho::Errno::EAGAIN));
}

/// A stop signal makes a read with a timeout fail with `EINTR`, handler or not (signal(7)).
#[test]
fn an_interrupted_read_begins_again() {
    let (ours, theirs) = narrow_pair();
    theirs.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut helper = Command::new("sh")
        .args(["-c", "sleep 0.1; kill -STOP $PPID; sleep 0.1; kill -CONT $PPID; printf hello"])
        .stdout(OwnedFd::from(ours))
        .spawn()
        .unwrap();
    let mut buffer = [0; 6];
    let read = read_exactly_or_eof(&theirs, &mut buffer);
    helper.wait().unwrap();
    assert_eq!(read.unwrap(), 5);
}

#[test]
fn lines_come_from_a_descriptor() {
    let (mut ours, theirs) = narrow_pair();
    theirs.set_nonblocking(true).unwrap();
    let mut lines = LineReader::new(theirs, 1000);
    ours.write_all(b"one\n\xff\x00\r\nthr").unwrap();
    assert_eq!(lines.next_piece().unwrap().unwrap().bytes, b"one\n");
    assert_eq!(lines.buffered(), b"\xff\x00\r\nthr");
    assert_eq!(lines.next_piece().unwrap().unwrap().bytes, b"\xff\x00\r\n");
    let writer = thread::spawn(move || ours.write_all(b"ee"));
    let last = lines.next_piece().unwrap().unwrap();
    assert!(last.bytes == b"three" && last.ends_line);
    assert_eq!(lines.next_piece().unwrap(), None);
    assert_eq!(lines.next_piece().unwrap(), None);
    writer.join().unwrap().unwrap();
}
