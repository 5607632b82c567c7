//! `tcpecho ping`: an echo round trip over an established connection, at a pace, with what the kernel knows beside it.

mod args;
mod check;
mod course;
mod descriptors;
mod event;
mod histogram;
mod json;
mod lines;
mod link;
mod plot;
mod probe;
mod schedule;
mod size;
mod stats;
mod summary;
mod sweep;
mod target;
mod tell;
mod words;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use nix::sys::signal::Signal;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tcpecho::{Diagnosis, Endpoint, Family, Server};
use tcpecho_os::timestamping;

pub(crate) use self::args::PingArgs;
use self::{
    args::{Clock, Manner, Plan},
    course::End,
    descriptors::Room,
    link::Way,
    probe::Run,
    target::{Name, Rules, Target},
    tell::Teller,
};
use crate::{
    exit,
    lookup::{NoAddress, lookup},
    output::{OutputBuffer, Unwritten, lost_as_json, lost_as_text},
    signals::Signals,
    tell::{Failure, explain_unresolved, say},
};

const SIGNALS: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGWINCH,
    Signal::SIGTSTP,
    Signal::SIGCONT,
];
/// Nothing was answered, or not enough; as ping(8).
const NO_ANSWER: u8 = 1;
/// What is read at once when it is over.
const LAST_READ: usize = 64 << 10;
/// Looking up a name may take so long.
const LOOKUP: Duration = Duration::from_secs(10);

/// Probes, and says how it went.
pub(crate) fn run(args: &PingArgs) -> ExitCode {
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            let failure = Failure::usage(sentence.to_string());
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    ExitCode::from(probe(&plan))
}

fn probe(plan: &Plan) -> u8 {
    let signals = match Signals::catch(&SIGNALS) {
        Ok(signals) => signals.with_reader(),
        Err(errno) => {
            let failure = Failure::new("signalfd", format!("signalfd: {errno}"));
            return failure.tell(exit::NOT_POSSIBLE);
        }
    };
    let awake = keep_stamps_on(plan.clock);
    if plan.clock == Clock::Kernel && awake.is_none() {
        let message = "--timestamps kernel: SO_TIMESTAMPING is not to be had here";
        return Failure::new("setsockopt", message).tell(exit::NOT_POSSIBLE);
    }
    // Held until the end: dropping it would end its connections.
    let (found, unresolved, _server) = match addresses(plan, &signals) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let start = Instant::now();
    let is_json = matches!(plan.manner, Manner::Json | Manner::JsonStream);
    let lost_line = if is_json { lost_as_json } else { lost_as_text };
    let mut paper = OutputBuffer::stdout(lost_line);
    // A sweep has no report of all targets.
    if plan.manner == Manner::JsonStream || is_json && plan.sweep.is_some() {
        for (name, diagnosis) in &unresolved {
            paper.report_line(&json::unresolved(name, diagnosis));
        }
    }
    if found.is_empty() {
        if is_json && plan.sweep.is_none() {
            let in_stream = plan.manner == Manner::JsonStream;
            let spent = start.elapsed();
            let status = exit::NOT_CONNECTED;
            let none = (0, Duration::ZERO);
            let report = json::report(&[], &unresolved, plan, none, spent, status, in_stream);
            paper.report_line(&report);
        }
        return match paper.finish(Some(&signals)) {
            Ok(()) => exit::NOT_CONNECTED,
            Err(why) => why.status(exit::NOT_CONNECTED),
        };
    }
    let any_unresolved = !unresolved.is_empty();
    let addrs = found.iter().map(|found| found.addrs.len()).sum();
    let (limit, in_use) = (descriptors::raise_limit(), descriptors::in_use());
    let room = match descriptors::room(plan.mode, found.len(), addrs, limit, in_use) {
        Ok(room) => room,
        Err(sentence) => {
            return Failure::new("socket", sentence).tell(exit::NOT_POSSIBLE);
        }
    };
    let rules = rules(plan, &room, start);
    if let Some(sweep) = plan.sweep {
        let (way, run) = (&rules.way, rules.run);
        let status = sweep::run(plan, sweep, found, way, run, &signals, &mut paper);
        return match status {
            0 | NO_ANSWER if any_unresolved => exit::NOT_CONNECTED,
            status => status,
        };
    }
    let new = |Found { name, looked_up, addrs }| Target::new(name, looked_up, addrs, &rules, start);
    let mut targets: Vec<Target> = found.into_iter().map(new).collect();
    let mut teller = Teller::new(plan, targets.len(), &mut paper);
    let deadline = plan.deadline.and_then(|limit| start.checked_add(limit));
    let end = course::run(&mut targets, &signals, &mut paper, &mut teller, deadline);
    let is_read = !matches!(end, End::Unwritten(_) | End::Signal(Signal::SIGPIPE));
    let mut buffer = vec![0; LAST_READ];
    for target in targets.iter_mut().filter(|_| is_read) {
        target.finish(&mut buffer);
        for event in std::mem::take(&mut target.events) {
            teller.tell(&target.name, &event, &mut paper);
        }
    }
    let well = targets.iter().all(|target| is_well(target, plan));
    let status = match end {
        // As other filters do.
        End::Signal(Signal::SIGPIPE) => return 0,
        End::Unwritten(why) => return why.status(0),
        End::Failed(op, errno) => {
            say(&format!("{op}: {}", tcpecho_os::errno::words(errno)));
            exit::NOT_POSSIBLE
        }
        End::Signal(signal) if signal != Signal::SIGINT => exit::interrupted_by(signal),
        _ if any_unresolved => exit::NOT_CONNECTED,
        _ if well => 0,
        _ => NO_ANSWER,
    };
    teller.summary(&targets, &unresolved, start.elapsed(), status, &mut paper);
    let written = paper.finish(Some(&signals));
    teller.explain_rest();
    if plan.fping {
        tell_fping(&targets);
    }
    match written {
        Ok(()) => status,
        Err(Unwritten::ReaderLeft) => 0,
        Err(why) => why.status(status),
    }
}

/// As ping(8), and nothing came back that was not sent.
fn is_well(target: &Target, plan: &Plan) -> bool {
    let stats = &target.stats;
    let enough = match (plan.count, plan.deadline) {
        (Some(count), Some(_)) => count,
        _ => 1,
    };
    let unchanged = stats.corrupted == 0 && stats.doubled == 0 && stats.foreign_bytes == 0;
    stats.received() >= enough && unchanged
}

fn tell_fping(targets: &[Target]) {
    let width = targets.iter().map(|target| target.name.len()).max().unwrap_or(0);
    for target in targets {
        crate::tell::say_raw(&format!("{}\n", summary::fping(target, width)));
    }
}

/// Another number for each run. It needs no secret, and so no random number generator, which could fail.
fn run_number() -> u32 {
    let mut hasher = DefaultHasher::new();
    (SystemTime::now(), std::process::id()).hash(&mut hasher);
    hasher.finish() as u32
}

fn rules(plan: &Plan, room: &Room, origin: Instant) -> Rules {
    Rules {
        mode: plan.mode,
        pace: plan.pace,
        count: plan.count,
        until_answered: plan.deadline.is_some(),
        timeout: plan.timeout,
        size: plan.size,
        way: way(plan, room),
        run: Run(run_number()),
        origin,
        keep_times: plan.fping,
        links: room.links,
    }
}

fn way(plan: &Plan, room: &Room) -> Way {
    let stamps = plan.clock != Clock::User;
    Way::new(plan.source, plan.device.clone(), plan.timeout, room.overlap, stamps)
}

/// The kernel stamps packets that come in while some socket wants it, and takes a moment to begin: with this one it need
/// not begin anew for each connection.
fn keep_stamps_on(clock: Clock) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok()?;
    (clock != Clock::User && timestamping::enable(&fd).is_ok()).then_some(fd)
}

/// A target with its addresses.
pub(super) struct Found {
    name: String,
    /// What it was looked up as; none for a server of our own.
    looked_up: Option<Name>,
    addrs: Vec<SocketAddr>,
}

type All = (Vec<Found>, Vec<(String, Diagnosis)>, Option<Server>);

/// Every target with its addresses; the names that had none, and why; and our own server if no target was named.
fn addresses(plan: &Plan, signals: &Signals) -> Result<All, u8> {
    if plan.endpoints.is_empty() {
        let server = own_server(plan.family).map_err(|error| {
            Failure::new("listen", format!("listen: {error}")).tell(exit::NOT_POSSIBLE)
        })?;
        let addr = server.addr();
        let found = Found { name: addr.to_string(), looked_up: None, addrs: vec![addr] };
        return Ok((vec![found], Vec::new(), Some(server)));
    }
    let (mut found, mut unresolved) = (Vec::new(), Vec::new());
    for (name, endpoint) in &plan.endpoints {
        match find(endpoint, plan.family, signals) {
            Ok(addrs) => {
                let (endpoint, family) = (endpoint.clone(), plan.family);
                let looked_up = Some(Name { endpoint, family });
                found.push(Found { name: name.clone(), looked_up, addrs });
            }
            Err(Nowhere::Unresolved(diagnosis)) => unresolved.push((name.clone(), *diagnosis)),
            Err(Nowhere::Interrupted(status)) => return Err(status),
        }
    }
    Ok((found, unresolved, None))
}

/// Why there is no address to probe.
enum Nowhere {
    Unresolved(Box<Diagnosis>),
    /// By a signal, which ends everything with this exit status.
    Interrupted(u8),
}

/// The addresses of one; else it is said why not.
fn find(
    endpoint: &Endpoint,
    family: Family,
    signals: &Signals,
) -> Result<Vec<SocketAddr>, Nowhere> {
    loop {
        match lookup(endpoint, family, Some(LOOKUP), signals) {
            Ok(addrs) => return Ok(addrs),
            Err(NoAddress::Failed(error)) => {
                return Err(Nowhere::Unresolved(Box::new(explain_unresolved(error))));
            }
            Err(NoAddress::Interrupted) => match signals.next() {
                Some(Signal::SIGTSTP) => {
                    let _ = Signals::suspend();
                }
                Some(Signal::SIGCONT | Signal::SIGWINCH | Signal::SIGQUIT) | None => {}
                Some(signal) => {
                    let failure = Failure::interrupted("getaddrinfo", signal.as_str());
                    let status = failure.tell_object(exit::interrupted_by(signal));
                    return Err(Nowhere::Interrupted(status));
                }
            },
        }
    }
}

fn own_server(family: Family) -> Result<Server, tcpecho::Error> {
    let host: IpAddr = match family {
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    Server::builder().listen(SocketAddr::new(host, 0)).start()
}
