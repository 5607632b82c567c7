//! `tcpecho serve`: the echo server as a program (UNP 5.2 and 5.14), with its signals, limits and log.

mod args;
mod attend;
mod calls;
mod control;
mod faults;
mod gallery;
mod log_form;
mod speech;

use std::{fmt::Write, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use rustix::{io::Errno, stdio};
use tcpecho::{
    DEFAULT_PORT, Diagnosis, Endpoint, Engine, Family, Fault, ListenerFault, ResolveError, Server,
    internal::{PLAYER_DESCRIPTORS, explain_unconnectable, is_local, is_port},
};
use tcpecho_os::{errno::io_words, limits::raise_descriptors, stdio::stdout_was_closed};

pub(crate) use self::args::ServeArgs;
#[cfg(feature = "fuzzing")]
pub use self::args::fuzzed_listener;
use self::{
    args::{Choice, Listen, Plan, ReadyForm},
    attend::{Asking, Attended, attend},
    control::{Bound, CONTROL_DESCRIPTORS, Control},
    gallery::Gallery,
    speech::Speech,
};
use crate::{
    calls::Calls,
    exit,
    http::HTTP_DESCRIPTORS,
    locale::shown,
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
/// A row of the gallery is for tests, which have few connections at a time.
const FEW_FOR_A_ROW: usize = 100;
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
    if plan.gallery.is_some()
        && let Some(sentence) = gallery::misplaced(&listen)
    {
        return ExitCode::from(Failure::usage(sentence).tell(exit::NOT_POSSIBLE));
    }
    let unused = (plan.control.is_none() && args::has_token_variable())
        .then(|| "TCPECHO_CONTROL_TOKEN has no effect without --control (TCPECHO_CONTROL)".into());
    let notes = notes.into_iter().chain(foreign).chain(unused);
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
    let mut asking = Asking { signals, until_eof: plan.until_eof };
    let bound = match plan.control.as_ref().map(|control| Bound::bind(&control.place)).transpose() {
        Ok(bound) => bound,
        Err(why) => {
            return ExitCode::from(Failure::new("bind", why.0).tell(exit::NOT_POSSIBLE));
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
    let usual = if plan.gallery.is_some() { FEW_FOR_A_ROW } else { engine.max_connections };
    // Control needs a second descriptor for each connection. Half as many connections are still as usual.
    let usual = usual / descriptors.each as usize;
    if most > room || (most == room && room < usual) {
        speech.warn(&descriptors.limits(most, room));
    }
    if let Some(form) = plan.gallery {
        let mut gallery = match Gallery::start(plan, listen, engine, most, &speech) {
            Ok(gallery) => gallery,
            Err(error) => return failed(&error, plan, &speech),
        };
        speech.fault("gallery", gallery.seed());
        let ready = match form {
            ReadyForm::Json => gallery.json() + "\n",
            ReadyForm::Table => {
                shown(&gallery.table(stdout_columns()), &std::io::stdout()).into_owned()
            }
        };
        // The line with the ports is enough.
        let brief = ready.lines().next().unwrap_or_default();
        let stdout = announce(&ready, brief, &speech);
        let page = gallery.http.take();
        let status = attend(&gallery.servers, &mut asking, plan.drain_timeout, &speech, page);
        drop(gallery);
        return end(status, stdout, &speech);
    }
    let calls = plan.calls.then(Calls::new);
    let limits = Limits { engine, most, fault: plan.fault.clone(), seed: plan.seed };
    let server = match start(plan, listen, &limits, &speech) {
        Ok(server) => Arc::new(server),
        Err(error) => return failed(&error, plan, &speech),
    };
    let controlled = bound.as_ref().map(ToString::to_string);
    let control = match bound.map(|bound| control(bound, plan, &server, &speech)).transpose() {
        Ok(control) => control,
        Err(error) => {
            let failure = Failure::new("control", format!("--control: {}", io_words(&error)));
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    let watcher = calls.map(|calls| calls::Watcher::start(&server, calls, &speech));
    if let Some(fault) = &plan.fault {
        speech.fault(&fault.to_string(), server.seed());
    }
    let is_refused = matches!(plan.fault, Some(Fault::Listener(ListenerFault::Refuse)));
    let lines = ready_lines(&server, is_refused, controlled.as_deref());
    let fitted = fitted(&lines, stdout_columns());
    let stdout = announce(&fitted, &fitted, &speech);
    let attended = [Attended { server, speech: speech.clone() }];
    let status = attend(&attended, &mut asking, plan.drain_timeout, &speech, None);
    // Its thread has the server, too.
    drop(control);
    drop(attended);
    drop(watcher);
    end(status, stdout, &speech)
}

/// Tells why nothing is served.
fn failed(error: &tcpecho::Error, plan: &Plan, speech: &Speech) -> ExitCode {
    speech.failed(error);
    speech.flush(LAST_WORDS);
    let status = exit::NOT_POSSIBLE;
    if plan.gallery == Some(ReadyForm::Json) {
        return ExitCode::from(Failure::of_server(error).tell_object(status));
    }
    ExitCode::from(status)
}

/// Writes what has not been written yet, for a limited time.
fn end(status: ExitCode, stdout: Option<Log>, speech: &Speech) -> ExitCode {
    if let Some(stdout) = stdout {
        stdout.flush(LAST_WORDS);
    }
    speech.flush(LAST_WORDS);
    status
}

fn control(
    bound: Bound,
    plan: &Plan,
    server: &Arc<Server>,
    speech: &Speech,
) -> std::io::Result<Control> {
    let token = plan.control.as_ref().and_then(|control| control.token.clone());
    let listener_fault = match plan.fault {
        Some(Fault::Listener(fault)) => Some(fault),
        _ => None,
    };
    Control::start(bound, token, server, listener_fault, speech)
}

/// What one server has of its own, beside its addresses.
struct Limits {
    engine: &'static Engine,
    /// The most connections.
    most: usize,
    fault: Option<Fault>,
    seed: Option<u64>,
}

fn start(
    plan: &Plan,
    listen: &[SocketAddr],
    limits: &Limits,
    speech: &Speech,
) -> Result<Server, tcpecho::Error> {
    let told = speech.clone();
    let mut builder = Server::builder()
        .keep_sessions(0)
        .engine(limits.engine)
        .workers(plan.workers)
        .backlog(plan.backlog)
        .max_connections(limits.most)
        .idle_timeout(plan.idle_timeout)
        .user_timeout(plan.user_timeout)
        .keepalive(plan.keepalive)
        .track_sessions(plan.control.is_some())
        .observe(move |event| told.event(event));
    if listen.is_empty() {
        builder = builder.listen_everywhere(DEFAULT_PORT);
    }
    for addr in listen {
        builder = builder.listen(*addr);
    }
    builder = match &limits.fault {
        Some(Fault::Connections(rules)) => builder.fault_plan(rules),
        Some(Fault::Listener(fault)) => builder.listener_fault(*fault),
        _ => builder,
    };
    if let Some(seed) = limits.seed {
        builder = builder.seed(seed);
    }
    builder.start()
}

/// One line for each address, and one for control.
fn ready_lines(server: &Server, is_refused: bool, controlled: Option<&str>) -> String {
    let (engine, workers, backlog) = (server.engine().name, server.workers(), server.backlog());
    let line = |addr| {
        if is_refused {
            return format!("bound to {addr}, not listening: connections are refused\n");
        }
        format!("listening on {addr} engine={engine} workers={workers} backlog={backlog}\n")
    };
    let mut lines: String = server.addrs().iter().map(line).collect();
    if let Some(place) = controlled {
        let _ = writeln!(lines, "control on {place}");
    }
    lines
}

/// Says on stdout that it is ready, without waiting for a reader. What stdout does not take now is written when it does;
/// where it cannot be written at all, or was closed when the program started, stderr gets `brief`, whatever the form of the log.
fn announce(lines: &str, brief: &str, speech: &Speech) -> Option<Log> {
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
            for line in brief.lines() {
                speech
                    .note(&format!("write to stdout: {}; {line}", tcpecho_os::errno::words(errno)));
            }
            None
        }
    }
}

/// What the limit on descriptors (RLIMIT_NOFILE) leaves for connections.
struct Descriptors {
    limit: u64,
    open: u64,
    needed: u64,
    /// How many servers share the rest.
    servers: u64,
    /// For each connection.
    each: u64,
}

impl Descriptors {
    /// Raises the limit as far as it goes and counts. Call it before the server is started.
    fn count(plan: &Plan, listeners: usize, engine: &Engine) -> Self {
        let limit = raise_descriptor_limit();
        // Without /proc, the standard streams and the signals.
        let open =
            std::fs::read_dir("/proc/self/fd").map_or(4, |entries| entries.count() as u64 - 1);
        let one = engine.descriptors(listeners, plan.workers);
        let has_control = plan.control.is_some();
        let needed = if plan.gallery.is_some() {
            // The page, and the connections with which backlog-full fills its queues.
            let others = HTTP_DESCRIPTORS + 3 * listeners;
            // Two rows serve connections in the engine, the others give them to the player at once.
            let engines = tcpecho::ENGINES.iter();
            let idle = engines.map(|engine| engine.descriptors(listeners, plan.workers)).min();
            let idle = idle.unwrap_or(one) + plan.workers + PLAYER_DESCRIPTORS;
            others + 2 * (one + PLAYER_DESCRIPTORS) + (gallery::rows() - 2) * idle
        } else {
            // `--calls` asks the kernel through a socket of its own.
            let player = if plan.fault.is_some() || has_control { PLAYER_DESCRIPTORS } else { 0 };
            let control = if has_control { CONTROL_DESCRIPTORS } else { 0 };
            one + player + control + usize::from(plan.calls)
        };
        let servers = if plan.gallery.is_some() { gallery::rows() as u64 } else { 1 };
        // The engine's, and the one by which it can be reset.
        let each = if has_control { 2 } else { 1 };
        Descriptors { limit, open, needed: needed as u64, servers, each }
    }

    /// Connections that a server can have at a time, if it can have any.
    fn room(&self) -> Option<usize> {
        let room = self.limit.saturating_sub(self.open + self.needed);
        let room = room / (self.servers * self.each);
        (room > 0).then_some(usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn too_few(&self, engine: &Engine) -> String {
        let Descriptors { limit, open, needed, servers, each } = self;
        format!(
            "{limit} descriptors are too few for a connection: {open} are open and the engine {} needs {needed} \
             besides; raise the limit to {} or more (ulimit -n)",
            engine.name,
            open + needed + servers * each
        )
    }

    fn limits(&self, most: usize, room: usize) -> String {
        let (limit, others) = (self.limit, self.open + self.needed);
        let each = if self.servers > 1 { " for each row of the gallery" } else { "" };
        let text = format!(
            "the limit of {limit} descriptors (ulimit -n), {others} of which the server itself needs, leaves {}{each}",
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
