//! The harness of a program under test. The program makes its own calls, so it is judged by the
//! wire, the kernel's tables, its streams and its exit status.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tcpecho_os::process::Exit;
use tcpecho_os::tcp_state::TcpState;

use super::NOT_LISTENING;
use super::command::CommandLine;
use crate::conduct::{Conduct, Fault};
use crate::glances::until;
use crate::impairment::Matcher;
use crate::program::{Launch, LeftOut, Program, words};
use crate::side::{Family, Side};
use crate::stage::{Agent, Broken, PATIENCE, Played, Stage};
use crate::timeline::{PacketMoment, Stream, TimedOut, What};

/// How long a program may take to notice an event. Only a program that never does takes the whole
/// time.
pub(crate) const NOTICE: Duration = Duration::from_secs(4);
/// How long a program may take to exit or to transfer a stream. Long, because the machine may be
/// busy, and a wrong verdict is worse than a late one; only a program that hangs takes the whole
/// time.
pub(crate) const END: Duration = Duration::from_secs(12);

/// One turn of waiting for an event that only the program under test can cause.
pub(super) const TURN: Duration = Duration::from_millis(50);
/// The number of turns that are still waited when the event has become impossible, for packets in
/// the wire and work in the opposite host.
const LAST_TURNS: u32 = 8;

/// The stage of a trial, with the program under test, or both, and what was observed of them.
pub(crate) struct Harness {
    pub(crate) stage: Stage,
    /// By [`Side::index`].
    commands: [Option<CommandLine>; 2],
    programs: Vec<(Side, Arc<Program>)>,
    /// Where the timeline was when the decisive event happened.
    mark: usize,
    /// Where the timeline was when the program was started.
    started: usize,
    /// SIGPIPE and SIGCHLD are ignored when it is started.
    ignores_signals: bool,
    /// The connections that its host had at that time: they are not the program's own.
    others: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) conduct: Conduct,
}

/// A program under test that is running.
pub(crate) struct ProgramUnderTest {
    side: Side,
    pub(crate) process: Arc<Program>,
    /// How many children it had before the first client connected.
    pub(crate) children: usize,
}

impl ProgramUnderTest {
    /// Types a line on its stdin. A program that has exited does not get it; the claims will tell.
    pub(crate) fn types(&self, line: &str) {
        let _ = self.process.say(line);
    }

    /// Closes its stdin.
    pub(crate) fn ends_input(&self) {
        self.process.close_input();
    }

    /// Gives it more input if it has not exited: two lines, then end of file.
    pub(crate) fn gets_more(&self) {
        if self.process.exit().is_none() {
            self.types("two");
            if self.process.wait(NOTICE).is_err() {
                self.types("three");
                self.ends_input();
            }
        }
    }

    /// The lines of its stdout, each with a newline.
    pub(crate) fn written(&self) -> String {
        let lines = self.process.lines().into_iter();
        lines
            .filter(|(stream, _)| *stream == Stream::Out)
            .fold(String::new(), |all, (_, line)| all + &line + "\n")
    }
}

impl Harness {
    /// Puts these programs in the place of agents.
    pub(crate) fn new(stage: Stage, programs: &[(Side, CommandLine)]) -> Self {
        let mut commands = [None, None];
        for (side, command) in programs {
            commands[side.index()] = Some(command.clone());
        }
        Harness {
            stage,
            commands,
            programs: Vec::new(),
            mark: 0,
            started: 0,
            ignores_signals: false,
            others: Vec::new(),
            conduct: Conduct::default(),
        }
    }

    /// Records the next step.
    pub(crate) fn step(&self, sentence: &str) {
        self.stage.step(sentence);
    }

    /// Records a claim that does not concern the program.
    pub(crate) fn claim(&mut self, sentence: &str, holds: bool) {
        self.stage.claim(sentence, holds);
    }

    /// As [`Stage::claim_state`].
    pub(crate) fn claim_state(&mut self, sentence: &str, side: Side, state: TcpState) {
        self.stage.claim_state(sentence, side, state);
    }

    /// As [`Stage::claim_none_left`].
    pub(crate) fn claim_none_left(&mut self, sentence: &str, side: Side, port: u16) {
        self.stage.claim_none_left(sentence, side, port);
    }

    /// Claims that such a packet arrives; the program's exit ends the wait. The lab's own end sends
    /// it, unless a client under test has not come so far.
    pub(crate) fn claim_packet(&mut self, sentence: &str, matcher: &Matcher) {
        let seen = self.delivered(matcher, 0, END);
        let is_client = matches!(self.the_only_one(), Some((Side::Client, _)));
        if seen.is_err() && is_client {
            let fault = if self.has_exited() { Fault::Quit } else { Fault::Hung };
            let seen = String::from("the connection was not as the trial needs it");
            return self.claim_without(sentence, Some((fault, seen)));
        }
        self.stage.record_packet(sentence, seen.as_ref());
    }

    /// Starts programs from now on with SIGPIPE and SIGCHLD ignored.
    pub(crate) fn ignore_signals(&mut self) {
        self.ignores_signals = true;
    }

    /// Starts the program under test on that side.
    pub(crate) fn start(&mut self, side: Side) -> Result<ProgramUnderTest, Broken> {
        let command = self.commands[side.index()].as_ref();
        let command = command.ok_or_else(|| Broken::new("no program under test was given"))?;
        let mut words = command.words(self.stage.family(), self.stage.port());
        if self.ignores_signals {
            let shell = ["/bin/sh", "-c", "trap '' PIPE CHLD; exec \"$0\" \"$@\""];
            words.splice(0..0, shell.map(String::from));
        }
        let is_pair = self.commands.iter().all(Option::is_some);
        let launch = Launch::new(&words).named(if is_pair { side.word() } else { "program" });
        self.started = self.stage.two().timeline.mark();
        let others = self.connections_of_any_family(side).into_iter();
        self.others = others.map(|socket| (socket.local, socket.remote)).collect();
        let program = self.stage.two().host(side).launch(&launch);
        // A program that does not exist is not a reason to skip, as a setting that this kernel
        // lacks is.
        let program = Arc::new(program.map_err(|failed| Broken::new(failed.to_string()))?);
        self.programs.push((side, Arc::clone(&program)));
        Ok(ProgramUnderTest { side, process: program, children: 0 })
    }

    /// Marks the decisive event: the program should notice what happens from now on.
    pub(crate) fn decisive(&mut self) {
        self.mark = self.stage.two().timeline.mark();
        self.conduct.event = Some(self.stage.two().timeline.elapsed());
    }

    /// Ends a trial that cannot continue, because the program has exited or hangs.
    pub(crate) fn stuck(&mut self, why: &str) -> Broken {
        // What the lab has noticed may be the end of a program that is about to exit.
        let exited = || self.programs.iter().any(|(_, program)| program.exit().is_some());
        if !until(NOTICE, exited) {
            self.conduct.ended_by_lab = true;
            self.conduct.faults.push(Fault::Hung);
        }
        Broken::new(why)
    }

    /// Does nothing: how the program under test ends belongs to the experiment.
    #[allow(clippy::unused_self, reason = "the steps of a scenario call the stage's")]
    pub(crate) fn end(&self) {}

    /// Records an observation that is not a fault.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.conduct.notes.push(note.into());
    }

    /// Claims something about the program; the claim holds unless there is a fault.
    pub(crate) fn claim_without(&mut self, sentence: &str, fault: Option<(Fault, String)>) {
        let fault = fault.map(|fault| self.explained(fault));
        let note = fault.as_ref().map(|(fault, seen)| {
            if seen.is_empty() { fault.word().into() } else { format!("{fault}: {seen}") }
        });
        self.stage.record(sentence, fault.is_none(), note.unwrap_or_default(), None);
        self.conduct.faults.extend(fault.map(|(fault, _)| fault));
    }

    /// Returns the fault that explains this one: a program that has exited does not hang, and a
    /// server whose connections break may be about to exit. A server's connections end before its
    /// exit is reported, so its exit is waited for.
    pub(super) fn explained(&self, (fault, seen): (Fault, String)) -> (Fault, String) {
        let Some((side, program)) = self.the_only_one() else { return (fault, seen) };
        let exit = match side {
            _ if program.was_asked_to_end() => None,
            Side::Server if fault.may_be_its_end() => {
                program.wait(NOTICE).ok().map(|(_, exit)| exit)
            }
            Side::Client if fault == Fault::Hung => program.exit(),
            _ => None,
        };
        exit.map_or((fault, seen), |exit| end_by_itself(side, exit))
    }

    /// Whether the only program under test has exited.
    pub(super) fn has_exited(&self) -> bool {
        self.the_only_one().is_some_and(|(_, program)| program.exit().is_some())
    }

    /// The program under test that was started last; nothing for a pair.
    fn the_only_one(&self) -> Option<(Side, &Program)> {
        let is_pair = self.commands.iter().all(Option::is_some);
        let (side, program) = self.programs.last().filter(|_| !is_pair)?;
        Some((*side, program))
    }

    /// Claims something about the program whose failure proves this fault.
    pub(crate) fn claim_or(&mut self, sentence: &str, fault: Fault, holds: bool) {
        self.claim_without(sentence, (!holds).then(|| (fault, String::new())));
    }

    /// Claims that it exits, or writes a line that was not typed, because of the decisive event
    /// alone.
    pub(crate) fn claim_notices(&mut self, sentence: &str, program: &ProgramUnderTest) {
        let name = program.process.name();
        let typed: Vec<String> =
            self.stage.two().timeline.since(0).into_iter().filter_map(typed).collect();
        let noticed = self.while_it_can_come(NOTICE, |patience| {
            let timeline = &self.stage.two().timeline;
            timeline.wait_for(self.mark, patience, sentence, |moment| match &moment.what {
                What::Exit { program, .. } => (**program == *name).then_some(()),
                What::Output { program, line, .. } => {
                    (**program == *name && !typed.contains(line)).then_some(())
                }
                _ => None,
            })
        });
        self.claim_or(sentence, Fault::Late, noticed.is_ok());
    }

    /// Waits for its exit; ends the program if that takes too long.
    fn end_of(&mut self, program: &ProgramUnderTest) -> Option<Exit> {
        if let Ok((_, exit)) = program.process.wait(END) {
            return Some(exit);
        }
        self.conduct.ended_by_lab = true;
        program.process.kill();
        None
    }

    /// Claims that it exits with a status that reports an error.
    pub(crate) fn claim_fails(&mut self, sentence: &str, program: &ProgramUnderTest) {
        let fault = match self.end_of(program) {
            Some(Exit::Exited(0)) => Some((Fault::Silent, "it exited with 0".into())),
            exit => unnatural(exit),
        };
        self.claim_without(sentence, fault);
    }

    /// Claims that it exits with status 0.
    pub(crate) fn claim_ends_well(&mut self, sentence: &str, program: &ProgramUnderTest) {
        let fault = match self.end_of(program) {
            Some(Exit::Exited(0)) => None,
            Some(Exit::Exited(status)) if status != BROKEN_PIPE => {
                Some((Fault::Quit, format!("it exited with {status}")))
            }
            exit => unnatural(exit),
        };
        self.claim_without(sentence, fault);
    }

    /// Claims that it exits by itself; from outside nothing tells whether something was wrong.
    pub(crate) fn claim_ends(&mut self, sentence: &str, program: &ProgramUnderTest) {
        let end = self.end_of(program);
        self.claim_without(sentence, unnatural(end));
    }

    /// Claims that it still runs.
    pub(crate) fn claim_runs(&mut self, sentence: &str, program: &ProgramUnderTest) {
        program.process.settle(NOTICE);
        let fault = program.process.exit().map(|exit| end_by_itself(program.side, exit));
        self.claim_without(sentence, fault);
    }

    /// Claims that its stdout is these lines. Lines that remain in the buffer of a program that the
    /// lab had to end are not lost.
    pub(crate) fn claim_output(
        &mut self,
        sentence: &str,
        program: &ProgramUnderTest,
        lines: &[impl AsRef<str>],
    ) {
        let wanted = lines.iter().fold(String::new(), |all, line| all + line.as_ref() + "\n");
        let seen = program.written();
        let fault = if seen == wanted {
            None
        } else if is_part(&seen, &wanted) {
            let lost = wanted.len() - seen.len();
            let ours = self.conduct.ended_by_lab;
            self.conduct.lost_bytes = if ours { 0 } else { lost as u64 };
            (!ours).then(|| (Fault::Lost, format!("{lost} of {} bytes", wanted.len())))
        } else {
            let same = seen.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
            Some((Fault::Invented, format!("other bytes from byte {same} on")))
        };
        self.claim_without(sentence, fault);
    }

    /// Claims that it has written nothing to stdout.
    pub(crate) fn claim_no_output(&mut self, sentence: &str, program: &ProgramUnderTest) {
        self.claim_output(sentence, program, &[""; 0]);
    }

    /// The connections of either family in that host with this port at either end: a server may
    /// accept IPv4 on an IPv6 socket.
    pub(crate) fn connections_of_any_family(
        &self,
        side: Side,
    ) -> Vec<tcpecho_os::sock_diag::TcpSocket> {
        use tcpecho_os::tcp_state::TcpState::Listen;
        let sockets =
            Family::BOTH.map(|family| self.stage.two().host(side).sockets(family)).concat();
        let port = self.stage.port();
        let ours = |socket: &tcpecho_os::sock_diag::TcpSocket| {
            socket.local.port() == port || socket.remote.port() == port
        };
        sockets.into_iter().filter(|socket| socket.state != Listen && ours(socket)).collect()
    }

    /// Waits for an event that the program under test must cause; the program's exit ends the wait.
    pub(crate) fn comes(&self, patience: Duration, mut done: impl FnMut() -> bool) -> bool {
        let waited = self.while_it_can_come(patience, |patience| {
            let after = patience;
            let what = String::new();
            let late = TimedOut { what, after, ended: None };
            if until(patience, &mut done) { Ok(()) } else { Err(late) }
        });
        waited.is_ok()
    }

    /// Waits for the next answer of an agent, which depends on what the program under test does.
    pub(crate) fn hears(&self, agent: &Agent, patience: Duration) -> Result<String, TimedOut> {
        self.while_it_can_come(patience, |turn| {
            let begun = Instant::now();
            loop {
                let heard = agent.next_answer(turn);
                // An agent that does not sleep in its call has got its result; a busy machine only
                // delays the answer.
                let is_stuck = agent.program().is_blocked() || agent.program().exit().is_some();
                let is_over = begun.elapsed() > patience || !self.nothing_can_come();
                if heard.is_ok() || is_stuck || is_over {
                    return heard;
                }
            }
        })
    }

    /// As [`crate::Wire::wait_delivered`]; the program's exit ends the wait.
    pub(crate) fn delivered(
        &self,
        matcher: &Matcher,
        mark: usize,
        patience: Duration,
    ) -> Result<PacketMoment, TimedOut> {
        self.while_it_can_come(patience, |patience| {
            self.stage.two().wire.wait_delivered(matcher, mark, patience)
        })
    }

    /// As [`crate::Wire::wait_for`]; the program's exit ends the wait.
    pub(crate) fn sent(
        &self,
        matcher: &Matcher,
        mark: usize,
        patience: Duration,
    ) -> Result<PacketMoment, TimedOut> {
        self.while_it_can_come(patience, |patience| {
            self.stage.two().wire.wait_for(matcher, mark, patience)
        })
    }

    /// Waits in short turns until the event has become impossible.
    fn while_it_can_come<T>(
        &self,
        patience: Duration,
        mut wait: impl FnMut(Duration) -> Result<T, TimedOut>,
    ) -> Result<T, TimedOut> {
        if self.programs.is_empty() {
            return wait(patience);
        }
        let begun = Instant::now();
        let mut turns_left = LAST_TURNS;
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            let timed_out = match wait(left.min(TURN)) {
                Err(timed_out) => timed_out,
                came => return came,
            };
            turns_left = if self.nothing_can_come() { turns_left - 1 } else { LAST_TURNS };
            if left <= TURN {
                return Err(TimedOut { after: patience, ..timed_out });
            }
            if turns_left == 0 {
                let ended = Some("the program has exited".into());
                return Err(TimedOut { ended, ..timed_out });
            }
        }
    }

    /// Whether every program under test has exited, with all processes that it has started, and its
    /// kernel has nothing left to send for it.
    fn nothing_can_come(&self) -> bool {
        use tcpecho_os::tcp_state::TcpState::{FinWait2, TimeWait};
        let programs = &self.programs;
        !programs.is_empty()
            && programs.iter().all(|(_, program)| program.exit().is_some())
            && programs.iter().all(|(side, _)| {
                let mut sockets = self.connections_of_any_family(*side).into_iter();
                !self.stage.two().host(*side).has_orphans()
                    && sockets.all(|socket| {
                        matches!(socket.state, TimeWait | FinWait2)
                            || self.others.contains(&(socket.local, socket.remote))
                    })
            })
    }

    /// Ends the programs under test and returns what was observed: of a pair, the faults and notes.
    pub(crate) fn dismiss(&mut self, played: &Played) -> Conduct {
        self.wait_for_the_end(played);
        let is_pair = self.commands.iter().all(Option::is_some);
        let programs = std::mem::take(&mut self.programs);
        let exits: Vec<_> = programs.iter().map(|(_, program)| program.exit()).collect();
        for ((side, program), exit) in programs.iter().zip(&exits) {
            let Some(exit) = *exit else {
                program.kill();
                continue;
            };
            if played.is_err() && !program.was_asked_to_end() {
                self.conduct.faults.push(end_by_itself(*side, exit).0);
            }
        }
        let (Some((side, program)), Some(exit), false) = (programs.last(), exits.last(), is_pair)
        else {
            return std::mem::take(&mut self.conduct);
        };
        let (side, exit) = (*side, *exit);
        let left_out = program.left_out();
        if left_out.lines > 0 {
            let LeftOut { lines, bytes } = left_out;
            self.note(format!("{lines} lines ({bytes} bytes) that it wrote were not kept"));
        }
        let noticed = self.noticed(program);
        let said = self.said(program);
        let syns = self.connections_asked_for();
        let conduct = &mut self.conduct;
        conduct.exit = if conduct.ended_by_lab { None } else { exit };
        if side == Side::Client && syns == 0 && conduct.exit.is_some() && conduct.faults.is_empty()
        {
            conduct.faults.push(Fault::Quit);
        }
        conduct.noticed = noticed.filter(|_| side == Side::Client);
        conduct.connections = (side == Side::Client).then_some(syns);
        conduct.said = said;
        let last = |wanted| {
            let mut lines = program.lines().into_iter().rev();
            lines.find(|(stream, _)| *stream == wanted).map(|(_, line)| line)
        };
        conduct.last_output = last(Stream::Out);
        conduct.last_error = last(Stream::Err);
        std::mem::take(conduct)
    }

    /// Waits until a server is done with what has happened: it must not depend on the machine
    /// whether the verdict counts its exit.
    fn wait_for_the_end(&mut self, played: &Played) {
        let Some((Side::Server, server)) = self.the_only_one() else { return };
        let is_known = |fault: &Fault| matches!(fault, Fault::Died | Fault::Killed | Fault::InUse);
        if server.was_asked_to_end() || self.conduct.faults.iter().any(is_known) {
            return;
        }
        let never_served = |why: &Broken| why.to_string().starts_with(NOT_LISTENING);
        if played.as_ref().is_err_and(never_served) {
            return;
        }
        if played.is_err() {
            let _ = server.wait(NOTICE);
        } else {
            server.settle(NOTICE);
        }
        if let (Some(exit), Ok(())) = (server.exit(), played) {
            let fault = end_by_itself(Side::Server, exit);
            self.claim_without("the program runs until the end of the trial", Some(fault));
        }
    }

    /// The time from the decisive event to the program's exit or its first line on stderr.
    fn noticed(&self, program: &Program) -> Option<Duration> {
        let event = self.conduct.event?;
        if self.conduct.ended_by_lab && program.lines().is_empty() {
            return None;
        }
        let first = self.stage.two().timeline.since(self.mark).into_iter().find(|moment| {
            match &moment.what {
                What::Exit { program: name, .. } => {
                    **name == *program.name() && !self.conduct.ended_by_lab
                }
                What::Output { program: name, stream: Stream::Err, .. } => {
                    **name == *program.name()
                }
                _ => false,
            }
        });
        first.map(|moment| moment.at.saturating_sub(event))
    }

    fn said(&self, program: &Program) -> Option<String> {
        let moments = self.stage.two().timeline.since(self.mark).into_iter();
        let mut lines = moments.filter_map(|moment| match moment.what {
            What::Output { program: name, stream: Stream::Err, line }
                if *name == *program.name() =>
            {
                Some(line)
            }
            _ => None,
        });
        lines.find(|line| !line.trim().is_empty())
    }

    fn connections_asked_for(&self) -> usize {
        let moments = self.stage.two().timeline.since(self.started).into_iter();
        let ports = moments.filter_map(|moment| match moment.what {
            What::Packet(seen)
                if seen.from == Side::Client && Matcher::syn().matches(seen.from, &seen.packet) =>
            {
                Some(seen.packet.tcp()?.source_port)
            }
            _ => None,
        });
        ports.collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Waits until everything that the server has sent is acknowledged: after a reboot, a delayed
    /// acknowledgment would reach the rebooted host and be answered with RST.
    pub(crate) fn wait_until_acknowledged(&self) -> Played {
        let acknowledged = || {
            let sockets = self.connections_of_any_family(Side::Server);
            sockets.iter().all(|socket| socket.wqueue == 0)
        };
        if self.comes(PATIENCE, acknowledged) {
            Ok(())
        } else {
            Err(Broken::new("the client's kernel does not acknowledge the reply"))
        }
    }

    /// Waits until the client's program has read everything that has arrived.
    pub(crate) fn wait_until_read(&self, side: Side) -> Played {
        self.while_it_can_come(PATIENCE, |patience| {
            self.stage.two().host(side).wait_for_socket(
                self.stage.family(),
                "a connection with nothing to read",
                patience,
                |socket| socket.remote.port() == self.stage.port() && socket.rqueue == 0,
            )
        })?;
        Ok(())
    }
}

fn typed(moment: crate::timeline::Moment) -> Option<String> {
    if let What::Input { line, .. } = moment.what { Some(line) } else { None }
}

/// The exit status that a shell reports for SIGPIPE.
const BROKEN_PIPE: i32 = 128 + 13;

/// The fault of a program that exits although nothing is wrong.
fn uncalled_for(side: Side) -> Fault {
    if side == Side::Server { Fault::Died } else { Fault::Quit }
}

/// The fault of a program that exited although the trial does not ask for it.
fn end_by_itself(side: Side, exit: Exit) -> (Fault, String) {
    unnatural(Some(exit)).unwrap_or_else(|| (uncalled_for(side), words(exit)))
}

/// The fault of a program that was killed or did not exit.
fn unnatural(exit: Option<Exit>) -> Option<(Fault, String)> {
    match exit {
        None => Some((Fault::Hung, format!("it did not exit within {END:?}"))),
        Some(Exit::Killed(13) | Exit::Exited(BROKEN_PIPE)) => Some((Fault::Killed, String::new())),
        Some(exit @ Exit::Killed(_)) => Some((Fault::Died, words(exit))),
        Some(Exit::Exited(_) | Exit::Unknown) => None,
    }
}

/// Whether `seen` is `wanted` with lines missing or the last line cut.
fn is_part(seen: &str, wanted: &str) -> bool {
    let mut rest = wanted.lines();
    let mut lines = seen.lines().peekable();
    while let Some(line) = lines.next() {
        let last = lines.peek().is_none();
        if !rest.any(|wanted| wanted == line || (last && wanted.starts_with(line))) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_lines_of_the_whole_in_order_and_only_its_last_may_be_cut() {
        let whole = "one\ntwo\nthree\ntwo\n";
        for part in ["", "one\n", "one\nthree\n", "two\ntwo\n", "one\nthr", "th", whole] {
            assert!(is_part(part, whole), "{part:?}");
        }
        for other in ["four\n", "three\none\n", "two\ntwo\ntwo\n", "o\ntwo\n", "ne\n", "three!"] {
            assert!(!is_part(other, whole), "{other:?}");
        }
    }

    /// 141 is how a shell tells of SIGPIPE.
    #[test]
    fn an_end_by_a_signal_or_none_is_unnatural() {
        let fault = |exit| unnatural(exit).map(|(fault, _)| fault);
        assert_eq!(fault(None), Some(Fault::Hung));
        assert_eq!(fault(Some(Exit::Killed(13))), Some(Fault::Killed));
        assert_eq!(fault(Some(Exit::Exited(141))), Some(Fault::Killed));
        assert_eq!(fault(Some(Exit::Killed(9))), Some(Fault::Died));
        for exit in [Exit::Exited(0), Exit::Exited(1), Exit::Exited(140), Exit::Unknown] {
            assert_eq!(fault(Some(exit)), None, "{exit:?}");
        }
        assert_eq!(
            (uncalled_for(Side::Server), uncalled_for(Side::Client)),
            (Fault::Died, Fault::Quit)
        );
    }
}
