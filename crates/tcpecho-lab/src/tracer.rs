//! Traces the system calls of a program, of its threads and of its children, and can inject
//! failures.
//!
//! Each traced program has a thread that traces it (ptrace(2)) from its first instruction to the
//! exit of its last child. The program notices only the time: an interrupted call is restarted or
//! fails as its handler says, and a signal without a handler, which the kernel delivers only
//! because of the tracing, interrupts nothing.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::io::Errno;
use tcpecho_lab_os::exec_gate::ExecGate;
use tcpecho_os::failed::Failed;

use crate::timeline::{Place, Timeline};

mod memory;
mod names;
mod signals;
mod watch;
mod words;

pub(crate) use names::signal as signal_name;
pub(crate) use watch::number_inside;
use watch::{Log, Watch};

/// An injected result: the call is not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    call: String,
    when: When,
    errno: Errno,
}

/// Which of the calls of a name fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The nth call of the whole program, counted from 1.
    Nth(u32),
    /// Every call.
    Every,
}

/// The task of a tracer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Whether all calls are recorded; otherwise only the injected ones are.
    pub(crate) calls: bool,
    /// Whether reads and writes of the standard streams are recorded, too.
    pub(crate) streams: bool,
    pub(crate) injections: Vec<Injection>,
}

impl Injection {
    pub(crate) fn new(call: &str, when: When, errno: Errno) -> Self {
        Injection { call: call.into(), when, errno }
    }

    /// `accept` is also accept4(2), and so on: a library may use the one for the other.
    fn is_of(&self, name: &str) -> bool {
        let kin: &[&str] = match self.call.as_str() {
            "accept" => &["accept", "accept4"],
            "send" => &["sendto", "sendmsg", "write", "writev"],
            "recv" => &["recvfrom", "recvmsg", "read", "readv"],
            "poll" => &["poll", "ppoll"],
            "select" => &["select", "pselect6"],
            "epoll_wait" => &["epoll_wait", "epoll_pwait", "epoll_pwait2"],
            "fork" => &["fork", "vfork", "clone", "clone3"],
            "waitpid" | "wait" => &["wait4"],
            _ => return self.call == name,
        };
        kin.contains(&name)
    }
}

/// The threads of a program that SIGSTOP has stopped. `/proc` reports a stopped tracee as `t`,
/// whatever the reason.
#[derive(Debug, Default)]
pub(crate) struct Still(Mutex<HashSet<i32>>);

impl Still {
    pub(crate) fn has(&self, tid: i32) -> bool {
        self.lock().contains(&tid)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that traces a program.
pub(crate) struct Tracer {
    thread: JoinHandle<Result<(), Failed>>,
    pub(crate) still: Arc<Still>,
}

impl Tracer {
    /// Waits for the program that will start at the other end of the gate, which is passed with
    /// [`tcpecho_lab_os::host_init::Start`].
    pub(crate) fn begin(
        program: Arc<str>,
        wanted: Wanted,
        place: Place,
        timeline: &Timeline,
    ) -> Result<(Self, OwnedFd), Failed> {
        if tcpecho_os::signal::is_ignored(rustix::process::Signal::CHILD.as_raw()) {
            // The kernel would reap the tracees before the tracer learns of their exits.
            let operation = "trace system calls while SIGCHLD is ignored here".into();
            return Err(Failed { operation, errno: Errno::CHILD });
        }
        let (gate, theirs) = ExecGate::new().map_err(Failed::at("socketpair"))?;
        let still = Arc::<Still>::default();
        let log = Log { program, place, timeline: timeline.clone() };
        let watch = Watch::new(log, wanted, Arc::clone(&still));
        let thread = std::thread::Builder::new().name("tracer".into());
        let thread =
            thread.spawn(move || watch.run(gate)).map_err(Failed::at_io("start a thread"))?;
        Ok((Tracer { thread, still }, theirs))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the last of the program's processes has exited; returns the error that prevented
    /// the tracing, if any.
    pub(crate) fn join(self) -> Result<(), Failed> {
        self.thread.join().unwrap_or_else(|_| {
            Err(Failed { operation: "the tracer's thread".into(), errno: Errno::IO })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names under which a C library may make the call, and no others.
    #[test]
    fn an_injection_is_of_every_call_that_may_stand_for_it() {
        for (call, names) in [
            ("accept", &["accept", "accept4"][..]),
            ("send", &["sendto", "sendmsg", "write", "writev"]),
            ("recv", &["recvfrom", "recvmsg", "read", "readv"]),
            ("poll", &["poll", "ppoll"]),
            ("select", &["select", "pselect6"]),
            ("epoll_wait", &["epoll_wait", "epoll_pwait", "epoll_pwait2"]),
            ("fork", &["fork", "vfork", "clone", "clone3"]),
            ("waitpid", &["wait4"]),
            ("wait", &["wait4"]),
            ("wait4", &["wait4"]),
            ("accept4", &["accept4"]),
            ("connect", &["connect"]),
            ("close", &["close"]),
        ] {
            let injection = Injection::new(call, When::Every, Errno::INTR);
            for name in names {
                assert!(injection.is_of(name), "{call}: {name}");
            }
            for name in ["socket", "bind", "listen", "shutdown", "waitid", "sendfile"] {
                assert!(!injection.is_of(name), "{call}: {name}");
            }
        }
    }
}
