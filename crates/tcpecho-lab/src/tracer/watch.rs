//! The tracing thread: handles each stop of each thread of the program.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;
use tcpecho_lab_os::exec_gate::ExecGate;
use tcpecho_lab_os::ptrace::{Event, Position, Tracees, is_restart};
use tcpecho_lab_os::system_call::{self, RESTART, SIGRETURN};
use tcpecho_os::failed::Failed;

use super::memory::Live;
use super::words::Call;
use super::{Still, Wanted, When, names, signals};
use crate::timeline::{CallMoment, Outcome, Phase, Place, Timeline, What};

/// The destination of all records.
pub(super) struct Log {
    pub(super) program: Arc<str>,
    pub(super) place: Place,
    pub(super) timeline: Timeline,
}

/// The state of the tracing thread.
pub(super) struct Watch {
    log: Log,
    wanted: Wanted,
    still: Arc<Still>,
    /// The program's first process.
    first: i32,
    /// Whether execve has happened: the calls before were the lab's own.
    runs: bool,
    tasks: HashMap<i32, Task>,
    /// The number of times that each injection has met its call.
    met: Vec<u32>,
}

/// A thread of the program or of one of its children.
#[derive(Default)]
struct Task {
    label: Option<i32>,
    /// The call that it is in.
    call: Option<Entered>,
    /// The call that a signal interrupted and that may be restarted.
    interrupted: Option<Entered>,
    /// The call that has just failed with EINTR, and the address where the program continues.
    failed: Option<(Entered, u64)>,
    /// Whether it returns from a signal handler.
    leaves_handler: bool,
}

/// A call that was entered.
struct Entered {
    number: i64,
    call: Call,
    text: String,
    /// Whether it is recorded.
    shown: bool,
    /// Whether its beginning was recorded.
    begun: bool,
    injected: Option<Errno>,
}

impl Log {
    fn call(&self, label: Option<i32>, entered: &Entered, phase: Phase) {
        let (name, arguments) = (entered.call.name, entered.text.clone());
        let (program, injected) = (Arc::clone(&self.program), entered.injected.is_some());
        let call = CallMoment { program, task: label, name, arguments, phase, injected };
        self.timeline.record(self.place, What::Call(call));
    }

    fn outcome(&self, label: Option<i32>, entered: &Entered, outcome: Outcome) {
        match (entered.shown, entered.begun) {
            (true, true) => self.call(label, entered, Phase::Returns(outcome)),
            (true, false) => self.call(label, entered, Phase::Whole(outcome)),
            (false, _) => {}
        }
    }
}

impl Watch {
    pub(super) fn new(log: Log, wanted: Wanted, still: Arc<Still>) -> Self {
        let met = vec![0; wanted.injections.len()];
        Watch { log, wanted, still, first: 0, runs: false, tasks: HashMap::new(), met }
    }

    /// Runs from before the program's first instruction to the exit of the last of its processes.
    pub(super) fn run(mut self, gate: ExecGate) -> Result<(), Failed> {
        tcpecho_os::thread::block_signals();
        let tracees = Tracees::new();
        let Some(pid) = gate.process().map_err(Failed::at("recvmsg"))? else { return Ok(()) };
        self.first = pid;
        let seized = tracees.seize(pid);
        if seized.is_ok() && self.wanted.calls {
            let program = Arc::clone(&self.log.program);
            self.log.timeline.record(self.log.place, What::Observed { program });
        }
        gate.answer(seized);
        seized.map_err(Failed::at("ptrace(PTRACE_SEIZE)"))?;
        while let Some((tid, event)) = tracees.wait().map_err(Failed::at("waitpid"))? {
            self.still.lock().remove(&tid);
            let mut task = self.tasks.remove(&tid).unwrap_or_else(|| self.new_task(tid));
            if !matches!(event, Event::Ended(_)) {
                self.obey(&tracees, tid, &mut task, event);
                self.tasks.insert(tid, task);
            }
        }
        Ok(())
    }

    fn new_task(&self, tid: i32) -> Task {
        let label = if tid == self.first { None } else { number_inside(tid) };
        Task { label, ..Task::default() }
    }

    /// Handles a stop and continues the thread. A request fails only if the thread has been killed
    /// meanwhile, which does not matter: its exit is reported next.
    fn obey(&mut self, tracees: &Tracees, tid: i32, task: &mut Task, event: Event) {
        let mut signal = 0;
        match event {
            Event::SystemCall if !self.runs => {}
            Event::Executed if !self.runs => self.runs = true,
            Event::SystemCall => match tracees.position(tid) {
                Ok(Position::Enters { number, arguments }) => {
                    self.enters(tracees, tid, task, (number, arguments));
                }
                Ok(Position::Leaves { value, instruction }) => {
                    self.leaves(tracees, tid, task, value, instruction);
                }
                Ok(Position::Elsewhere) | Err(Errno::SRCH) => {}
                Err(errno) => {
                    let why = Failed::at("ptrace(PTRACE_GET_SYSCALL_INFO)")(errno).to_string();
                    self.log.timeline.record(self.log.place, What::Trouble(why));
                }
            },
            Event::Signal(number) => signal = self.signalled(tracees, tid, task, number),
            Event::Stopped => {
                self.still.lock().insert(tid);
                let _ = tracees.stay(tid);
                return;
            }
            // A thread other than the first has become the whole process and now has the first
            // one's number.
            Event::Executed if task.call.as_ref().is_some_and(|it| it.call.name != "execve") => {
                *task = Task { label: task.label, ..Task::default() };
            }
            Event::Executed | Event::Other | Event::Ended(_) => {}
        }
        let _ = if task.call.is_some() || task.leaves_handler {
            tracees.go_on_to_return(tid, signal)
        } else {
            tracees.go_on(tid, signal)
        };
    }

    fn enters(&mut self, tracees: &Tracees, tid: i32, task: &mut Task, made: (i64, [u64; 6])) {
        self.tell_failure(task);
        let (number, arguments) = made;
        task.leaves_handler = number == SIGRETURN;
        let is_again = |it: &mut Entered| {
            number == RESTART || (it.number, it.call.arguments) == (number, arguments)
        };
        if let Some(entered) = task.interrupted.take_if(is_again) {
            if entered.begun {
                self.log.call(task.label, &entered, Phase::EntersAgain);
            }
            task.call = Some(entered);
            return;
        }
        let Some(name) = system_call::name(number) else { return };
        let call = Call { name, arguments };
        let injected = self.injection(name).filter(|_| tracees.skip_call(tid).is_ok());
        let subject = Live(tid);
        let is_of_interest = call.is_of_interest(&subject, self.wanted.streams);
        if !is_of_interest && injected.is_none() {
            return;
        }
        let wanted = self.wanted.calls && is_of_interest;
        let shown = wanted || injected.is_some();
        let text = if shown { call.arguments(&subject) } else { String::new() };
        let begun = wanted && injected.is_none() && call.takes_time();
        let entered = Entered { number, call, text, shown, begun, injected };
        if begun {
            self.log.call(task.label, &entered, Phase::Enters);
        }
        if name == "exit_group" {
            self.log.outcome(task.label, &entered, Outcome::Never);
        }
        task.call = Some(entered);
    }

    fn leaves(&mut self, tracees: &Tracees, tid: i32, task: &mut Task, value: i64, at: u64) {
        if std::mem::take(&mut task.leaves_handler) && value == interrupted() {
            // What the program sees of a call that its handler does not restart.
            if let Some(entered) = task.interrupted.take() {
                self.log.outcome(task.label, &entered, Outcome::Failed(Errno::INTR));
            }
        }
        let Some(entered) = task.call.take() else { return };
        if let Some(errno) = entered.injected {
            let _ = tracees.set_result(tid, -i64::from(errno.raw_os_error()));
            self.log.outcome(task.label, &entered, Outcome::Failed(errno));
        } else if is_restart(value) {
            if entered.begun {
                self.log.outcome(task.label, &entered, Outcome::Interrupted);
            }
            task.interrupted = Some(entered);
        } else if value == interrupted() {
            task.failed = Some((entered, at));
        } else if entered.shown {
            self.log.outcome(task.label, &entered, outcome(&entered.call, tid, value));
        }
    }

    /// The signal that the thread gets: this one, or none.
    fn signalled(&mut self, tracees: &Tracees, tid: i32, task: &mut Task, signal: i32) -> i32 {
        let mut delivered = signal;
        if let Some((entered, at)) = task.failed.take() {
            let made = (entered.number, entered.call.arguments);
            // Without tracing the kernel would have discarded it, and the call would still be
            // waiting.
            let again =
                signals::is_idle(tid, signal) && tracees.make_again(tid, made, at) == Ok(true);
            if again {
                delivered = 0;
                if entered.begun {
                    self.log.outcome(task.label, &entered, Outcome::Interrupted);
                }
                task.interrupted = Some(entered);
            } else {
                task.failed = Some((entered, at));
                self.tell_failure(task);
            }
        }
        if self.wanted.calls {
            let (program, signal) = (Arc::clone(&self.log.program), names::signal(signal));
            let what = What::Signal { program, task: task.label, signal };
            self.log.timeline.record(self.log.place, what);
        }
        delivered
    }

    fn tell_failure(&self, task: &mut Task) {
        if let Some((entered, _)) = task.failed.take() {
            self.log.outcome(task.label, &entered, Outcome::Failed(Errno::INTR));
        }
    }

    /// The errno that this call fails with.
    fn injection(&mut self, name: &str) -> Option<Errno> {
        let mut chosen = None;
        for (injection, met) in self.wanted.injections.iter().zip(&mut self.met) {
            if injection.is_of(name) {
                *met = met.saturating_add(1);
                let is_due = injection.when == When::Every || injection.when == When::Nth(*met);
                chosen = chosen.or(is_due.then_some(injection.errno));
            }
        }
        chosen
    }
}

fn interrupted() -> i64 {
    -i64::from(Errno::INTR.raw_os_error())
}

fn outcome(call: &Call, tid: i32, value: i64) -> Outcome {
    if (-4095..0).contains(&value) {
        return Outcome::Failed(Errno::from_raw_os_error(-value as i32));
    }
    Outcome::Value(value, call.detail(&Live(tid), value))
}

/// A thread's number in its innermost PID namespace.
pub(crate) fn number_inside(tid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}
