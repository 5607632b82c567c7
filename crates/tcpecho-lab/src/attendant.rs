//! One thread for each host: it receives reports from the host's init and reads what the host's
//! programs write.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tcpecho_lab_os::host_init::{HostInit, NotStarted, Report, Start};
use tcpecho_os::failed::Failed;
use tcpecho_os::process::Exit;

use crate::program::{Child, Process};
use crate::side::Side;
use crate::timeline::{Place, Stream, Timeline, What};
use crate::tracer::{Still, Tracer};

/// A host's init and the thread that reads from it. Dropping it powers the host off.
pub(crate) struct Attendant {
    init: Arc<HostInit>,
    expected: Arc<Mutex<Expected>>,
    thread: Option<JoinHandle<()>>,
    tracers: Mutex<Vec<Tracer>>,
    programs: Pids,
}

/// The running programs, by their process numbers in the lab's PID namespace.
type Pids = Arc<Mutex<HashSet<i32>>>;

/// Programs that were requested and have not been reported yet.
#[derive(Default)]
struct Expected {
    last: u32,
    programs: HashMap<u32, Expectation>,
}

struct Expectation {
    name: Arc<str>,
    input: OwnedFd,
    outputs: [OwnedFd; 2],
    still: Option<Arc<Still>>,
    started: SyncSender<Result<Arc<Process>, NotStarted>>,
}

impl Attendant {
    pub(crate) fn new(init: HostInit, side: Side, timeline: &Timeline) -> Result<Self, Failed> {
        let (init, expected, programs) = (Arc::new(init), Arc::default(), Pids::default());
        let ear = Ear {
            init: Arc::clone(&init),
            expected: Arc::clone(&expected),
            place: Place::Host(side),
            timeline: timeline.clone(),
            running: HashMap::new(),
            programs: Arc::clone(&programs),
            mouths: Vec::new(),
            children: Vec::new(),
        };
        let thread = std::thread::Builder::new().name(side.to_string()).spawn(move || ear.listen());
        let thread = Some(thread.map_err(Failed::at_io("start a thread"))?);
        Ok(Attendant { init, expected, thread, tracers: Mutex::default(), programs })
    }

    /// Starts a program; `start` gets its number and its standard streams filled in.
    pub(crate) fn start(
        &self,
        name: Arc<str>,
        still: Option<Arc<Still>>,
        fill: impl FnOnce(u32, [BorrowedFd<'_>; 3]) -> Result<(), Errno>,
    ) -> Result<Arc<Process>, NotStarted> {
        let (their_input, input) = pipe()?;
        let (output, their_output) = pipe()?;
        let (error, their_error) = pipe()?;
        let (started, told) = sync_channel(1);
        let expectation = Expectation { name, input, outputs: [output, error], still, started };
        let id = {
            let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
            expected.last += 1;
            let id = expected.last;
            expected.programs.insert(id, expectation);
            id
        };
        let theirs = [&their_input, &their_output, &their_error].map(AsFd::as_fd);
        if let Err(errno) = fill(id, theirs) {
            self.expected.lock().unwrap_or_else(PoisonError::into_inner).programs.remove(&id);
            return Err(errno.into());
        }
        // The sender is dropped unused if the host is switched off meanwhile.
        told.recv().unwrap_or(Err(Errno::HOSTDOWN.into()))
    }

    /// Keeps a tracer until the host is off; removes those with nothing left to trace.
    pub(crate) fn keep(&self, tracer: Tracer) {
        let mut tracers = self.tracers.lock().unwrap_or_else(PoisonError::into_inner);
        for finished in tracers.extract_if(.., |tracer| tracer.is_finished()) {
            let _ = finished.join();
        }
        tracers.push(tracer);
    }

    /// The host's init.
    pub(crate) fn init(&self) -> Arc<HostInit> {
        Arc::clone(&self.init)
    }

    /// Whether the host has a process whose parent, a program, has exited; `false` where the kernel
    /// does not list children.
    pub(crate) fn has_orphans(&self) -> bool {
        let children = crate::program::children_of(self.init.pid());
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        children.iter().any(|(pid, state)| !matches!(state, 'Z' | 'X') && !programs.contains(pid))
    }

    pub(crate) fn ask(&self, start: &Start<'_>) -> Result<(), Errno> {
        self.init.start(start)
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.init.kill();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let tracers = self.tracers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for tracer in tracers.drain(..) {
            let _ = tracer.join();
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
}

/// The state of the thread.
struct Ear {
    init: Arc<HostInit>,
    expected: Arc<Mutex<Expected>>,
    place: Place,
    timeline: Timeline,
    /// By the process number inside the host.
    running: HashMap<i32, Arc<Process>>,
    programs: Pids,
    mouths: Vec<Mouth>,
    /// The running children of agents.
    children: Vec<(Arc<str>, Child)>,
}

/// A stream that a program writes to.
struct Mouth {
    pipe: OwnedFd,
    stream: Stream,
    process: Arc<Process>,
    /// The beginning of a line.
    rest: Vec<u8>,
    /// Children that the last lines tell of.
    born: Vec<Child>,
}

impl Ear {
    /// Ends when the host is off and everything that its programs wrote has been read. A host whose
    /// init cannot be read from any more is switched off.
    fn listen(mut self) {
        tcpecho_os::thread::block_signals();
        if let Err(errno) = self.listen_until_off() {
            let trouble = format!("host init: {}", tcpecho_os::errno::words(errno));
            self.timeline.record(self.place, What::Trouble(trouble));
            self.init.kill();
        }
        // Every process of the host has exited: the pipes hold all that will ever arrive.
        for mouth in 0..self.mouths.len() {
            while self.mouths[mouth].read(self.place, &self.timeline) {}
        }
        for process in std::mem::take(&mut self.running).into_values() {
            self.ended(&process, Exit::Killed(rustix::process::Signal::KILL.as_raw()));
        }
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).programs.clear();
    }

    fn listen_until_off(&mut self) -> Result<(), Errno> {
        loop {
            let ready = self.wait(None)?;
            let (streams, children) = ready[1..].split_at(self.mouths.len());
            self.ended_children(children);
            self.hear(streams);
            if ready[0] && !self.obey_report()? {
                return Ok(());
            }
        }
    }

    /// Returns what is readable: the init's socket first, then each stream, then the pidfd of each
    /// child, which is readable when the child has ended.
    fn wait(&self, timeout: Option<&Timespec>) -> Result<Vec<bool>, Errno> {
        let init: &HostInit = &self.init;
        let mut wanted = vec![PollFd::new(init, PollFlags::IN)];
        wanted.extend(self.mouths.iter().map(|mouth| PollFd::new(&mouth.pipe, PollFlags::IN)));
        let children = self.children.iter();
        wanted.extend(children.map(|(_, child)| PollFd::new(&child.pidfd, PollFlags::IN)));
        match poll(&mut wanted, timeout) {
            Ok(_) => Ok(wanted.iter().map(|wanted| !wanted.revents().is_empty()).collect()),
            Err(Errno::INTR) => Ok(vec![false; wanted.len()]),
            Err(errno) => Err(errno),
        }
    }

    fn hear(&mut self, ready: &[bool]) {
        let mut ready = ready.iter();
        let (place, timeline, children) = (self.place, &self.timeline, &mut self.children);
        self.mouths.retain_mut(|mouth| {
            let goes_on = !ready.next().is_some_and(|is| *is) || mouth.read(place, timeline);
            let name = &mouth.process.name;
            children.extend(mouth.born.drain(..).map(|child| (Arc::clone(name), child)));
            goes_on
        });
    }

    /// Records the children that have ended.
    fn ended_children(&mut self, ended: &[bool]) {
        let mut ended = ended.iter();
        let (place, timeline) = (self.place, &self.timeline);
        self.children.retain(|(program, child)| {
            let has_ended = ended.next().is_some_and(|is| *is);
            if has_ended {
                let (program, exit) = (Arc::clone(program), child.exit());
                let what = What::ChildExit { program, child: child.number, exit };
                timeline.record(place, what);
            }
            !has_ended
        });
    }

    /// Returns false when the host is off.
    fn obey_report(&mut self) -> Result<bool, Errno> {
        match self.init.report()? {
            Some(Report::Started { id, pid, pidfd }) => self.started(id, pid, pidfd),
            Some(Report::NotStarted { id, why }) => {
                if let Some(expectation) = self.expectation(id) {
                    let _ = expectation.started.send(Err(why));
                }
            }
            Some(Report::Ended { pid, exit }) => {
                if let Some(process) = self.running.remove(&pid) {
                    self.hear_last_words(&process)?;
                    self.ended(&process, exit);
                }
            }
            None => return Ok(false),
        }
        Ok(true)
    }

    fn expectation(&self, id: u32) -> Option<Expectation> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).programs.remove(&id)
    }

    fn started(&mut self, id: u32, pid: i32, pidfd: OwnedFd) {
        let Some(Expectation { name, input, outputs, still, started }) = self.expectation(id)
        else {
            return;
        };
        let process = Arc::new(Process::new(name, pidfd, input, still));
        let program = Arc::clone(&process.name);
        self.timeline.record(self.place, What::Started { program, pid: process.pid });
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).insert(process.pid);
        self.running.insert(pid, Arc::clone(&process));
        for (pipe, stream) in outputs.into_iter().zip([Stream::Out, Stream::Err]) {
            let process = Arc::clone(&process);
            self.mouths.push(Mouth { pipe, stream, process, rest: Vec::new(), born: Vec::new() });
        }
        let _ = started.send(Ok(process));
    }

    /// What a program wrote before its exit is recorded before its exit.
    fn hear_last_words(&mut self, process: &Arc<Process>) -> Result<(), Errno> {
        loop {
            let mut ready = self.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
            ready.remove(0);
            ready.truncate(self.mouths.len());
            for (mouth, ready) in self.mouths.iter().zip(&mut ready) {
                *ready &= Arc::ptr_eq(&mouth.process, process);
            }
            if !ready.contains(&true) {
                return Ok(());
            }
            self.hear(&ready);
        }
    }

    fn ended(&self, process: &Process, exit: Exit) {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).remove(&process.pid);
        let program = Arc::clone(&process.name);
        let at = self.timeline.record(self.place, What::Exit { program, exit });
        process.ended(at, exit);
    }
}

impl Mouth {
    /// Reads once; returns false at the end of the stream.
    fn read(&mut self, place: Place, timeline: &Timeline) -> bool {
        let mut buffer = [0; 16 * 1024];
        match rustix::io::read(&self.pipe, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => true,
            Err(errno) => {
                let name = &self.process.name;
                let why = format!("read the output of {name}: {}", tcpecho_os::errno::words(errno));
                timeline.record(place, What::Trouble(why));
                false
            }
            Ok(0) => {
                if !self.rest.is_empty() {
                    let rest = std::mem::take(&mut self.rest);
                    self.line(&rest, place, timeline);
                }
                false
            }
            Ok(length) => {
                self.split(&buffer[..length], place, timeline);
                true
            }
        }
    }

    /// A line that does not end is cut: memory must not grow with what a program writes.
    fn split(&mut self, bytes: &[u8], place: Place, timeline: &Timeline) {
        const LONGEST: usize = 64 * 1024;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend(part);
            if self.rest.ends_with(b"\n") || self.rest.len() > LONGEST {
                let line = std::mem::take(&mut self.rest);
                self.line(line.strip_suffix(b"\n").unwrap_or(&line), place, timeline);
            }
        }
    }

    fn line(&mut self, bytes: &[u8], place: Place, timeline: &Timeline) {
        let line = String::from_utf8_lossy(bytes).into_owned();
        let program = Arc::clone(&self.process.name);
        let (stream, text) = (self.stream, line.clone());
        // An agent's answer to `fork`.
        if let Some(number) = line.strip_prefix("ok ").and_then(|number| number.parse().ok()) {
            self.born.extend(Child::of(self.process.pid, number));
        }
        timeline.record(place, What::Output { program, stream, line });
        self.process.wrote(stream, text);
    }
}
