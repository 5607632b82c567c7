//! `serve --calls`: the calls that make a listener, its two queues, and every change of state of the connections on its
//! ports (UNP 4.5 and 4.8, figure 2.4), on standard error.
//!
//! The engines know nothing of it: a thread asks the kernel's table of sockets (`inet_diag`) again and again, so a state
//! that lasts less than that may be missed, and says so. Without the option there is no thread.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tcpecho::{Call, Server, Tracer};
use tcpecho_os::{
    errno::io_words,
    sock_diag::{TcpSocket, tcp_sockets},
    tcp_state::TcpState,
};

use super::speech::Speech;
use crate::calls::Calls;

/// How often the table is looked at.
const EVERY: Duration = Duration::from_millis(10);

/// The thread that watches. Dropping it ends it, after a last look.
pub(super) struct Watcher {
    thread: Option<JoinHandle<()>>,
    stop: Option<Sender<()>>,
}

impl Watcher {
    /// Tells how the listeners were made, and watches from now on.
    pub(super) fn start(server: &Server, calls: Calls, speech: &Speech) -> Self {
        let (backlog, places) = (server.backlog(), server.backlog().saturating_add(1));
        for addr in server.addrs() {
            let family = if addr.is_ipv4() { "AF_INET" } else { "AF_INET6" };
            let told = [
                ("socket", family.to_owned(), "ok".to_owned(), TcpState::Close),
                ("bind", addr.to_string(), "ok".into(), TcpState::Close),
                ("listen", backlog.to_string(), queues(places), TcpState::Listen),
            ];
            for (op, about, result, state) in told {
                calls.saw(&Call { op, about, result, state: Some(state.word()) });
            }
        }
        let ports: Vec<u16> = server.addrs().iter().map(SocketAddr::port).collect();
        let (stop, stopped) = channel();
        let watch = move || watch(&ports, &calls, &stopped);
        let thread = thread::Builder::new().name("calls".into()).spawn(watch);
        if let Err(error) = &thread {
            speech.warn(&format!("--calls shows no states: pthread_create: {}", io_words(error)));
        }
        Watcher { thread: thread.ok(), stop: Some(stop) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn queues(places: u32) -> String {
    format!("accept queue: {places} established connections; SYN queue: as many incomplete ones")
}

/// What is remembered of a connection, and of a listener's queue.
#[derive(Default)]
struct Seen {
    connections: BTreeMap<(SocketAddr, SocketAddr), (TcpState, bool)>,
    waiting: BTreeMap<SocketAddr, u32>,
}

fn watch(ports: &[u16], calls: &Calls, stopped: &Receiver<()>) {
    let mut seen = Seen::default();
    let mut last = Instant::now();
    loop {
        let ended = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
        let mut now = Seen::default();
        for socket in ports.iter().filter_map(|port| tcp_sockets(*port).ok()).flatten() {
            now.note(&socket);
        }
        seen.tell_change(&now, last.elapsed(), calls);
        (seen, last) = (now, Instant::now());
        if ended {
            return;
        }
    }
}

impl Seen {
    fn note(&mut self, socket: &TcpSocket) {
        if socket.state == TcpState::Listen {
            *self.waiting.entry(socket.local).or_default() += socket.rqueue;
            return;
        }
        // A connection that nobody has accepted yet has no file, and so no inode.
        let accepted = socket.inode != 0;
        self.connections.insert((socket.remote, socket.local), (socket.state, accepted));
    }

    fn tell_change(&self, now: &Seen, since: Duration, calls: &Calls) {
        for (addr, waiting) in &now.waiting {
            if self.waiting.get(addr).copied().unwrap_or(0) != *waiting {
                let result = format!("{waiting} in the accept queue");
                calls.saw(&call("queue", addr, result, TcpState::Listen));
            }
        }
        for (ends, (state, accepted)) in &now.connections {
            let before = self.connections.get(ends).copied();
            if before == Some((*state, *accepted)) {
                continue;
            }
            let op = match (before, accepted) {
                (None | Some((_, false)), true) => "accept",
                _ => "state",
            };
            calls.saw(&call(op, &ends.0, meaning(*state, *accepted).into(), *state));
        }
        for (ends, (state, _)) in &self.connections {
            if !now.connections.contains_key(ends) {
                let result = format!(
                    "the connection is gone; last seen in {state}, {} ago",
                    tcpecho::internal::show_duration(since)
                );
                calls.saw(&call("gone", &ends.0, result, TcpState::Close));
            }
        }
    }
}

fn call(op: &'static str, about: &SocketAddr, result: String, state: TcpState) -> Call {
    Call { op, about: about.to_string(), result, state: Some(state.word()) }
}

/// What a server's end in this state has behind it.
fn meaning(state: TcpState, accepted: bool) -> &'static str {
    match state {
        TcpState::SynRecv | TcpState::NewSynRecv => "SYN received, SYN-ACK sent: incomplete",
        TcpState::Established if accepted => "the handshake is complete; accept returned it",
        TcpState::Established => "the handshake is complete; it is in the accept queue",
        TcpState::CloseWait => "the peer's FIN was received",
        TcpState::LastAck => "our FIN was sent after the peer's",
        TcpState::FinWait1 => "our FIN was sent",
        TcpState::FinWait2 => "our FIN is acknowledged; the peer's has not come",
        TcpState::Closing => "both FINs crossed",
        TcpState::TimeWait => {
            "both FINs are acknowledged; this end closed first and keeps TIME_WAIT for 60 s"
        }
        _ => "",
    }
}
