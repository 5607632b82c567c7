//! The other side of the conversation.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, sockopt};

use super::{PATIENCE, network, pattern};

/// How long writes must make no headway for their peer to count as not reading, and what is no headway.
const STUCK: Duration = Duration::from_millis(100);
const HEADWAY: usize = 64 << 10;

/// A connection to the server under test. Whatever it waits for has a deadline.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    pub fn connects(server: SocketAddr) -> Client {
        Client::unconnected(server).connected_to(server)
    }

    /// A socket that will connect later.
    pub fn unconnected(server: SocketAddr) -> Unconnected {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        network::impair(&socket);
        Unconnected(socket)
    }

    pub fn addr(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn from_stream(stream: TcpStream) -> Client {
        Client { stream }
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The same connection in other hands.
    pub fn twin(&self) -> Client {
        Client { stream: self.stream.try_clone().unwrap() }
    }

    pub fn says(&mut self, words: &[u8]) {
        self.stream.write_all(words).unwrap();
    }

    pub fn sees(&mut self, words: &[u8]) {
        let mut seen = vec![0; words.len()];
        self.stream.read_exact(&mut seen).unwrap();
        assert!(seen == words, "saw {:?}, not {:?}", seen.escape_ascii(), words.escape_ascii());
    }

    pub fn exchanges(&mut self, words: &[u8]) {
        self.says(words);
        self.sees(words);
    }

    /// Whether that works: the server may have ended the connection.
    pub fn tries_to_exchange(&mut self, words: &[u8]) -> bool {
        let mut seen = vec![0; words.len()];
        let came = self.stream.write_all(words).and_then(|()| self.stream.read_exact(&mut seen));
        assert!(came.is_err() || seen == words, "saw {:?}", seen.escape_ascii());
        came.is_ok()
    }

    /// Urgent data (tcp(7), `MSG_OOB`; UNP 24).
    pub fn says_urgently(&mut self, byte: u8) {
        let sent = rustix::net::send(&self.stream, &[byte], SendFlags::OOB | SendFlags::NOSIGNAL);
        assert_eq!(sent, Ok(1));
    }

    /// Sends FIN and goes on reading.
    pub fn finishes(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends RST.
    pub fn resets(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// signal(7): a call with a time limit is interrupted when its process is stopped and continued.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// The server's FIN, and not a byte before it.
    pub fn sees_the_end(&mut self) {
        let mut seen = [0; 64];
        let n = self.read(&mut seen).unwrap();
        assert_eq!(n, 0, "saw {:?}, not the end", seen[..n].escape_ascii());
    }

    /// The connection is over, by FIN or by RST.
    pub fn sees_the_end_or_a_reset(&mut self) {
        match self.read(&mut [0; 64]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?}, not the end"),
        }
    }

    /// The server's RST; the bytes that came before it are right.
    pub fn sees_a_reset(&mut self) -> usize {
        let mut seen = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            match self.read(&mut seen) {
                Ok(0) => panic!("FIN after {at} bytes, not RST"),
                Ok(n) => {
                    pattern::verify(&seen[..n], at);
                    at += n;
                }
                Err(error) => {
                    assert_eq!(
                        error.kind(),
                        ErrorKind::ConnectionReset,
                        "{error} after {at} bytes"
                    );
                    return at;
                }
            }
        }
    }

    /// Writes these bytes of the pattern.
    pub fn writes(&mut self, range: Range<usize>) {
        assert_eq!(self.writes_up_to(range.clone()), range.len());
    }

    /// The same, unless the server ends the connection. Gives how many were written.
    pub fn writes_up_to(&mut self, mut range: Range<usize>) -> usize {
        let from = range.start;
        while !range.is_empty() {
            match self.stream.write(pattern::piece(&range)) {
                Ok(n) => range.start += n,
                Err(error) if is_over(&error) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
            }
        }
        range.start - from
    }

    /// Reads these bytes of the pattern.
    pub fn reads(&mut self, range: Range<usize>) {
        let n = self.reads_up_to(range.clone());
        assert!(n == range.len(), "the end at byte {}, not at {}", range.start + n, range.end);
    }

    /// The same, unless the server ends the connection. Gives how many came.
    pub fn reads_up_to(&mut self, mut range: Range<usize>) -> usize {
        let from = range.start;
        let mut seen = vec![0; 64 << 10];
        while !range.is_empty() {
            let room = range.len().min(seen.len());
            match self.read(&mut seen[..room]) {
                Ok(0) => break,
                Err(error) if is_over(&error) => break,
                result => {
                    let n = result.unwrap();
                    pattern::verify(&seen[..n], range.start);
                    range.start += n;
                }
            }
        }
        range.start - from
    }

    /// Writes in a thread of its own, which gives the client back.
    pub fn writes_meanwhile(&self, range: Range<usize>) -> JoinHandle<Client> {
        let mut twin = self.twin();
        std::thread::spawn(move || {
            twin.writes(range);
            twin
        })
    }

    /// Writes these bytes there and back, both at once.
    pub fn streams(&mut self, range: Range<usize>) {
        let writer = self.writes_meanwhile(range.clone());
        self.reads(range);
        writer.join().unwrap();
    }

    /// Writes without reading, until the server reads no more or `most` bytes are written. Gives how many were.
    pub fn writes_until_stuck(&mut self, most: usize) -> usize {
        self.writes_until_stuck_from(0, most)
    }

    /// The same when the first `from` bytes of the pattern have been written before.
    pub fn writes_until_stuck_from(&mut self, from: usize, most: usize) -> usize {
        self.stream.set_nonblocking(true).unwrap();
        let (mut written, mut before) = (from, most);
        // Probes of the full window keep squeezing a little in.
        while written.abs_diff(before) > HEADWAY && written < most {
            before = written;
            let pause = Instant::now() + STUCK;
            while Instant::now() < pause && written < most {
                match self.stream.write(pattern::piece(&(written..most))) {
                    Ok(n) => written += n,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        self.stream.set_nonblocking(false).unwrap();
        written - from
    }

    /// Writes the pattern without reading, until the server cuts the connection with RST; what came before it is right.
    /// Gives the time from the last byte that was written to the RST.
    pub fn writes_until_reset(&mut self) -> Duration {
        // A blocking write returns with its short count only when the connection has ended.
        self.stream.set_nonblocking(true).unwrap();
        let (mut written, mut last) = (0, Instant::now());
        let error = loop {
            match self.stream.write(pattern::piece(&(written..usize::MAX))) {
                Ok(n) => {
                    written += n;
                    last = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => break error,
            }
        };
        let waited = last.elapsed();
        self.stream.set_nonblocking(false).unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error} after {written} bytes");
        // The write has taken the error, so to the reads it is an end.
        let read = self.reads_to_the_end();
        assert!(read < written, "{read} bytes of {written} came back");
        waited
    }

    /// Reads the pattern up to the end of the stream. Gives how many bytes came.
    pub fn reads_to_the_end(&mut self) -> usize {
        let mut seen = vec![0; 64 << 10];
        let mut at = 0;
        while let n @ 1.. = self.read(&mut seen).unwrap() {
            pattern::verify(&seen[..n], at);
            at += n;
        }
        at
    }

    /// Nothing has come so far.
    pub fn has_seen_nothing(&mut self) {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0; 64]);
        self.stream.set_nonblocking(false).unwrap();
        assert_eq!(peeked.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A socket, and no connection yet.
pub struct Unconnected(OwnedFd);

impl Unconnected {
    /// With small buffers on this side, so that little is on the way.
    pub fn with_small_buffers(self) -> Self {
        sockopt::set_socket_recv_buffer_size(&self.0, 4096).unwrap();
        sockopt::set_socket_send_buffer_size(&self.0, 4096).unwrap();
        self
    }

    pub fn connected_to(self, server: SocketAddr) -> Client {
        let start = Instant::now();
        rustix::net::connect(&self.0, &server)
            .unwrap_or_else(|errno| panic!("connect: {errno} after {:?}", start.elapsed()));
        let stream = TcpStream::from(self.0);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream }
    }
}

fn is_over(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
