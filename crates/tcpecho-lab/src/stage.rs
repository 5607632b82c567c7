//! What scenarios are written with: two hosts, agents in them, steps, and claims that must hold.
//!
//! Nothing here sleeps to give an event time to happen: packets are held, programs are stopped, and
//! events are waited for.

use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
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
pub use crate::side::PORT;
use crate::side::{Family, Side};
use crate::timeline::{Fact, PacketMoment, Place, TimedOut, Verdict, What};
use crate::two_hosts::{Options, TwoHosts};
use crate::wire::RuleId;
use tcpecho_os::tcp_state::TcpState;

/// How long an expected event may take. Only a failing claim waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long the wire may take to process the packets that were sent; the full time passes only
/// while a host sends without a pause.
const SETTLES: Duration = Duration::from_secs(5);

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

    /// Whether this kernel lacks what the scenario needs, a sysctl or a counter.
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
    /// Apart from programs, only a sysctl or a counter can be missing.
    fn from(error: Failed) -> Self {
        Broken { why: error.to_string(), missing: error.errno == Errno::NOENT }
    }
}

impl From<Errno> for Broken {
    fn from(error: Errno) -> Self {
        Broken::new(tcpecho_os::errno::words(error))
    }
}

/// The result of playing a scenario.
pub type Played = Result<(), Broken>;

/// Packets that the wire holds ([`Stage::hold`]).
pub struct Held {
    rule: RuleId,
    mark: usize,
    matcher: Matcher,
}

/// The place where a scenario is played, and the record of its claims.
pub struct Stage {
    two: TwoHosts,
    family: Family,
    port: u16,
    agent: Vec<OsString>,
    /// The number of agents that were started in each host.
    agents: [AtomicUsize; 2],
    claims: usize,
    failed: Vec<String>,
    real_time: bool,
    shortened: Vec<Shortened>,
    patience: Patience,
    impossible: Option<String>,
    /// The mark of the timeline before the last step.
    step: AtomicUsize,
    has_ended: AtomicBool,
}

/// How long an expected event may take: [`PATIENCE`], and longer while this machine's own timers
/// are used.
#[derive(Clone)]
struct Patience(Arc<Mutex<Duration>>);

impl Patience {
    fn get(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    /// Makes two hosts. `agent` is the command that starts an [agent](crate::agent).
    ///
    /// # Errors
    /// Whatever [`TwoHosts::new`] needs and this system refuses.
    pub fn new(family: Family, cable: Cable, agent: Vec<OsString>) -> Result<Self, Failed> {
        Stage::on(&Options { family, cable, ..Options::default() }, agent)
    }

    /// Makes two hosts with these options.
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
            port: options.port,
            agent,
            agents: Default::default(),
            claims,
            failed,
            real_time,
            shortened,
            patience,
            impossible,
            step: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
        })
    }

    /// Keeps the kernel's timers as this machine has them and waits for them.
    pub fn in_real_time(&mut self) {
        self.real_time = true;
    }

    /// Whether the kernel's timers are those of this machine.
    #[must_use]
    pub fn is_in_real_time(&self) -> bool {
        self.real_time
    }

    /// Shortens a timer of that host's kernel to these values of its settings; in real time, sets
    /// it to this machine's own values instead. Returns the minimum time that the kernel tries.
    ///
    /// # Errors
    /// As [`crate::Host::set_sysctl`].
    pub fn shorten(&mut self, side: Side, timer: Timer, to: &[u64]) -> Result<Duration, Broken> {
        let own = timer.own()?;
        let here = if self.real_time { own.values.clone() } else { to.to_vec() };
        for (key, value) in timer.keys().iter().zip(&here) {
            match self.two.host(side).set_sysctl(key, &value.to_string()) {
                // A newer setting, which this kernel does not have.
                Err(failed) if tcpecho_lab_os::netns::is_missing(failed.errno) => {}
                set => set?,
            }
        }
        let here = Setting { timer, values: here };
        let time = here.time();
        if self.real_time {
            // The kernel checks the limit when a timer expires: it may take nearly twice as long,
            // and timers are late by up to an eighth.
            *self.patience.0.lock().unwrap_or_else(PoisonError::into_inner) += time * 5 / 2;
        }
        self.shortened.push(Shortened { side, own, here });
        Ok(time)
    }

    /// The timers that were shortened; in real time, those that would have been.
    #[must_use]
    pub fn shortened(&self) -> &[Shortened] {
        &self.shortened
    }

    /// How long an expected event may take: [`PATIENCE`], and in real time the kernel's time on
    /// top.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience.get()
    }

    /// The hosts and the wire between them.
    #[must_use]
    pub fn two(&self) -> &TwoHosts {
        &self.two
    }

    /// The hosts and the wire, to switch hosts off and on.
    pub fn two_mut(&mut self) -> &mut TwoHosts {
        &mut self.two
    }

    /// The address family of the scenario.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Skips a scenario that injects results of system calls where calls cannot be traced.
    ///
    /// # Errors
    /// System calls cannot be traced here.
    pub fn need_injection(&mut self) -> Played {
        doctor::try_observing().map_err(|failed| {
            self.impossible = Some(format!("system calls cannot be traced here: {failed}"));
            Broken::from(failed)
        })
    }

    /// Why the scenario cannot be played on this host, if it cannot.
    #[must_use]
    pub fn impossible(&self) -> Option<&str> {
        self.impossible.as_deref()
    }

    /// Records the next step.
    pub fn step(&self, sentence: &str) {
        self.step.store(self.two.timeline.mark(), Relaxed);
        self.two.timeline.step(sentence);
    }

    /// Marks the end of the experiment on the timeline, once.
    pub(crate) fn end(&self) {
        if !self.has_ended.swap(true, Relaxed) {
            self.two.timeline.record(Place::Lab, What::Over);
        }
    }

    /// Records a claim.
    pub fn claim(&mut self, sentence: &str, holds: bool) {
        self.record(sentence, holds, String::new(), None);
    }

    /// Claims that `seen` is `wanted`; if not, the note says what was seen.
    pub fn claim_is(&mut self, sentence: &str, seen: &str, wanted: &str) {
        let note =
            if seen == wanted { String::new() } else { format!("seen: {seen}; wanted: {wanted}") };
        self.record(sentence, seen == wanted, note, Some(Fact::Answer(seen.into())));
    }

    /// Claims that `seen` is one of `wanted`, where the kernel leaves the outcome open.
    pub fn claim_is_one_of(&mut self, sentence: &str, seen: &str, wanted: &[&str]) {
        let holds = wanted.contains(&seen);
        let note = if holds {
            seen.into()
        } else {
            format!("seen: {seen}; wanted one of: {}", wanted.join(", "))
        };
        self.record(sentence, holds, note, None);
    }

    /// Claims that such a packet arrives within [`PATIENCE`].
    pub fn claim_packet(&mut self, sentence: &str, matcher: &Matcher) {
        self.claim_packet_since(sentence, 0, matcher);
    }

    /// Claims that such a packet arrives after the mark ([`crate::Timeline::mark`]), within
    /// [`PATIENCE`].
    pub fn claim_packet_since(&mut self, sentence: &str, mark: usize, matcher: &Matcher) {
        let seen = self.two.wire.wait_delivered(matcher, mark, self.patience());
        self.record_packet(sentence, seen.as_ref());
    }

    /// Records a claim that holds if the packet was seen.
    pub(crate) fn record_packet(&mut self, sentence: &str, seen: Result<&PacketMoment, &TimedOut>) {
        let note = seen.err().map(ToString::to_string).unwrap_or_default();
        let fact = seen.ok().map(|seen| {
            let icmp = || seen.packet.icmp().map(|icmp| format!("ICMP {}", icmp.words()));
            let kind = seen.packet.tcp().map(|tcp| tcp.kind().into()).or_else(icmp);
            Fact::Packet { from: seen.from, kind: kind.unwrap_or_default() }
        });
        self.record(sentence, seen.is_ok(), note, fact);
    }

    /// Claims that a socket with our port in that host has this state, or has had it since the last
    /// step, as the socket table or the packets prove; within [`PATIENCE`].
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
            let looked = host.wait_for_state(self.family, self.port, state, nobody_waits);
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
                let has_port = [local, remote].iter().any(|end| end.port() == self.port);
                has_been |= host == side && has_port && *now == Some(state);
            }
        });
        has_been
    }

    /// Claims that no connection with this port is left in that host, `TIME_WAIT` included, within
    /// [`PATIENCE`]. The kernel has no event for this, so the socket table is polled.
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

    /// The number of claims that were made, and the claims that failed.
    #[must_use]
    pub fn verdict(&self) -> (usize, &[String]) {
        (self.claims, &self.failed)
    }

    /// Adds a rule to the wire.
    pub fn wire_rule(&self, rule: Rule) {
        self.two.wire.add(rule);
    }

    /// Adds rules to the wire, in this order.
    pub fn wire_rules(&self, rules: Vec<Rule>) {
        for rule in rules {
            self.wire_rule(rule);
        }
    }

    /// Holds such packets on the wire from now on.
    #[must_use]
    pub fn hold(&self, matcher: Matcher) -> Held {
        let mark = self.two.timeline.mark();
        Held { rule: self.two.wire.add(Rule::hold(matcher.clone())), mark, matcher }
    }

    /// Waits until the wire holds such a packet, releases it, and discards the retransmissions of
    /// it that came later. Further packets are not held.
    ///
    /// # Errors
    /// No such packet was sent.
    pub fn release(&self, held: &Held) -> Played {
        let first = self.two.wire.wait_for(&held.matcher, held.mark, PATIENCE)?;
        self.two.wire.remove(held.rule);
        self.two.wire.release(first.number);
        self.two.wire.discard(&held.matcher);
        Ok(())
    }

    /// Waits until the wire holds such a packet, and releases all that it holds, in order. Further
    /// packets are not held.
    ///
    /// # Errors
    /// No such packet was sent.
    pub fn release_all(&self, held: &Held) -> Played {
        self.two.wire.wait_for(&held.matcher, held.mark, PATIENCE)?;
        self.two.wire.remove(held.rule);
        self.two.wire.release_all(&held.matcher);
        Ok(())
    }

    /// As [`Stage::release`], but later packets are held until [`Stage::discard`], where a
    /// retransmission would be answered with RST.
    ///
    /// # Errors
    /// No such packet was sent.
    pub fn release_one(&self, held: &Held) -> Played {
        let first = self.two.wire.wait_for(&held.matcher, held.mark, PATIENCE)?;
        self.two.wire.release(first.number);
        self.two.wire.discard(&held.matcher);
        Ok(())
    }

    /// Waits until the wire holds such a packet, and discards all that it holds. Further packets
    /// are not held.
    ///
    /// # Errors
    /// No such packet was sent.
    pub fn discard(&self, held: &Held) -> Played {
        self.two.wire.wait_for(&held.matcher, held.mark, PATIENCE)?;
        self.two.wire.remove(held.rule);
        self.two.wire.discard(&held.matcher);
        Ok(())
    }

    /// The connections in that host with this port at either end, without listening sockets.
    #[must_use]
    pub fn connections(&self, side: Side, port: u16) -> Vec<TcpSocket> {
        let mut sockets = self.two.host(side).sockets(self.family);
        sockets.retain(|socket| {
            let has_port = [socket.local, socket.remote].iter().any(|end| end.port() == port);
            has_port && socket.state != TcpState::Listen
        });
        sockets
    }

    /// Starts an agent in that host.
    ///
    /// # Errors
    /// The agent could not be started.
    pub fn agent(&self, side: Side) -> Result<Agent, Broken> {
        self.agent_with(side, |launch| launch)
    }

    /// Starts an agent without the privilege to bind ports below 1024, like an ordinary user's
    /// program.
    ///
    /// # Errors
    /// The agent could not be started.
    pub fn ordinary_agent(&self, side: Side) -> Result<Agent, Broken> {
        self.agent_with(side, Launch::with_ordinary_ports)
    }

    /// Starts an agent with a modified [`Launch`].
    ///
    /// # Errors
    /// The agent could not be started.
    pub fn agent_with(
        &self,
        side: Side,
        special: impl FnOnce(Launch) -> Launch,
    ) -> Result<Agent, Broken> {
        let number = self.agents[side.index()].fetch_add(1, Relaxed) + 1;
        let launch = Launch::new(&self.agent).named(format!("{side} {number}"));
        let launch = special(launch.without_streams());
        let program = self.two.host(side).launch(&launch);
        let program = program.map_err(|failed| Broken::new(failed.to_string()))?;
        let what = What::Agent { program: program.name().into() };
        self.two.timeline.record(Place::Host(side), what);
        Ok(Agent {
            program,
            patience: self.patience.clone(),
            sample: self.two.sampler(),
            asked: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
        })
    }

    /// Traces the system calls of every program that starts from now on.
    pub fn observe_calls(&self) {
        self.two.observe_calls();
    }

    /// Starts a server that listens with this backlog, with SO_REUSEADDR set.
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn listening(&self, backlog: u32) -> Result<Agent, Broken> {
        self.listening_with(backlog, |launch| launch)
    }

    /// Starts such a server with a modified [`Launch`].
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn listening_with(
        &self,
        backlog: u32,
        special: impl FnOnce(Launch) -> Launch,
    ) -> Result<Agent, Broken> {
        let server = self.agent_with(Side::Server, special)?;
        server.must(&format!("socket {}", self.number()))?;
        server.must("setsockopt reuseaddr on")?;
        server.must(&format!("bind {} {}", self.family.any(), self.port))?;
        server.must(&format!("listen {backlog}"))?;
        Ok(server)
    }

    /// Waits until this number of connections is in the server's accept queue: the last packet of a
    /// handshake arrives after connect has returned.
    ///
    /// # Errors
    /// The queue never reached that length.
    pub fn wait_for_queue(&self, length: u32) -> Played {
        let what = format!("{length} connections in the accept queue");
        let wanted =
            |socket: &TcpSocket| socket.state == TcpState::Listen && socket.rqueue == length;
        self.two.server.wait_for_socket(self.family, &what, PATIENCE, wanted)?;
        Ok(())
    }

    /// Starts a client with an unconnected socket.
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn client(&self) -> Result<Agent, Broken> {
        let client = self.agent(Side::Client)?;
        client.must(&format!("socket {}", self.number()))?;
        Ok(client)
    }

    /// Starts a client that has connected; the server need not accept for that.
    ///
    /// # Errors
    /// One of its calls failed.
    pub fn connected_client(&self) -> Result<Agent, Broken> {
        let client = self.client()?;
        client.must(&self.connect_line())?;
        Ok(client)
    }

    /// Starts a client that this server accepts on its first socket.
    ///
    /// # Errors
    /// One of their calls failed.
    pub fn joined(&self, server: &Agent) -> Result<Agent, Broken> {
        let client = self.connected_client()?;
        server.must("0: accept")?;
        Ok(client)
    }

    /// Starts this number of connected clients, which fill the server's accept queue.
    ///
    /// # Errors
    /// One of their calls failed, or the queue never reached that length.
    pub fn queued_clients(&self, count: u32) -> Result<Vec<Agent>, Broken> {
        let clients = (0..count).map(|_| self.connected_client()).collect::<Result<_, _>>()?;
        self.wait_for_queue(count)?;
        Ok(clients)
    }

    /// The agent's command that connects to the server.
    #[must_use]
    pub fn connect_line(&self) -> String {
        format!("connect {} {}", Side::Server.address(self.family), self.port)
    }

    /// Starts a client and a server that has accepted it.
    ///
    /// # Errors
    /// One of their calls failed.
    pub fn connected(&self) -> Result<(Agent, Agent), Broken> {
        let (server, client) = (self.listening(10)?, self.client()?);
        client.must(&self.connect_line())?;
        server.must("accept")?;
        Ok((client, server))
    }

    /// Starts a client with this number of connections, and a server that has given each to a child
    /// (UNP 5.10). The server's listening socket is its number 0.
    ///
    /// # Errors
    /// One of their calls failed.
    pub fn forked(&self, children: usize) -> Result<(Agent, Agent), Broken> {
        let (server, client) = (self.listening(10)?, self.agent(Side::Client)?);
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

    /// All packets that were sent so far, in the order in which the wire first saw them. Waits for
    /// the wire: on a busy machine it processes a packet after the call that sent it has returned.
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

    /// When the first such packet after the mark was delivered; waits for it.
    ///
    /// # Errors
    /// None is delivered within [`PATIENCE`].
    pub fn when(&self, matcher: &Matcher, mark: usize) -> Result<Duration, Broken> {
        let what = format!("delivery of {matcher}");
        let found = self.two.timeline.wait_for(mark, self.patience(), &what, |moment| {
            let What::Packet(seen) = &moment.what else { return None };
            let arrived = seen.verdict.has_arrived() && matcher.matches(seen.from, &seen.packet);
            arrived.then_some(moment.at)
        });
        Ok(found?)
    }

    /// The number of such packets that the wire has seen, delivered or not.
    #[must_use]
    pub fn count(&self, matcher: &Matcher) -> usize {
        self.packets().iter().filter(|seen| matcher.matches(seen.from, &seen.packet)).count()
    }

    /// Whether the wire has given any packet this verdict.
    #[must_use]
    pub fn any_verdict(&self, verdict: Verdict) -> bool {
        self.packets().iter().any(|seen| seen.verdict == verdict)
    }
}

/// A program that makes one system call for each command ([`crate::agent`]).
pub struct Agent {
    program: Program,
    patience: Patience,
    /// Samples the states: a call may change one without a packet, and one that fails tells of a
    /// socket that the kernel has dropped.
    sample: Arc<dyn Fn() + Send + Sync>,
    /// The number of calls that it was asked to make.
    asked: AtomicUsize,
    /// The number of results that were taken.
    answered: AtomicUsize,
}

impl Agent {
    /// The program itself: signals, exit status, descriptors.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The local port of its newest socket.
    ///
    /// # Errors
    /// The socket has no local port.
    pub fn port(&self) -> Result<u16, Broken> {
        let name = self.must("getsockname")?;
        let port = name.rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| Broken::new(format!("no port in: {name}")))
    }

    /// Makes a call and returns the result: `ok …` or the name of an errno.
    ///
    /// # Errors
    /// The agent does not answer within [`PATIENCE`].
    pub fn call(&self, line: &str) -> Result<String, Broken> {
        // A program whose stdin is closed has exited or will not answer; the wait tells which.
        let _ = self.begin(line);
        let what = format!("an answer to {line:?}");
        let answer = self.program.wait_for_line(&what, self.patience.get(), |_| true)?;
        self.answered.fetch_add(1, Relaxed);
        (self.sample)();
        Ok(answer)
    }

    /// Whether the result of a call was not taken: the call has not returned, or nobody has asked.
    pub(crate) fn is_waiting(&self) -> bool {
        self.answered.load(Relaxed) < self.asked.load(Relaxed)
    }

    /// The next result of the calls that were begun, within `patience`.
    pub(crate) fn next_answer(&self, patience: Duration) -> Result<String, TimedOut> {
        let answer = self.program.next_line(patience)?;
        self.answered.fetch_add(1, Relaxed);
        (self.sample)();
        Ok(answer)
    }

    /// Makes a call that must succeed.
    ///
    /// # Errors
    /// The call failed.
    pub fn must(&self, line: &str) -> Result<String, Broken> {
        let answer = self.call(line)?;
        if answer.starts_with("ok") {
            Ok(answer)
        } else {
            Err(Broken::new(format!("{line}: {answer}")))
        }
    }

    /// Ends the agent; when this returns, all its descriptors are closed.
    ///
    /// # Errors
    /// It has not exited within [`PATIENCE`].
    pub fn end(&self) -> Result<(), Broken> {
        self.begin("exit 0")?;
        self.program.wait(self.patience.get())?;
        (self.sample)();
        Ok(())
    }

    /// Starts a call that will block; [`Agent::outcome`] returns its result.
    ///
    /// # Errors
    /// The agent has exited.
    pub fn begin(&self, line: &str) -> Result<(), Broken> {
        self.asked.fetch_add(1, Relaxed);
        Ok(self.program.say(line)?)
    }

    /// The result of the call that was started.
    ///
    /// # Errors
    /// No result within [`PATIENCE`].
    pub fn outcome(&self) -> Result<String, Broken> {
        Ok(self.next_answer(self.patience.get())?)
    }

    /// Receives this number of bytes, as the book's readn does; returns the size of each recv.
    ///
    /// # Errors
    /// A recv failed, or the stream ended early.
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
