//! A server under test, with what it tells.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use tcpecho::{Ending, Event, Report, Server, ServerBuilder};
use tcpecho_os::tcp_state::TcpState;

use super::{PATIENCE, Place, client::Client, eventually, network};

type Hold = Arc<Mutex<Option<(Ending, Receiver<()>)>>>;

/// What a server told, as values.
#[derive(Debug)]
pub enum Told {
    Failing(tcpecho::Errno),
    Resumed(u64),
}

/// A running server and the ears of its observer.
pub struct Served {
    server: Server,
    reports: Receiver<Report>,
    pub told: Receiver<Told>,
    hold: Hold,
}

impl Deref for Served {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Served {
    fn start(builder: ServerBuilder) -> Served {
        let (tell_reports, reports) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let hold = Hold::default();
        let gate = Arc::clone(&hold);
        let observer = move |event: &Event<'_>| {
            // Whoever holds the other ends may be gone.
            let _ = match event {
                Event::Ended(report) => {
                    let _ = tell_reports.send((*report).clone());
                    return wait_at(&gate, report.ending);
                }
                Event::AcceptFailing(errno) => tell.send(Told::Failing(*errno)),
                Event::AcceptResumed { failures, .. } => tell.send(Told::Resumed(*failures)),
                _ => Ok(()),
            };
        };
        let server = builder.observe(observer).start().unwrap();
        network::impair_listeners(server.addr().port());
        Served { server, reports, told, hold }
    }

    pub fn client(&self) -> Client {
        Client::connects(self.addr())
    }

    /// So many clients, every one of them being served.
    pub fn guests(&self, many: usize) -> Vec<Client> {
        let guest = |_| {
            let mut client = self.client();
            client.exchanges(b"hello");
            client
        };
        (0..many).map(guest).collect()
    }

    /// What was echoed has been acknowledged, so that nothing is lost when the server ends now, and it ends with FIN.
    pub fn has_every_acknowledgement(&self) {
        eventually("all is acknowledged", || {
            let sockets = tcpecho_os::sock_diag::tcp_sockets(self.addr().port()).unwrap();
            let mut connections = sockets.iter().filter(|socket| socket.state != TcpState::Listen);
            connections.all(|socket| socket.wqueue == 0)
        });
    }

    /// So many connections wait in the accept queue; the last segment of a handshake may be on its way, or lost.
    pub fn has_in_its_queue(&self, many: u32) {
        eventually("the handshakes are over", || {
            let sockets = tcpecho_os::sock_diag::tcp_sockets(self.addr().port()).unwrap();
            let listeners = sockets.iter().filter(|socket| socket.state == TcpState::Listen);
            listeners.map(|listener| listener.rqueue).sum::<u32>() == many
        });
    }

    /// The next session that ends.
    pub fn next_report(&self) -> Report {
        self.reports.recv_timeout(PATIENCE).expect("a session ends")
    }

    /// The next session ends so.
    pub fn tells(&self, ending: Ending) -> Report {
        let report = self.next_report();
        assert_eq!(report.ending, ending, "{report:?}");
        report
    }

    /// Nobody has anything more to tell.
    pub fn has_told_all(&self) {
        assert!(self.reports.try_recv().is_err());
    }

    /// Nobody is being served, and the sums are right.
    pub fn is_empty_and_adds_up(&self) {
        eventually("nobody is being served", || self.stats().active == 0);
        let stats = self.stats();
        let ended: u64 = stats.endings.iter().map(|(_, count)| count).sum();
        assert_eq!(stats.accepted, ended, "{stats:?}");
    }

    /// Another client is served as if nothing had happened.
    pub fn serves(&self) {
        let mut client = self.client();
        client.exchanges(b"still there?");
        client.finishes();
        client.sees_the_end();
    }

    /// Whoever next tells of a session that ended so is held up until the sender is dropped.
    #[must_use]
    pub fn hold_up_at(&self, ending: Ending) -> Sender<()> {
        let (release, released) = mpsc::channel();
        *self.hold.lock().unwrap() = Some((ending, released));
        release
    }
}

fn wait_at(hold: &Hold, ending: Ending) {
    let ours = hold.lock().unwrap().take_if(|(at, _)| *at == ending);
    if let Some((_, released)) = ours {
        let _ = released.recv();
    }
}

impl Place {
    /// A server with the defaults.
    pub fn serve(&self) -> Served {
        Served::start(self.builder())
    }

    /// A server with something else than the defaults.
    pub fn serve_with(&self, shape: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Served {
        Served::start(shape(self.builder()))
    }

    /// A server whose loop is held up, with room for so many clients, who therefore wait in the accept queue. It goes on
    /// when the sender is dropped.
    pub fn held_up(&self, room: usize) -> (Served, Sender<()>) {
        let served = self.serve_with(|server| server.max_connections(room));
        // The threads of the thread engine tell of their own endings; its loop tells only of those it refuses.
        if self.engine.name == "thread" {
            let guests = served.guests(room);
            let release = served.hold_up_at(Ending::Limit);
            served.client().sees_the_end_or_a_reset();
            served.tells(Ending::Limit);
            drop(guests);
            for _ in 0..room {
                served.tells(Ending::Finished);
            }
            return (served, release);
        }
        let release = served.hold_up_at(Ending::Finished);
        let mut first = served.client();
        first.exchanges(b"hello");
        first.finishes();
        served.tells(Ending::Finished);
        (served, release)
    }
}
