//! Executes the commands of the shell on two hosts and the wire.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::File,
    io::BufRead as _,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tcpecho_lab::{
    Family, Launch, Matcher, Options, Place, Program, Side, TcpSocket, TcpState, TimedOut,
    TwoHosts, What,
    impairment::{VERBS, packet_words},
    program::words,
    wire::RuleId,
};

use super::{
    Screen,
    command::{self, COMMANDS, Command, Expected, with_limit},
    complete::{Completion, Known, complete},
    limits,
};
use crate::{lab::ladder::Ladder, width::hang};

pub(super) enum Outcome {
    Done,
    Quit,
    /// The command was not understood, or cannot be executed.
    Refused(String),
    /// What `expect` or `wait` waits for did not happen.
    Unmet(String),
}

/// The output of a successful command; empty for most.
type Carried = Result<Option<String>, Outcome>;

pub(super) struct Desk {
    programs: Vec<Started>,
    rules: Vec<(usize, RuleId)>,
    /// The number of rules that were ever added.
    numbered: usize,
    /// How far `expect` has read: lines, packets.
    heard: usize,
    seen: usize,
    /// The mark of the timeline before the last command that changed something.
    changed: usize,
    families: Vec<Family>,
    screen: Screen,
    interactive: bool,
    // Last, because programs and rules refer to them.
    two: TwoHosts,
}

struct Started {
    program: Program,
    side: Side,
    command: String,
}

impl Desk {
    pub(super) fn new(two: TwoHosts, options: &Options, screen: Screen, interactive: bool) -> Self {
        let families =
            if options.both_families { Family::BOTH.to_vec() } else { vec![options.family] };
        let (programs, rules) = (Vec::new(), Vec::new());
        let seen = two.timeline.mark();
        Desk {
            programs,
            rules,
            numbered: 0,
            heard: 0,
            seen,
            changed: seen,
            families,
            screen,
            interactive,
            two,
        }
    }

    /// The programs.
    pub(super) fn introduce(&self) {
        for side in Side::BOTH {
            let addresses = Family::BOTH.map(|family| side.address(family).to_string());
            self.screen.show(&format!("{side}  {}", addresses.join("  ")));
        }
        if self.interactive {
            self.screen.show("help names the commands, quit or Ctrl-D ends");
        }
    }

    /// Shows the output of a command, after everything that has happened.
    pub(super) fn answer(&self, text: &str, ladder: &Ladder, patience: Duration) {
        ladder.catch_up(patience);
        let width = (self.screen.look)().width.unwrap_or(usize::MAX);
        for line in text.lines() {
            self.screen.show(&hanging(line, width));
        }
    }

    /// Completes the text before the cursor.
    pub(super) fn complete(&self, before: &str) -> Completion {
        complete(before, || {
            let sockets = Side::BOTH.into_iter().flat_map(|side| self.sockets(side));
            let ports = sockets.flat_map(|socket| [socket.local.port(), socket.remote.port()]);
            Known {
                programs: (1..=self.programs.len()).collect(),
                rules: self.rules.iter().map(|(number, _)| *number).collect(),
                ports: ports.filter(|port| *port != 0).collect(),
                counters: self.two.host(Side::Server).counters().unwrap_or_default(),
            }
        })
    }

    /// `is_interrupted` is asked while the command waits.
    pub(super) fn obey(
        &mut self,
        line: &str,
        ladder: &Ladder,
        patience: Duration,
        is_interrupted: &dyn Fn() -> bool,
    ) -> Outcome {
        let command = match command::parse(line) {
            Ok(command) => command,
            Err(why) => return Outcome::Refused(why),
        };
        if !self.interactive && !matches!(command, Command::Nothing) {
            self.two.timeline.step(line.trim());
        }
        if command.changes_something() {
            self.changed = self.two.timeline.mark();
        }
        let carried = self.carry_out(command, is_interrupted);
        self.two.look_at_states();
        match carried {
            Ok(None) => Outcome::Done,
            Ok(Some(said)) => {
                self.answer(&said, ladder, patience);
                Outcome::Done
            }
            Err(outcome) => outcome,
        }
    }

    fn carry_out(&mut self, command: Command, is_interrupted: &dyn Fn() -> bool) -> Carried {
        let wire = &self.two.wire;
        match command {
            Command::Nothing => {}
            Command::Quit => return Err(Outcome::Quit),
            Command::Help => return Ok(Some(help())),
            Command::Programs(side) => return Ok(Some(self.programs_of(side))),
            Command::Start(side, words) => self.start(side, &words)?,
            Command::Say(number, text) => {
                self.program(number)?.say(&text).map_err(|errno| at(number, errno))?;
            }
            Command::Close(number) => self.program(number)?.close_input(),
            Command::Signal(number, signal) => self.signal(number, signal)?,
            Command::Wait(number, patience) => {
                let program = self.program(number)?;
                in_turns(patience, is_interrupted, |turn| program.wait(turn))?;
            }
            Command::Cut => wire.cut(),
            Command::Mend => wire.mend(),
            Command::Rule(rule) => {
                self.numbered += 1;
                self.rules.push((self.numbered, wire.add(rule)));
            }
            Command::Release(packet) => {
                return Ok(Some(counted(wire.release_all(&packet), "released")));
            }
            Command::Discard(packet) => {
                return Ok(Some(counted(wire.discard(&packet), "discarded")));
            }
            Command::Reset => return self.reset(),
            Command::Rules => return Ok(Some(self.rules_in_force())),
            Command::Remove(number) => self.remove(number)?,
            Command::Clear => {
                wire.clear();
                self.rules.clear();
            }
            Command::Crash(side) => self.two.host_mut(side).power_off(),
            Command::Boot(side) => self.two.host_mut(side).reboot().map_err(refused)?,
            Command::Sysctl { side, key, value: Some(value) } => {
                self.two.host(side).set_sysctl(&key, &value).map_err(refused)?;
            }
            Command::Sysctl { side, key, value: None } => {
                let value = self.two.host(side).sysctl(&key).map_err(refused)?;
                return Ok(Some(format!("{key} = {value}")));
            }
            Command::States => return Ok(Some(self.states())),
            Command::Counter(side, name) => {
                let count = self.two.host(side).counter(&name).map_err(refused)?;
                return Ok(Some(format!("{name} = {count}")));
            }
            Command::Expect(Expected::Text(text), patience) => {
                self.expect_text(&text, patience, is_interrupted)?;
            }
            Command::Expect(Expected::Packet(packet), patience) => {
                self.expect_packet(&packet, patience, is_interrupted)?;
            }
            Command::Expect(Expected::State(side, state), patience) => {
                self.expect_state(side, state, patience, is_interrupted)?;
            }
            Command::Pause(Some(duration)) => {
                let end = Instant::now() + duration;
                while let left = end.saturating_duration_since(Instant::now())
                    && !left.is_zero()
                {
                    std::thread::sleep(left.min(TURN));
                    unless(is_interrupted)?;
                }
            }
            Command::Pause(None) => wait_for_enter(is_interrupted)?,
        }
        Ok(None)
    }

    fn start(&mut self, side: Side, words: &[String]) -> Result<(), Outcome> {
        let mut argv: Vec<String> = words.iter().map(|word| self.with_addresses(word)).collect();
        if let Some(program) = argv.first_mut().filter(|program| *program == "tcpecho")
            && let Ok(ours) = std::env::current_exe()
            && let Some(ours) = ours.to_str()
        {
            *program = ours.into();
        }
        let number = self.programs.len() + 1;
        let launch = Launch::new(&argv).named(format!("{side} {number}"));
        let program = self.two.host(side).launch(&launch).map_err(refused)?;
        self.programs.push(Started { program, side, command: words.join(" ") });
        if self.interactive {
            self.screen.show(&format!("{side} {number} runs"));
        }
        Ok(())
    }

    /// Replaces `{server}` by the server's address, IPv4 if both are shown, and `{server6}` by its
    /// IPv6 address.
    fn with_addresses(&self, word: &str) -> String {
        let first = self.families.first().copied().unwrap_or(Family::V4);
        let mut word = word.to_string();
        for side in Side::BOTH {
            for (end, family) in [("", first), ("4", Family::V4), ("6", Family::V6)] {
                word = word.replace(&format!("{{{side}{end}}}"), &side.address(family).to_string());
            }
        }
        word
    }

    fn program(&self, number: usize) -> Result<&Program, Outcome> {
        let started = number.checked_sub(1).and_then(|index| self.programs.get(index));
        let none = || Outcome::Refused(format!("there is no program {number}"));
        Ok(&started.ok_or_else(none)?.program)
    }

    fn signal(&self, number: usize, signal: Signal) -> Result<(), Outcome> {
        let program = self.program(number)?;
        let raw = rustix::process::Signal::from_named_raw(signal as i32);
        let raw = raw.ok_or_else(|| Outcome::Refused(format!("{signal} cannot be sent")))?;
        program.signal(raw).map_err(|errno| at(number, errno))
    }

    fn programs_of(&self, wanted: Side) -> String {
        let mut list = String::new();
        for (index, Started { program, side, command }) in self.programs.iter().enumerate() {
            if *side == wanted {
                let how = match program.exit() {
                    None => format!("runs, pid {}", program.pid()),
                    Some(exit) => words(exit),
                };
                let _ = writeln!(list, "{:>3}  {how}: {command}", index + 1);
            }
        }
        if list.is_empty() {
            format!("no program was started in the {wanted}'s host")
        } else {
            list
        }
    }

    fn reset(&self) -> Carried {
        let given: usize =
            self.families.iter().map(|family| self.two.reset_connections(*family)).sum();
        if given == 0 {
            return Err(Outcome::Refused("there is no connection that the wire has seen".into()));
        }
        Ok(None)
    }

    fn rules_in_force(&self) -> String {
        let mut list = String::new();
        for (id, rule) in self.two.wire.rules() {
            let number = self.rules.iter().find(|(_, known)| *known == id);
            let number = number.map_or(0, |(number, _)| *number);
            let _ = writeln!(list, "{number:>3}  {rule}");
        }
        if list.is_empty() { "no rules: all packets are delivered".into() } else { list }
    }

    fn remove(&mut self, number: usize) -> Result<(), Outcome> {
        let at = self.rules.iter().position(|(known, _)| *known == number);
        let at = at.ok_or_else(|| Outcome::Refused(format!("there is no rule {number}")))?;
        let (_, id) = self.rules.remove(at);
        self.two.wire.remove(id);
        Ok(())
    }

    /// The sockets of a host, each once: one that is bound to `[::]` belongs to both families.
    fn sockets(&self, side: Side) -> Vec<TcpSocket> {
        let host = self.two.host(side);
        let all = self.families.iter().flat_map(|family| host.sockets(*family));
        let mut seen = BTreeSet::new();
        all.filter(|socket| seen.insert((socket.local, socket.remote, socket.inode))).collect()
    }

    fn states(&self) -> String {
        let mut list = String::new();
        for side in Side::BOTH {
            let host = self.two.host(side);
            if !host.is_on() {
                let _ = writeln!(list, "{side}  is off");
            }
            for socket in self.sockets(side) {
                let (state, queues) = (socket.state.word(), (socket.rqueue, socket.wqueue));
                let queues = if socket.state == TcpState::Listen {
                    format!("{} of {} wait to be accepted", queues.0, u64::from(queues.1) + 1)
                } else {
                    format!("unread {} unacknowledged {}", queues.0, queues.1)
                };
                let (local, remote) = (socket.local, socket.remote);
                let _ = writeln!(list, "{side}  {state:<11}  {local} → {remote}  {queues}");
            }
        }
        if list.is_empty() { "no sockets".into() } else { list }
    }

    fn expect_text(
        &mut self,
        text: &str,
        patience: Duration,
        is_interrupted: &dyn Fn() -> bool,
    ) -> Result<(), Outcome> {
        let wanted = |moment: &tcpecho_lab::Moment| {
            matches!(&moment.what, What::Output { line, .. } if line.contains(text)).then_some(())
        };
        let timeline = &self.two.timeline;
        let what = format!("a line with {text:?}");
        let find = |turn| timeline.find(self.heard, turn, &what, wanted);
        (self.heard, ()) = in_turns(patience, is_interrupted, find)?;
        Ok(())
    }

    fn expect_packet(
        &mut self,
        packet: &Matcher,
        patience: Duration,
        is_interrupted: &dyn Fn() -> bool,
    ) -> Result<(), Outcome> {
        let wanted = |moment: &tcpecho_lab::Moment| match &moment.what {
            What::Packet(seen) if seen.verdict.is_first_sight() => {
                packet.matches(seen.from, &seen.packet).then_some(())
            }
            _ => None,
        };
        let (timeline, what) = (&self.two.timeline, packet.to_string());
        let find = |turn| timeline.find(self.seen, turn, &what, wanted);
        (self.seen, ()) = in_turns(patience, is_interrupted, find)?;
        Ok(())
    }

    /// Waits until a socket has the state, or has had it since the last command that changed
    /// something: on a busy machine the state may have passed already. The kernel has no event for
    /// it; the tables are polled every few milliseconds.
    fn expect_state(
        &self,
        side: Side,
        state: TcpState,
        patience: Duration,
        is_interrupted: &dyn Fn() -> bool,
    ) -> Result<(), Outcome> {
        let end = Instant::now() + patience;
        let has = || self.sockets(side).iter().any(|socket| socket.state == state);
        while !has() && !self.has_had(side, state) {
            if Instant::now() > end {
                let what = format!("{side}: no socket in {state} within {patience:?}");
                return Err(Outcome::Unmet(what));
            }
            unless(is_interrupted)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn has_had(&self, side: Side, state: TcpState) -> bool {
        self.two.timeline.since(self.changed).iter().any(|moment| {
            moment.place == Place::Host(side)
                && matches!(moment.what, What::State { now: Some(now), .. } if now == state)
        })
    }
}

/// How long a command waits before it looks for Ctrl-C.
const TURN: Duration = Duration::from_millis(50);

/// Waits in turns until `wait` succeeds, the time has passed, the event has become impossible, or
/// Ctrl-C is pressed.
fn in_turns<T>(
    patience: Duration,
    is_interrupted: &dyn Fn() -> bool,
    mut wait: impl FnMut(Duration) -> Result<T, TimedOut>,
) -> Result<T, Outcome> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match wait(left.min(TURN)) {
            Ok(found) => return Ok(found),
            Err(late) if left <= TURN || late.ended.is_some() => {
                return Err(unmet(TimedOut { after: patience, ..late }));
            }
            Err(_) => unless(is_interrupted)?,
        }
    }
}

/// Ends a command that waits if Ctrl-C was pressed.
fn unless(is_interrupted: &dyn Fn() -> bool) -> Result<(), Outcome> {
    if is_interrupted() { Err(unmet("interrupted")) } else { Ok(()) }
}

fn unmet(why: impl std::fmt::Display) -> Outcome {
    Outcome::Unmet(why.to_string())
}

fn refused(why: impl std::fmt::Display) -> Outcome {
    Outcome::Refused(why.to_string())
}

fn at(number: usize, errno: rustix::io::Errno) -> Outcome {
    Outcome::Refused(format!("program {number}: {}", tcpecho_os::errno::words(errno)))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}")
}

/// Returns a line wrapped at words. What does not fit begins below the second column of the line, or two columns further in.
fn hanging(line: &str, width: usize) -> String {
    let second = |at: usize| line.len() - line[at..].trim_start().len();
    let column = line.find("  ").map(second).filter(|column| *column <= width / 2).unwrap_or(2);
    let mut page = String::new();
    hang(&mut page, "", &" ".repeat(column), line, width);
    page.trim_end().to_owned()
}

fn help() -> String {
    let mut text = String::new();
    for row in COMMANDS {
        for (arguments, what) in row.forms {
            let also = row.also.map(|also| format!("; also: {also}")).unwrap_or_default();
            let (what, form) = (with_limit(what), format!("{} {arguments}", row.name));
            let _ = writeln!(text, "{form:<34} {what}{also}");
        }
    }
    text.push_str("Limits:\n");
    for (what, limit) in limits() {
        let _ = writeln!(text, "{what:<34} {limit}");
    }
    let packets: Vec<&str> = packet_words().collect();
    let _ = writeln!(
        text,
        "Rules for packets: VERB [next [N] | 3rd | 10% of | all] PACKET [from client|server] [port \
         N] [longer than N] [containing TEXT], where PACKET is one of {}, and VERB is one of:",
        packets.join(", ")
    );
    for (verb, what) in VERBS {
        let _ = writeln!(text, "{verb:<10} {what}");
    }
    text
}

/// Reads from the terminal, even if the commands come from a file; without a terminal it does not
/// wait.
fn wait_for_enter(is_interrupted: &dyn Fn() -> bool) -> Result<(), Outcome> {
    let Ok(terminal) = File::open("/dev/tty") else { return Ok(()) };
    eprint!("[Enter] ");
    let turn = Timespec { tv_sec: 0, tv_nsec: TURN.subsec_nanos().into() };
    while poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&turn)) == Ok(0) {
        unless(is_interrupted)?;
    }
    let _ = std::io::BufReader::new(terminal).read_line(&mut String::new());
    Ok(())
}
