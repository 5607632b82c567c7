//! The vocabulary of scenarios: two hosts, programs on strings in them, steps, and claims that have to hold.
//!
//! A scenario is written as steps and claims in reading order; what it says here is at once the test, the page that
//! `explain` shows, and the chapter in the documentation. Nothing here sleeps to let something happen: packets are held,
//! programs stopped, and events waited for.

use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tcpecho_os::failed::Failed;
use tcpecho_os::sock_diag::TcpSocket;

use crate::doctor;
use crate::glances::Glances;
use crate::host::Cable;
use crate::impairment::{Matcher, Rule};
use crate::pace::{Setting, Shortened, Timer};
use crate::program::{Launch, Program};
use crate::side::{Family, Side};
use crate::timeline::{Fact, PacketMoment, Place, TimedOut, Verdict, What};
use crate::two_hosts::{Options, TwoHosts};
use crate::wire::RuleId;
use tcpecho_os::tcp_state::TcpState;

/// How long anything that has to happen may take. Generous: it is only waited out by what fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long the wire may take to come to what was sent before; only waited out where somebody sends without a pause.
const SETTLES: Duration = Duration::from_secs(5);
/// The port that servers listen on; there is nobody else in the host.
pub const PORT: u16 = 7;

/// Why a scenario could not be played to its end.
#[derive(Debug)]
pub struct Broken {
    why: String,
    missing: bool,
}

impl Broken {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Broken { why: why.into(), missing: false }
    }

    /// Whether this kernel lacks what the scenario is about, a sysctl or a counter.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<TimedOut> for Broken {
    fn from(error: TimedOut) -> Self {
        Broken::new(error.to_string())
    }
}

impl From<Failed> for Broken {
    /// Programs aside, only a sysctl or a counter that is looked for can be missing.
    fn from(error: Failed) -> Self {
        Broken { why: error.to_string(), missing: error.errno == Errno::NOENT }
    }
}

impl From<Errno> for Broken {
    fn from(error: Errno) -> Self {
        Broken::new(tcpecho_os::errno::words(error))
    }
}

/// What playing a scenario came to.
pub type Played = Result<(), Broken>;

/// Packets that the wire keeps ([`Stage::keep`]).
pub struct Kept {
    rule: RuleId,
    mark: usize,
    matcher: Matcher,
}

/// Where a scenario is played.
pub struct Stage {
    two: TwoHosts,
    family: Family,
    agent: Vec<OsString>,
    claims: usize,
    failed: Vec<String>,
    real_time: bool,
    shortened: Vec<Shortened>,
    patience: Patience,
    impossible: Option<String>,
    /// Where the timeline was before the last step.
    step: AtomicUsize,
}

/// How long what has to happen may take: [`PATIENCE`], and more while the kernel's timers are those of this machine.
#[derive(Clone)]
struct Patience(Arc<Mutex<Duration>>);

impl Patience {
    fn get(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    /// Two hosts, and the command that starts an [agent](crate::agent).
    ///
    /// # Errors
    /// Whatever [`TwoHosts::new`] needs and this system refuses.
    pub fn new(family: Family, cable: Cable, agent: Vec<OsString>) -> Result<Self, Failed> {
        Stage::on(&Options { family, cable, ..Options::default() }, agent)
    }

    /// The same, with everything that can be said about the hosts.
    ///
    /// # Errors
    /// As [`Stage::new`].
    pub fn on(options: &Options, agent: Vec<OsString>) -> Result<Self, Failed> {
        let (two, family) = (TwoHosts::new(options)?, options.family);
        let patience = Patience(Arc::new(Mutex::new(PATIENCE)));
        let (claims, failed, shortened) = (0, Vec::new(), Vec::new());
        let (real_time, impossible) = (false, None);
        Ok(Stage {
            two,
            family,
            agent,
            claims,
            failed,
            real_time,
            shortened,
            patience,
            impossible,
            step: AtomicUsize::new(0),
        })
    }

    /// Leaves the kernel's timers as this machine has them, and waits for them.
    pub fn in_real_time(&mut self) {
        self.real_time = true;
    }

    /// Whether the kernel's timers are those of this machine.
    #[must_use]
    pub fn is_in_real_time(&self) -> bool {
        self.real_time
    }

    /// Shortens a timer of that host's kernel to these values of its settings; in real time it is set to this machine's
    /// own instead. Tells how long the kernel tries at least.
    ///
    /// # Errors
    /// As [`crate::Host::set_sysctl`].
    pub fn shorten(&mut self, side: Side, timer: Timer, to: &[u64]) -> Result<Duration, Broken> {
        let own = timer.own()?;
        let here = if self.real_time { own.values.clone() } else { to.to_vec() };
        for (key, value) in timer.keys().iter().zip(&here) {
            match self.two.host(side).set_sysctl(key, &value.to_string()) {
                // A younger setting that this kernel does not have.
                Err(failed) if tcpecho_lab_os::netns::is_missing(failed.errno) => {}
                set => set?,
            }
        }
        let here = Setting { timer, values: here };
        let time = here.time();
        if self.real_time {
            // The kernel looks when a timer expires: it may be nearly twice as long, and timers are late by an eighth.
            *self.patience.0.lock().unwrap_or_else(PoisonError::into_inner) += time * 5 / 2;
        }
        self.shortened.push(Shortened { side, own, here });
        Ok(time)
    }

    /// What was shortened; in real time, what would have been.
    #[must_use]
    pub fn shortened(&self) -> &[Shortened] {
        &self.shortened
    }

    /// How long anything that has to happen may take: [`PATIENCE`], and in real time as much longer as the kernel.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience.get()
    }

    /// The hosts and the wire between them.
    #[must_use]
    pub fn two(&self) -> &TwoHosts {
        &self.two
    }

    /// The same, to switch hosts off and on.
    pub fn two_mut(&mut self) -> &mut TwoHosts {
        &mut self.two
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// For a scenario that makes up results of calls: skips it where calls cannot be observed.
    ///
    /// # Errors
    /// They cannot.
    pub fn need_injection(&mut self) -> Played {
        doctor::try_observing().map_err(|failed| {
            self.impossible = Some(format!("system calls cannot be observed here: {failed}"));
            Broken::from(failed)
        })
    }

    /// Why the scenario cannot be played here, if that is so.
    #[must_use]
    pub fn impossible(&self) -> Option<&str> {
        self.impossible.as_deref()
    }

    /// Says what is done next.
    pub fn step(&self, sentence: &str) {
        self.step.store(self.two.timeline.mark(), Relaxed);
        self.two.timeline.step(sentence);
    }

    /// A sentence that has to hold.
    pub fn claim(&mut self, sentence: &str, holds: bool) {
        self.record(sentence, holds, String::new(), None);
    }

    /// A sentence that holds if `seen` is what is `wanted`; if not, what was seen stands beside it.
    pub fn claim_is(&mut self, sentence: &str, seen: &str, wanted: &str) {
        let note =
            if seen == wanted { String::new() } else { format!("seen: {seen}; wanted: {wanted}") };
        self.record(sentence, seen == wanted, note, Some(Fact::Answer(seen.into())));
    }

    /// A sentence that holds if `seen` is one of those; for what the kernel leaves open.
    pub fn claim_is_one_of(&mut self, sentence: &str, seen: &str, wanted: &[&str]) {
        let holds = wanted.contains(&seen);
        let note = if holds {
            seen.into()
        } else {
            format!("seen: {seen}; wanted one of: {}", wanted.join(", "))
        };
        self.record(sentence, holds, note, None);
    }

    /// A sentence that holds once such a packet has arrived, at the latest after [`PATIENCE`].
    pub fn claim_packet(&mut self, sentence: &str, matcher: &Matcher) {
        self.claim_packet_since(sentence, 0, matcher);
    }

    /// As [`Stage::claim_packet`], of packets since the mark ([`crate::Timeline::mark`]).
    pub fn claim_packet_since(&mut self, sentence: &str, mark: usize, matcher: &Matcher) {
        let seen = self.two.wire.wait_delivered(matcher, mark, self.patience());
        self.record_packet(sentence, seen.as_ref());
    }

    /// A sentence that holds if this packet was seen.
    pub(crate) fn record_packet(&mut self, sentence: &str, seen: Result<&PacketMoment, &TimedOut>) {
        let note = seen.err().map(ToString::to_string).unwrap_or_default();
        let fact = seen.ok().map(|seen| {
            let icmp = || seen.packet.icmp().map(|icmp| format!("ICMP {}", icmp.words()));
            let kind = seen.packet.tcp().map(|tcp| tcp.kind().into()).or_else(icmp);
            Fact::Packet { from: seen.from, kind: kind.unwrap_or_default() }
        });
        self.record(sentence, seen.is_ok(), note, fact);
    }

    /// A sentence that holds once a socket with our port in that host has this state, or has had it since the last step, as
    /// a look or the packets prove; at the latest after [`PATIENCE`].
    pub fn claim_state(&mut self, sentence: &str, side: Side, state: TcpState) {
        let seen = self.wait_for_state(side, state);
        let note = seen.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let fact = seen.is_ok().then_some(Fact::State { side, state });
        self.record(sentence, seen.is_ok(), note, fact);
    }

    fn wait_for_state(&self, side: Side, state: TcpState) -> Result<(), TimedOut> {
        let (host, patience) = (self.two.host(side), self.patience());
        let mut glances = Glances::within(patience);
        loop {
            let nobody_waits = Duration::ZERO;
            let looked = host.wait_for_state(self.family, PORT, state, nobody_waits);
            self.two.look_at_states();
            let Err(looked) = looked else { return Ok(()) };
            if self.has_been(side, state) {
                return Ok(());
            }
            if !glances.again() {
                return Err(TimedOut { after: patience, ..looked });
            }
        }
    }

    /// Whether a socket with our port has had this state since the last step.
    fn has_been(&self, side: Side, state: TcpState) -> bool {
        let mut has_been = false;
        self.two.timeline.each_since(self.step.load(Relaxed), |moment| {
            if let (Place::Host(host), What::State { local, remote, now, .. }) =
                (moment.place, &moment.what)
            {
                let has_port = [local, remote].iter().any(|end| end.port() == PORT);
                has_been |= host == side && has_port && *now == Some(state);
            }
        });
        has_been
    }

    /// A sentence that holds once no connection with this port is left in that host, `TIME_WAIT` included, at the latest
    /// after [`PATIENCE`]. There is no event for it; the table is looked at again and again.
    pub fn claim_none_left(&mut self, sentence: &str, side: Side, port: u16) {
        let mut glances = Glances::within(self.patience());
        let mut left = self.connections(side, port);
        while !left.is_empty() && glances.again() {
            left = self.connections(side, port);
        }
        self.two.look_at_states();
        let words: Vec<String> = left.iter().map(|socket| socket.state.to_string()).collect();
        self.record(sentence, left.is_empty(), words.join(", "), None);
    }

    pub(crate) fn record(&mut self, sentence: &str, holds: bool, note: String, fact: Option<Fact>) {
        self.claims += 1;
        if !holds {
            self.failed.push(if note.is_empty() {
                sentence.into()
            } else {
                format!("{sentence} ({note})")
            });
        }
        self.two
            .timeline
            .record(Place::Lab, What::Claim { sentence: sentence.into(), holds, note, fact });
    }

    /// How many claims were made, and those that did not hold.
    #[must_use]
    pub fn verdict(&self) -> (usize, &[String]) {
        (self.claims, &self.failed)
    }

    /// Adds a rule to the wire.
    pub fn wire_rule(&self, rule: Rule) {
        self.two.wire.add(rule);
    }

    /// From now on the wire keeps such packets.
    #[must_use]
    pub fn keep(&self, matcher: Matcher) -> Kept {
        let mark = self.two.timeline.mark();
        Kept { rule: self.two.wire.add(Rule::hold(matcher.clone())), mark, matcher }
    }

    /// Waits until the wire has kept one of those, and lets it go on; what came after it was the same again, sent by an
    /// impatient kernel, and is thrown away. None are kept any more.
    ///
    /// # Errors
    /// None came.
    pub fn let_go(&self, kept: &Kept) -> Played {
        let first = self.two.wire.wait_for(&kept.matcher, kept.mark, PATIENCE)?;
        self.two.wire.remove(kept.rule);
        self.two.wire.release(first.number);
        self.two.wire.discard(&kept.matcher);
        Ok(())
    }

    /// As [`Stage::let_go`], and what comes after it is kept as before, until [`Stage::forget`]: where the same again would be
    /// answered with RST.
    ///
    /// # Errors
    /// None came.
    pub fn let_one_go(&self, kept: &Kept) -> Played {
        let first = self.two.wire.wait_for(&kept.matcher, kept.mark, PATIENCE)?;
        self.two.wire.release(first.number);
        self.two.wire.discard(&kept.matcher);
        Ok(())
    }

    /// Waits until the wire has kept one of those, and throws away all that it has. None are kept any more.
    ///
    /// # Errors
    /// None came.
    pub fn forget(&self, kept: &Kept) -> Played {
        self.two.wire.wait_for(&kept.matcher, kept.mark, PATIENCE)?;
        self.two.wire.remove(kept.rule);
        self.two.wire.discard(&kept.matcher);
        Ok(())
    }

    /// The connections with this port at either end in that host; what listens is none.
    #[must_use]
    pub fn connections(&self, side: Side, port: u16) -> Vec<TcpSocket> {
        let mut sockets = self.two.host(side).sockets(self.family);
        sockets.retain(|socket| {
            let has_port = [socket.local, socket.remote].iter().any(|end| end.port() == port);
            has_port && socket.state != TcpState::Listen
        });
        sockets
    }

    /// A program on strings in that host.
    ///
    /// # Errors
    /// It could not be started.
    pub fn actor(&self, side: Side) -> Result<Actor, Broken> {
        self.actor_with(side, |launch| launch)
    }

    /// A program on strings that may not have ports below 1024, as an ordinary user's may not.
    ///
    /// # Errors
    /// It could not be started.
    pub fn ordinary_actor(&self, side: Side) -> Result<Actor, Broken> {
        self.actor_with(side, Launch::with_ordinary_ports)
    }

    /// A program on strings that is started in a special way.
    ///
    /// # Errors
    /// It could not be started.
    pub fn actor_with(
        &self,
        side: Side,
        special: impl FnOnce(Launch) -> Launch,
    ) -> Result<Actor, Broken> {
        let launch = special(Launch::new(&self.agent).without_streams());
        let program = self.two.host(side).launch(&launch);
        let program = program.map_err(|failed| Broken::new(failed.to_string()))?;
        Ok(Actor { program, patience: self.patience.clone() })
    }

    /// From now on every program that starts is observed.
    pub fn observe_calls(&self) {
        self.two.observe_calls();
    }

    /// A server that listens with this backlog, SO_REUSEADDR set.
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn listening(&self, backlog: u32) -> Result<Actor, Broken> {
        self.listening_with(backlog, |launch| launch)
    }

    /// The same, started in a special way.
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn listening_with(
        &self,
        backlog: u32,
        special: impl FnOnce(Launch) -> Launch,
    ) -> Result<Actor, Broken> {
        let server = self.actor_with(Side::Server, special)?;
        server.must(&format!("socket {}", self.number()))?;
        server.must("setsockopt reuseaddr on")?;
        server.must(&format!("bind {} {PORT}", self.family.any()))?;
        server.must(&format!("listen {backlog}"))?;
        // No packet tells of it, after which the states would be looked at.
        self.two.look_at_states();
        Ok(server)
    }

    /// Waits until so many connections wait for the server's accept: the last packet of a handshake arrives after
    /// connect has returned.
    ///
    /// # Errors
    /// There never were so many.
    pub fn wait_for_queue(&self, length: u32) -> Played {
        let what = format!("{length} connections in the accept queue");
        let wanted =
            |socket: &TcpSocket| socket.state == TcpState::Listen && socket.rqueue == length;
        self.two.server.wait_for_socket(self.family, &what, PATIENCE, wanted)?;
        Ok(())
    }

    /// A client with a socket that has not been connected.
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn client(&self) -> Result<Actor, Broken> {
        let client = self.actor(Side::Client)?;
        client.must(&format!("socket {}", self.number()))?;
        Ok(client)
    }

    /// So many clients that have connected and are the server's whole accept queue.
    ///
    /// # Errors
    /// One of their calls failed, or there never were so many.
    pub fn queued_clients(&self, count: u32) -> Result<Vec<Actor>, Broken> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let client = self.client()?;
            client.must(&self.connect_line())?;
            clients.push(client);
        }
        self.wait_for_queue(count)?;
        Ok(clients)
    }

    /// What a client says to connect to the server.
    #[must_use]
    pub fn connect_line(&self) -> String {
        format!("connect {} {PORT}", Side::Server.address(self.family))
    }

    /// A client and a server that has accepted it.
    ///
    /// # Errors
    /// One of their calls failed.
    pub fn connected(&self) -> Result<(Actor, Actor), Broken> {
        let (server, client) = (self.listening(10)?, self.client()?);
        client.must(&self.connect_line())?;
        server.must("accept")?;
        Ok((client, server))
    }

    /// A client with so many connections, and a server that has given each to a child (UNP 5.10). The server's listening
    /// socket is its number 0.
    ///
    /// # Errors
    /// One of their calls failed.
    pub fn forked(&self, children: usize) -> Result<(Actor, Actor), Broken> {
        let (server, client) = (self.listening(10)?, self.actor(Side::Client)?);
        for _ in 0..children {
            client.must(&format!("socket {}", self.number()))?;
            client.must(&self.connect_line())?;
            server.must("0: accept")?;
            server.must("fork")?;
        }
        Ok((client, server))
    }

    /// `4` or `6`, as an agent's `socket` takes it.
    #[must_use]
    pub fn number(&self) -> char {
        if self.family == Family::V4 { '4' } else { '6' }
    }

    /// Every packet that was sent so far, in the order in which the wire first saw them. On a busy machine the wire comes
    /// to it later than the program whose call sent it returns, so that is waited for.
    #[must_use]
    pub fn packets(&self) -> Vec<PacketMoment> {
        self.two.wire.settle(SETTLES);
        let moments = self.two.timeline.since(0).into_iter();
        moments
            .filter_map(|moment| match moment.what {
                What::Packet(packet) if packet.verdict.is_first_sight() => Some(packet),
                _ => None,
            })
            .collect()
    }

    /// How many such packets the wire has seen, whatever became of them.
    #[must_use]
    pub fn count(&self, matcher: &Matcher) -> usize {
        self.packets().iter().filter(|seen| matcher.matches(seen.from, &seen.packet)).count()
    }

    /// Whether any packet was treated so.
    #[must_use]
    pub fn any_verdict(&self, verdict: Verdict) -> bool {
        self.packets().iter().any(|seen| seen.verdict == verdict)
    }
}

/// A program that makes one system call for each line it is told ([`crate::agent`]).
pub struct Actor {
    program: Program,
    patience: Patience,
}

impl Actor {
    /// The program itself: signals, exit, descriptors.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The local port of its newest socket.
    ///
    /// # Errors
    /// It has none.
    pub fn port(&self) -> Result<u16, Broken> {
        let name = self.must("getsockname")?;
        let port = name.rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| Broken::new(format!("no port in: {name}")))
    }

    /// Makes a call and gives what it came to: `ok …` or an errno's name.
    ///
    /// # Errors
    /// No answer within [`PATIENCE`].
    pub fn call(&self, line: &str) -> Result<String, Broken> {
        Ok(self.program.ask(line, self.patience.get())?)
    }

    /// Makes a call that has to work.
    ///
    /// # Errors
    /// It did not.
    pub fn must(&self, line: &str) -> Result<String, Broken> {
        let answer = self.call(line)?;
        if answer.starts_with("ok") {
            Ok(answer)
        } else {
            Err(Broken::new(format!("{line}: {answer}")))
        }
    }

    /// Ends it; when this returns, all its descriptors are closed.
    ///
    /// # Errors
    /// It has not ended within [`PATIENCE`].
    pub fn end(&self) -> Result<(), Broken> {
        self.begin("exit 0")?;
        self.program.wait(self.patience.get())?;
        Ok(())
    }

    /// Makes a call that will block; [`Actor::outcome`] tells what it came to.
    ///
    /// # Errors
    /// The program is gone.
    pub fn begin(&self, line: &str) -> Result<(), Broken> {
        Ok(self.program.say(line)?)
    }

    /// What the call that was begun came to.
    ///
    /// # Errors
    /// Nothing within [`PATIENCE`].
    pub fn outcome(&self) -> Result<String, Broken> {
        Ok(self.program.next_line(self.patience.get())?)
    }

    /// Receives until it has so many bytes, as the book's readn does; tells how many each recv gave.
    ///
    /// # Errors
    /// A recv failed, or the stream ended before.
    pub fn receive_all(&self, bytes: usize) -> Result<Vec<usize>, Broken> {
        let mut pieces = Vec::new();
        while let missing @ 1.. = bytes - pieces.iter().sum::<usize>() {
            match count(&self.must(&format!("recv {missing}"))?) {
                0 => {
                    let why = format!("end of file with {missing} bytes missing");
                    return Err(Broken::new(why));
                }
                piece => pieces.push(piece),
            }
        }
        Ok(pieces)
    }
}

/// The number in an answer `ok NUMBER …`; 0 if there is none.
#[must_use]
pub fn count(answer: &str) -> usize {
    answer.split(' ').nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
