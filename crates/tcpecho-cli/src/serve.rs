//! `tcpecho serve`: the echo server as a program (UNP 5.2 and 5.14), with its signals, limits and log.

mod args;
mod calls;
mod faults;
mod speech;

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    stdio,
};
use tcpecho::{
    Diagnosis, Endpoint, Engine, Family, Fault, ListenerFault, ResolveError, Server,
    internal::{PLAYER_DESCRIPTORS, explain_unconnectable, is_local, is_port},
};
use tcpecho_os::{limits::raise_descriptors, stdio::stdout_was_closed};

pub(crate) use self::args::ServeArgs;
#[cfg(feature = "fuzzing")]
pub use self::args::fuzzed_listener;
use self::{
    args::{Choice, Listen, Plan},
    speech::Speech,
};
use crate::{
    calls::Calls,
    exit,
    log::{Log, write_now},
    output,
    signals::Signals,
    tell::Failure,
    units::counted,
    width::{fitted, hang, stdout_columns},
};

/// What the server listens to. The last two are taken so that they do nothing.
const SIGNALS: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];
/// Those of them that end it.
const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
/// How long a log that is not read may hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Serves until a signal ends it. The notes are about the environment.
pub(crate) fn run(args: &ServeArgs, notes: Vec<String>) -> ExitCode {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            let failure = Failure::usage(sentence.to_string());
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    if matches!(plan.engine, Choice::List) {
        return list_engines();
    }
    if plan.lists_faults {
        return faults::list();
    }
    let (listen, foreign) = match addresses(&plan.listen) {
        Ok(found) => found,
        Err(failure) => return ExitCode::from(failure.tell(exit::NOT_POSSIBLE)),
    };
    let notes = notes.into_iter().chain(foreign);
    match plan.engine {
        Choice::List => list_engines(),
        Choice::Auto => {
            let (engine, refused) = Engine::best();
            let unavailable = refused.into_iter().map(|(better, why)| {
                format!("engine {}: {} is unavailable: {why}", engine.name, better.name)
            });
            serve(&plan, &listen, engine, &notes.chain(unavailable).collect::<Vec<_>>())
        }
        Choice::Named(engine) => serve(&plan, &listen, engine, &notes.collect::<Vec<_>>()),
    }
}

/// Returns the addresses to listen on, in the order of the arguments, and notes about addresses that are left out: those
/// of a name that are not addresses of this host.
fn addresses(listen: &[Listen]) -> Result<(Vec<SocketAddr>, Vec<String>), Box<Failure>> {
    let (mut found, mut notes) = (Vec::new(), Vec::new());
    for listen in listen {
        let endpoint = match listen {
            Listen::Addr(addr) => {
                found.push(*addr);
                continue;
            }
            Listen::Name(endpoint) => endpoint,
        };
        let addrs = endpoint.resolve(Family::Any).map_err(|error| unresolved(endpoint, error))?;
        let (local, foreign): (Vec<_>, Vec<_>) =
            addrs.into_iter().partition(|addr| is_local(addr.ip()));
        // If none is local, bind(2) fails, and the reason is explained.
        if local.is_empty() {
            found.extend(foreign);
            continue;
        }
        found.extend(local);
        let note = |addr: SocketAddr| {
            let (host, ip) = (&endpoint.host, addr.ip());
            format!("{host}: not listening on {ip}, which is not an address of this host")
        };
        notes.extend(foreign.into_iter().map(note));
    }
    for addr in &found {
        if let Some(reasons) = explain_unconnectable(addr.ip()) {
            return Err(Box::new(Failure::useless_listener(*addr, reasons)));
        }
    }
    Ok((found, notes))
}

/// A name to listen on has no address. A word that is a service may have been meant as the port.
fn unresolved(endpoint: &Endpoint, error: ResolveError) -> Box<Failure> {
    let mut diagnosis = Diagnosis::of_lookup(error);
    if is_port(&endpoint.host) {
        let hint = format!("; for the port of this service, write :{}", endpoint.host);
        diagnosis.advice.push_str(&hint);
    }
    Box::new(Failure::unresolved(diagnosis))
}

fn list_engines() -> ExitCode {
    let (mut table, width) = (String::new(), stdout_columns().unwrap_or(usize::MAX));
    for engine in tcpecho::ENGINES {
        let state = engine
            .probe()
            .map_or_else(|why| format!("unavailable: {why}"), |()| "available".into());
        let (first, text) =
            (format!("{:<10} ", engine.name), format!("{:<42} {state}", engine.summary));
        hang(&mut table, &first, &" ".repeat(first.len()), &text, width);
    }
    ExitCode::from(output::print_text(&table, None).map_or_else(|why| why.status(0), |()| 0))
}

fn serve(
    plan: &Plan,
    listen: &[SocketAddr],
    engine: &'static Engine,
    notes: &[String],
) -> ExitCode {
    // Before any thread is started: all of them inherit the mask.
    let signals = match Signals::catch(&SIGNALS) {
        Ok(signals) => signals,
        Err(errno) => {
            let failure = Failure::new("signalfd", format!("signalfd: {errno}"));
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    let descriptors = Descriptors::count(plan, listen.len(), engine);
    let Some(room) = descriptors.room() else {
        let failure = Failure::new("open", descriptors.too_few(engine));
        return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
    };
    let most = plan.max_connections.unwrap_or(engine.max_connections.min(room));
    let speech = Speech::new(plan.log, plan.log.log(stdio::stderr()));
    for note in notes {
        speech.note(note);
    }
    if most > room || (most == room && room < engine.max_connections) {
        speech.warn(&descriptors.limits(most, room));
    }
    let calls = plan.calls.then(Calls::new);
    let server = match start(plan, listen, engine, most, &speech) {
        Ok(server) => server,
        Err(error) => {
            speech.failed(&error);
            speech.flush(LAST_WORDS);
            return ExitCode::from(exit::NOT_POSSIBLE);
        }
    };
    let watcher = calls.map(|calls| calls::Watcher::start(&server, calls, &speech));
    if let Some(fault) = &plan.fault {
        speech.fault(&fault.to_string(), server.seed());
    }
    let is_refused = matches!(plan.fault, Some(Fault::Listener(ListenerFault::Refuse)));
    let stdout = announce(&server, is_refused, &speech);
    let status = attend(&server, &signals, plan, &speech);
    drop(server);
    drop(watcher);
    if let Some(stdout) = stdout {
        stdout.flush(LAST_WORDS);
    }
    speech.flush(LAST_WORDS);
    status
}

fn start(
    plan: &Plan,
    listen: &[SocketAddr],
    engine: &'static Engine,
    most: usize,
    speech: &Speech,
) -> Result<Server, tcpecho::Error> {
    let told = speech.clone();
    let mut builder = Server::builder()
        .engine(engine)
        .workers(plan.workers)
        .backlog(plan.backlog)
        .max_connections(most)
        .idle_timeout(plan.idle_timeout)
        .user_timeout(plan.user_timeout)
        .keepalive(plan.keepalive)
        .observe(move |event| told.event(event));
    for addr in listen {
        builder = builder.listen(*addr);
    }
    builder = match &plan.fault {
        Some(Fault::Connections(rules)) => builder.fault_plan(rules),
        Some(Fault::Listener(fault)) => builder.listener_fault(*fault),
        _ => builder,
    };
    if let Some(seed) = plan.seed {
        builder = builder.seed(seed);
    }
    builder.start()
}

/// Says on stdout that it is ready, one line for each address, without waiting for a reader. What stdout does not take now
/// is written when it does; where it cannot be written at all, or was closed when the program started, stderr says it,
/// whatever the form of the log.
fn announce(server: &Server, is_refused: bool, speech: &Speech) -> Option<Log> {
    let (engine, workers, backlog) = (server.engine().name, server.workers(), server.backlog());
    let line = |addr| {
        if is_refused {
            return format!("bound to {addr}, not listening: connections are refused\n");
        }
        format!("listening on {addr} engine={engine} workers={workers} backlog={backlog}\n")
    };
    let lines: String = server.addrs().iter().map(line).collect();
    let lines = fitted(&lines, stdout_columns());
    // Descriptor 1 would be /dev/null then.
    let closed = stdout_was_closed().then_some(Errno::BADF);
    match closed.map_or_else(|| write_now(stdio::stdout(), lines.as_bytes()), Err) {
        Ok(written) if written == lines.len() => None,
        Ok(written) => {
            let stdout = Log::to(stdio::stdout());
            stdout.line(lines[written..].trim_end_matches('\n'));
            Some(stdout)
        }
        Err(errno) => {
            for line in lines.lines() {
                speech
                    .note(&format!("write to stdout: {}; {line}", tcpecho_os::errno::words(errno)));
            }
            None
        }
    }
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum Stage {
    Serving,
    /// Until then.
    Draining(Instant),
    Closing,
}

/// Waits for signals and for the server's end. The first one drains, a second one or the deadline closes.
fn attend(server: &Server, signals: &Signals, plan: &Plan, speech: &Speech) -> ExitCode {
    let mut stage = Stage::Serving;
    loop {
        let (ended, asked) = wait(server, signals, stage);
        if ended {
            speech.counters(&server.stats());
            let Some(error) = server.failure() else { return ExitCode::SUCCESS };
            speech.failed(&error);
            return ExitCode::from(exit::NOT_POSSIBLE);
        }
        let ending = asked.filter(|signal| ENDING.contains(signal)).map(Signal::as_str);
        match (stage, ending) {
            _ if asked == Some(Signal::SIGUSR1) => speech.counters(&server.stats()),
            (Stage::Serving, Some(cause)) => {
                speech.draining(cause, plan.drain_timeout);
                server.begin_drain();
                stage = Stage::Draining(Instant::now() + plan.drain_timeout);
            }
            (Stage::Draining(_), Some(cause)) => stage = close(server, speech, cause),
            (Stage::Draining(end), None) if Instant::now() >= end => {
                stage = close(server, speech, "the drain timeout");
            }
            _ => {}
        }
    }
}

fn close(server: &Server, speech: &Speech, cause: &str) -> Stage {
    speech.closing(cause, server.stats().active);
    server.close();
    Stage::Closing
}

/// Whether the server has ended, and which signal came.
fn wait(server: &Server, signals: &Signals, stage: Stage) -> (bool, Option<Signal>) {
    let left = match stage {
        Stage::Draining(end) => {
            Timespec::try_from(end.saturating_duration_since(Instant::now())).ok()
        }
        Stage::Serving | Stage::Closing => None,
    };
    let (server, asked) = (server.as_fd(), signals.as_fd());
    let mut watched = [PollFd::new(&server, PollFlags::IN), PollFd::new(&asked, PollFlags::IN)];
    match poll(&mut watched, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => (!watched[0].revents().is_empty(), signals.next()),
        Err(_) => (true, None),
    }
}

/// What the limit on descriptors (RLIMIT_NOFILE) leaves for connections.
struct Descriptors {
    limit: u64,
    open: u64,
    needed: u64,
}

impl Descriptors {
    /// Raises the limit as far as it goes and counts. Call it before the server is started.
    fn count(plan: &Plan, listeners: usize, engine: &Engine) -> Self {
        let limit = raise_descriptor_limit();
        // Without /proc, the standard streams and the signals.
        let open =
            std::fs::read_dir("/proc/self/fd").map_or(4, |entries| entries.count() as u64 - 1);
        let needed = engine.descriptors(listeners, plan.workers);
        // `--calls` asks the kernel through a socket of its own.
        let player = if plan.fault.is_some() { PLAYER_DESCRIPTORS } else { 0 };
        Descriptors { limit, open, needed: (needed + player) as u64 + u64::from(plan.calls) }
    }

    /// Connections that there can be at a time, if there can be any.
    fn room(&self) -> Option<usize> {
        let room = self.limit.saturating_sub(self.open + self.needed);
        (room > 0).then_some(usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn too_few(&self, engine: &Engine) -> String {
        let Descriptors { limit, open, needed } = self;
        format!(
            "{limit} descriptors are too few for a connection: {open} are open and the engine {} needs {needed} \
             besides; raise the limit to {} or more (ulimit -n)",
            engine.name,
            open + needed + 1
        )
    }

    fn limits(&self, most: usize, room: usize) -> String {
        let (limit, others) = (self.limit, self.open + self.needed);
        let text = format!(
            "the limit of {limit} descriptors (ulimit -n), {others} of which the server itself needs, leaves {}",
            counted(room as u64, "connection", "connections")
        );
        if most > room {
            format!(
                "{text}; beyond them clients wait in the accept queue, although {most} are allowed"
            )
        } else {
            format!("{text} at a time")
        }
    }
}

/// As many descriptors as the hard limit allows: each connection is one. Gives the limit then in force.
fn raise_descriptor_limit() -> u64 {
    // Where a sandbox does not tell it, this is what most processes have.
    raise_descriptors().unwrap_or(1024)
}
