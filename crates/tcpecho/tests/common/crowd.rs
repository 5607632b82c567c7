//! Many clients at once, driven by one thread: each writes and reads as its socket allows, half-closes, and compares every
//! byte up to the server's FIN.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{PATIENCE, client::Client, pattern};

/// One client's part: so many bytes, at most so many in a write.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    pub size: usize,
    pub chunk: usize,
}

struct Conversation {
    stream: TcpStream,
    part: Part,
    sent: usize,
    got: usize,
    finished: bool,
    over: bool,
}

/// Plays all parts, at most `at_a_time` of them at once. Panics at the first wrong byte, early end or error, and when
/// nothing happens any more.
pub fn converse(server: SocketAddr, parts: impl IntoIterator<Item = Part>, at_a_time: usize) {
    play(parts.into_iter().map(|part| Conversation::begin(server, part)), at_a_time);
}

/// Reads, from all clients at once, everything that each has written, half-closes, and expects the server's FIN.
///
/// One client after the other would take minutes: what was lost for want of buffer space is repeated with a backoff
/// that doubles, so the wait of each is as long as it has been stalled, the earlier waits included.
pub fn read_back(clients: Vec<(Client, usize)>) {
    let many = clients.len();
    play(clients.into_iter().map(|(client, written)| Conversation::resume(client, written)), many);
}

fn play(mut conversations: impl Iterator<Item = Conversation>, at_a_time: usize) {
    let mut live: Vec<Conversation> = Vec::new();
    let mut last = Instant::now();
    loop {
        let room = at_a_time - live.len();
        live.extend(conversations.by_ref().take(room));
        if live.is_empty() {
            return;
        }
        let mut watched: Vec<PollFd<'_>> = live.iter().map(Conversation::watched).collect();
        poll(&mut watched, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
        let ready: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(watched);
        let mut moved = false;
        for (conversation, _) in live.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            moved |= conversation.turn();
        }
        live.retain(|conversation| !conversation.over);
        if moved {
            last = Instant::now();
        }
        assert!(last.elapsed() < PATIENCE, "{} conversations stand still", live.len());
    }
}

impl Conversation {
    fn begin(server: SocketAddr, part: Part) -> Self {
        let stream = Client::connects(server).into_stream();
        stream.set_nonblocking(true).unwrap();
        Conversation { stream, part, sent: 0, got: 0, finished: false, over: false }
    }

    fn resume(client: Client, written: usize) -> Self {
        let stream = client.into_stream();
        stream.set_nonblocking(true).unwrap();
        let part = Part { size: written, chunk: written };
        Conversation { stream, part, sent: written, got: 0, finished: false, over: false }
    }

    fn watched(&self) -> PollFd<'_> {
        let out = if self.finished { PollFlags::empty() } else { PollFlags::OUT };
        PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN | out)
    }

    /// Whether anything moved.
    fn turn(&mut self) -> bool {
        let before = (self.sent, self.got, self.finished, self.over);
        while self.sent < self.part.size {
            let end = self.part.size.min(self.sent + self.part.chunk);
            match self.stream.write(pattern::piece(&(self.sent..end))) {
                Ok(n) => self.sent += n,
                Err(error) if is_pause(error.kind()) => break,
                Err(error) => self.fails(&error),
            }
        }
        if self.sent == self.part.size && !self.finished {
            self.stream.shutdown(Shutdown::Write).unwrap_or_else(|error| self.fails(&error));
            self.finished = true;
        }
        let mut seen = vec![0; 64 << 10];
        while !self.over {
            match self.stream.read(&mut seen) {
                Ok(0) => {
                    assert_eq!(
                        self.got, self.part.size,
                        "FIN after {} bytes of {:?}",
                        self.got, self.part
                    );
                    self.over = true;
                }
                Ok(n) => {
                    pattern::verify(&seen[..n], self.got);
                    self.got += n;
                }
                Err(error) if is_pause(error.kind()) => break,
                Err(error) => self.fails(&error),
            }
        }
        before != (self.sent, self.got, self.finished, self.over)
    }

    fn fails(&self, error: &std::io::Error) -> ! {
        panic!("{error} after {} bytes written and {} read of {:?}", self.sent, self.got, self.part)
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Clients that write and never read, all at once, until all of them together make hardly any headway. Gives each with the
/// bytes that it wrote.
pub fn write_until_stuck(server: SocketAddr, many: usize) -> Vec<(Client, usize)> {
    const ROUND: Duration = Duration::from_millis(200);
    // Probes of full windows keep squeezing a little in.
    const HEADWAY: usize = 4096;
    let begin = |_| {
        let stream = Client::connects(server).into_stream();
        stream.set_nonblocking(true).unwrap();
        (stream, 0)
    };
    let mut clients: Vec<(TcpStream, usize)> = (0..many).map(begin).collect();
    let start = Instant::now();
    loop {
        let (mut moved, round) = (0, Instant::now());
        while round.elapsed() < ROUND {
            for (stream, written) in &mut clients {
                while let Some(n) = write_some(stream, *written) {
                    *written += n;
                    moved += n;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if moved < many * HEADWAY {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "somebody keeps what nobody reads");
    }
    let finish = |(stream, written): (TcpStream, usize)| {
        stream.set_nonblocking(false).unwrap();
        (Client::from_stream(stream), written)
    };
    clients.into_iter().map(finish).collect()
}

/// What the socket takes of the pattern; nothing if it takes none now.
fn write_some(stream: &mut TcpStream, written: usize) -> Option<usize> {
    match stream.write(pattern::piece(&(written..usize::MAX))) {
        Ok(n) => Some(n),
        Err(error) if is_pause(error.kind()) => None,
        Err(error) => panic!("{error} after {written} bytes"),
    }
}
