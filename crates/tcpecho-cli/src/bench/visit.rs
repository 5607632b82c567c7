//! One visit to one server: where it is, the run against it, and what came of both.

use std::{
    cell::Cell,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use nix::sys::signal::Signal;
use tcpecho::{Attempt, ConnectOptions, Connection, Error, Family, ResolveError};
use tcpecho_load::{DriverChoice, Event, Interrupt, Kind, Profile, Schedule, Stopping};

use super::{
    args::{Plan, Target},
    machine,
    report::{Measured, Row},
    server::{RunningServer, ServerCommand, ServerUsage},
};
use crate::{
    lookup::{NoAddress, lookup},
    output::Unwritten,
    signals::Signals,
};

/// Why there is no result.
pub(super) enum BenchError {
    /// A sentence.
    Impossible(String),
    Unresolved(ResolveError),
    Unreachable(Vec<Attempt>),
    Interrupted(Option<Signal>),
    /// Stdout takes nothing any more.
    Unwritten(Unwritten),
}

impl From<Error> for BenchError {
    fn from(error: Error) -> Self {
        BenchError::Impossible(error.to_string())
    }
}

/// Where a server is, and which processors each side has.
pub(super) struct Setup {
    pub(super) addr: SocketAddr,
    served: Option<RunningServer>,
    /// The server's process, if it is of this host.
    pub(super) pid: Option<u32>,
    pub(super) cpus: Vec<usize>,
    pub(super) server_cpus: Vec<usize>,
    /// What will spoil a run there.
    pub(super) remarks: Vec<String>,
    name: String,
}

impl Setup {
    fn describe(&self) -> String {
        let mut words = vec![format!("{} {}", self.name, self.addr).trim().to_owned()];
        if let Some(engine) = self.served.as_ref().and_then(|served| served.engine.as_ref()) {
            words.push(format!("engine {engine}"));
        }
        words.extend(self.pid.map(|pid| format!("process {pid}")));
        if !self.server_cpus.is_empty() {
            words.push(format!("processor {}", list(&self.server_cpus)));
        }
        if !self.cpus.is_empty() {
            words.push(format!("the generator on processor {}", list(&self.cpus)));
        }
        words.join(", ")
    }
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Finds the server that is asked for, or starts it.
pub(super) fn prepare(plan: &Plan, signals: &Signals) -> Result<Setup, BenchError> {
    match &plan.target {
        Target::Elsewhere(endpoint) => {
            let addrs = lookup(endpoint, plan.family, Some(plan.timeout), signals);
            let addrs = addrs.map_err(|why| match why {
                NoAddress::Failed(error) => BenchError::Unresolved(error),
                NoAddress::Interrupted => BenchError::Interrupted(signals.next()),
            })?;
            let addr = greet(plan, &addrs, signals)?;
            Ok(Setup {
                addr,
                served: None,
                pid: machine::listener(addr),
                cpus: plan.cpus.clone().unwrap_or_default(),
                server_cpus: Vec::new(),
                remarks: Vec::new(),
                name: String::new(),
            })
        }
        Target::Own(command) => start(plan, command, ""),
        Target::Several(_) => Err(BenchError::Impossible("a comparison has no one server".into())),
    }
}

/// Starts a server, on processors of its own where there are enough and nothing else was asked for.
pub(super) fn start(plan: &Plan, command: &ServerCommand, name: &str) -> Result<Setup, BenchError> {
    let (servers, generator) = match (&plan.server_cpus, &plan.cpus) {
        (None, None) => machine::split(),
        (servers, generator) => {
            (servers.clone().unwrap_or_default(), generator.clone().unwrap_or_default())
        }
    };
    let chosen = plan.server_cpus.is_some();
    let mut served = RunningServer::start(command, plan.family == Family::V6, &servers, chosen)
        .map_err(BenchError::Impossible)?;
    let remarks = Vec::from_iter(served.note.take());
    Ok(Setup {
        addr: served.addr,
        pid: Some(served.pid()),
        served: Some(served),
        cpus: generator,
        // Where it was refused, it runs on any.
        server_cpus: if remarks.is_empty() { servers } else { Vec::new() },
        remarks,
        name: name.to_owned(),
    })
}

/// One connection first: it says in words what is wrong with a server that cannot be reached.
fn greet(plan: &Plan, addrs: &[SocketAddr], signals: &Signals) -> Result<SocketAddr, BenchError> {
    let how = ConnectOptions::default()
        .source(plan.sources.first().copied())
        .timeout(plan.timeout)
        .interrupt(signals.as_fd());
    match Connection::open(addrs, &how) {
        Ok(connection) => Ok(connection.peer),
        Err(failed) if failed.is_interrupted() => Err(BenchError::Interrupted(signals.next())),
        Err(failed) => Err(BenchError::Unreachable(failed.attempts)),
    }
}

/// The load that is meant, for this server; `schedule` may differ from the plan's in a search.
fn load(plan: &Plan, setup: &Setup, schedule: Option<Schedule>) -> tcpecho_load::Plan {
    let kind = plan.workload.kind;
    let default = if setup.cpus.is_empty() {
        (machine::processors().len() / 2).max(1)
    } else {
        setup.cpus.len()
    };
    let profile = Profile {
        depth: (kind != Kind::Stream).then_some(plan.depth),
        schedule,
        flows: plan.connections,
        check: plan.check,
        ..Profile::new(plan.sizes.clone())
    };
    tcpecho_load::Plan {
        name: match &plan.target {
            Target::Elsewhere(endpoint) => Some((endpoint.clone(), plan.family)),
            Target::Own(_) | Target::Several(_) => None,
        },
        after: plan.after,
        idle: kind == Kind::Idle,
        connections: plan.numbers().collect(),
        threads: plan.threads.unwrap_or(default),
        cpus: setup.cpus.clone(),
        cpus_required: plan.cpus.is_some(),
        driver: plan.driver,
        sources: plan.sources.clone(),
        connect_rate: plan.connect_rate,
        timeout: plan.timeout,
        grace: plan.grace,
        interval: plan.interval,
        warmup: plan.warmup,
        duration: plan.duration,
        messages: plan.share(),
        start_at: plan.start_at,
        ..tcpecho_load::Plan::new(setup.addr, profile)
    }
}

/// Ends a run at a signal: in order at the first one, at once at the second or when nobody reads stdout.
struct Interrupts<'a> {
    signals: &'a Signals,
    last: Cell<Option<Signal>>,
}

impl Interrupt for Interrupts<'_> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.signals.as_fd())
    }

    fn poll(&self) -> Option<Stopping> {
        let signal = self.signals.next()?;
        let is_second = self.last.replace(Some(signal)).is_some();
        let at_once = is_second || signal == Signal::SIGPIPE;
        Some(if at_once { Stopping::AtOnce } else { Stopping::Drain })
    }
}

/// Names the option that a failed call comes from.
fn with_option(mut error: Error) -> Error {
    if error.op == "sched_setaffinity" {
        error.op = "sched_setaffinity (--cpu)";
    }
    error
}

/// Runs the plan's load against the server there.
pub(super) fn visit<'a>(
    plan: &'a Plan,
    setup: &mut Setup,
    signals: &Signals,
    watch: &mut dyn FnMut(&Event, Option<&Row>),
) -> Result<Measured<'a>, BenchError> {
    visit_at(plan, plan.schedule, setup, signals, watch)
}

/// The same with another schedule.
pub(super) fn visit_at<'a>(
    plan: &'a Plan,
    schedule: Option<Schedule>,
    setup: &mut Setup,
    signals: &Signals,
    watch: &mut dyn FnMut(&Event, Option<&Row>),
) -> Result<Measured<'a>, BenchError> {
    let load = load(plan, setup, schedule);
    let warmup = u64::try_from(plan.warmup.as_nanos()).unwrap_or(u64::MAX);
    if plan.workload.kind == Kind::Idle {
        warm_up(setup.addr);
    }
    let interrupts = Interrupts { signals, last: Cell::new(None) };
    let mut usage = ServerUsage::of(setup.pid);
    let mut rows = Vec::new();
    let mut begun = false;
    let mut outcome = tcpecho_load::run(&load, &interrupts, &mut |event| {
        match &event {
            Event::Begin => {
                usage.begin();
                begun = interrupts.last.get().is_none();
            }
            Event::NearEnd => usage.held(),
            Event::End => usage.end(),
            Event::Interval(interval) => {
                rows.push(Row::of(interval, plan.workload.unit, schedule, warmup));
            }
            Event::Tick(_) | Event::Tail(_) => {}
        }
        watch(&event, rows.last());
    })
    .map_err(with_option)?;
    if interrupts.last.get().is_some() && !begun {
        // What is left is the time in which the connections ended.
        outcome.seconds = 0.0;
    }
    Ok(Measured {
        plan,
        schedule,
        server: setup.describe(),
        driver: match load.driver {
            DriverChoice::Uring => "uring",
            DriverChoice::Auto | DriverChoice::Epoll => "epoll",
        },
        threads: outcome.threads,
        outcome,
        stopped: interrupts.last.get(),
        usage,
        rows,
        death: setup.served.as_mut().and_then(RunningServer::death),
        facts: machine::facts(),
        remarks: setup.remarks.clone(),
    })
}

/// Connections that are served and closed before the memory is read. What a server allocates once is not to be counted for
/// each connection, and each of its threads may do so.
const FIRST: usize = 16;

fn warm_up(addr: SocketAddr) {
    for _ in 0..FIRST {
        if first_exchange(addr).is_err() {
            return;
        }
    }
}

/// One message and its echo, until the server has closed the connection as well.
fn first_exchange(addr: SocketAddr) -> io::Result<()> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&addr, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(b"hello\n")?;
    stream.read_exact(&mut [0; 6])?;
    stream.shutdown(Shutdown::Write)?;
    // A server that does not close in time keeps its connection; it is measured as it is.
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.read(&mut [0; 1]).map(drop)
}
