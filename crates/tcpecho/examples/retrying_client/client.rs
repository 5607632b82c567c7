//! A client of a line protocol that tries again, with a deadline, and only where that is safe.
//!
//! A request is one line, and so is its answer: a checksum, a space and the text. The checksum tells a whole answer from one
//! that was cut off, changed or meant for somebody else.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// The most bytes of an answer. A server that never ends its line must not fill the memory.
const LONGEST: usize = 1024;

/// How long, and how often, a client tries.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one attempt: connecting, sending and receiving together.
    pub attempt: Duration,
    /// For all attempts and the pauses between them.
    pub total: Duration,
    /// The number of attempts.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles each time.
    pub pause: Duration,
}

/// Whether a request may be carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is the same as once: a read, or a write with a key of its own.
    Idempotent,
    /// Twice is wrong: a payment. It is sent again only if the server cannot have received a byte of it.
    AtMostOnce,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody listens.
    Refused,
    /// The handshake was not over in time.
    ConnectTimeout,
    /// RST came.
    Reset,
    /// FIN came before the whole answer.
    ClosedEarly,
    /// The answer did not come in time.
    TimedOut,
    /// The answer is wrong.
    Invalid,
    /// Any other error.
    Other(ErrorKind),
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The last attempt's.
    pub reason: Reason,
    /// How many there were.
    pub attempts: u32,
    /// Whether the server may have carried the request out.
    pub may_be_done: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in attempt {}", self.reason, self.attempts)?;
        if self.may_be_done { f.write_str("; it may have been carried out") } else { Ok(()) }
    }
}

/// A client with one connection, which it keeps between requests.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    limits: Limits,
    kept: Option<TcpStream>,
}

impl Client {
    pub fn new(server: SocketAddr, limits: Limits) -> Self {
        Client { server, limits, kept: None }
    }

    /// Sends a request and returns the text of its answer.
    pub fn ask(&mut self, text: &str, repeat: Repeat) -> Result<String, Failure> {
        let deadline = Instant::now() + self.limits.total;
        let mut may_be_done = false;
        for attempt in 1.. {
            let until = deadline.min(Instant::now() + self.limits.attempt);
            let mut sent = false;
            let reason = match self.attempt(text, until, &mut sent) {
                Ok(answer) => return Ok(answer),
                Err(reason) => reason,
            };
            may_be_done |= sent;
            let pause = self.pause(attempt);
            let forbidden = may_be_done && repeat == Repeat::AtMostOnce;
            let too_late = Instant::now() + pause >= deadline;
            if forbidden || too_late || attempt == self.limits.attempts {
                return Err(Failure { reason, attempts: attempt, may_be_done });
            }
            std::thread::sleep(pause);
        }
        unreachable!("the number of attempts is limited")
    }

    /// From half to one and a half of a pause that doubles: so clients that failed together do not come back together.
    fn pause(&self, attempt: u32) -> Duration {
        let part = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
        self.limits.pause.saturating_mul(1 << (attempt - 1).min(10)).mul_f64(0.5 + part)
    }

    /// One attempt. A connection on which anything failed is dropped, so no later request reads a late answer.
    fn attempt(&mut self, text: &str, until: Instant, sent: &mut bool) -> Result<String, Reason> {
        let mut stream = match self.kept.take().filter(is_alive) {
            Some(stream) => stream,
            None => TcpStream::connect_timeout(&self.server, left(until)).map_err(|error| {
                let timed_out = error.kind() == ErrorKind::TimedOut;
                if timed_out { Reason::ConnectTimeout } else { reason(&error) }
            })?,
        };
        // From here on, the server may have it.
        *sent = true;
        send(&mut stream, &line(text), until).map_err(|error| reason(&error))?;
        let answer = receive(&mut stream, until)?;
        self.kept = Some(stream);
        Ok(answer)
    }
}

/// Whether neither FIN nor a byte that nobody has asked for has come. RST shows as an error.
fn is_alive(stream: &TcpStream) -> bool {
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    peek().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn reason(error: &io::Error) -> Reason {
    match error.kind() {
        ErrorKind::ConnectionRefused => Reason::Refused,
        // A blocking socket says WouldBlock when its time is over.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Reason::TimedOut,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            Reason::Reset
        }
        kind => Reason::Other(kind),
    }
}

/// What is left until then. A time of zero would mean no limit.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn send(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        if Instant::now() >= until {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left(until)))?;
        match stream.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives one line, however many reads it takes.
fn receive(stream: &mut TcpStream, until: Instant) -> Result<String, Reason> {
    let mut line = Vec::new();
    let mut buffer = [0; LONGEST];
    while line.last() != Some(&b'\n') {
        if Instant::now() >= until {
            return Err(Reason::TimedOut);
        }
        if line.len() >= LONGEST {
            return Err(Reason::Invalid);
        }
        stream.set_read_timeout(Some(left(until))).map_err(|error| reason(&error))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Reason::ClosedEarly),
            Ok(n) => line.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(reason(&error)),
        }
    }
    text_of(&line).ok_or(Reason::Invalid)
}

fn line(text: &str) -> Vec<u8> {
    format!("{:08x} {text}\n", checksum(text.as_bytes())).into_bytes()
}

/// The text of a line, if it is one line and its checksum is right.
fn text_of(line: &[u8]) -> Option<String> {
    let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, text) = line.split_once(' ')?;
    let is_right = sum == format!("{:08x}", checksum(text.as_bytes()));
    (is_right && !text.contains('\n')).then(|| text.to_owned())
}

/// FNV-1a, 32 bits.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
