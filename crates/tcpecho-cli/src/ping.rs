//! `tcpecho ping`: an echo round trip over an established connection, at a pace, with what the kernel knows beside it.

mod args;
mod check;
mod course;
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
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tcpecho::{Diagnosis, Endpoint, Family, Server};
use tcpecho_os::timestamping;

pub(crate) use self::args::PingArgs;
use self::{
    args::{Clock, Manner, Plan},
    course::End,
    link::Way,
    probe::Run,
    target::{Rules, Target},
    tell::Teller,
};
use crate::{
    exit,
    lookup::{NoAddress, lookup},
    output::{OutputBuffer, Unwritten, lost_as_json, lost_as_text},
    signals::Signals,
    tell::{Failure, explain_unresolved, say},
};

const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGWINCH];
/// Nothing was answered, or not enough; as ping(8).
const NO_ANSWER: u8 = 1;
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
            let status = exit::NOT_POSSIBLE;
            paper.report_line(&json::report(&[], &unresolved, plan, spent, status, in_stream));
        }
        return match paper.finish(Some(&signals)) {
            Ok(()) => exit::NOT_POSSIBLE,
            Err(why) => why.status(exit::NOT_POSSIBLE),
        };
    }
    let any_unresolved = !unresolved.is_empty();
    let rules = rules(plan, start);
    if let Some(sweep) = plan.sweep {
        let (way, run) = (&rules.way, rules.run);
        let status = sweep::run(plan, sweep, found, way, run, &signals, &mut paper);
        return if any_unresolved { status.max(exit::NOT_POSSIBLE) } else { status };
    }
    let mut targets: Vec<Target> =
        found.into_iter().map(|(name, addrs)| Target::new(name, addrs, &rules, start)).collect();
    let mut teller = Teller::new(plan, targets.len(), &mut paper);
    let deadline = plan.deadline.and_then(|limit| start.checked_add(limit));
    let end = course::run(&mut targets, &signals, &mut paper, &mut teller, deadline);
    let well = targets.iter().all(|target| is_well(target, plan));
    let status = match end {
        // As other filters do.
        // As other filters do.
        End::Signal(Signal::SIGPIPE) => return 0,
        End::Unwritten(why) => return why.status(0),
        End::Failed(op, errno) => {
            say(&format!("{op}: {}", tcpecho::words(errno)));
            exit::NOT_POSSIBLE
        }
        End::Signal(signal) if signal != Signal::SIGINT => exit::interrupted_by(signal),
        _ if any_unresolved => exit::NOT_POSSIBLE,
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
    stats.received() >= enough && stats.corrupted == 0 && stats.foreign_bytes == 0
}

fn tell_fping(targets: &[Target]) {
    let width = targets.iter().map(|target| target.name.len()).max().unwrap_or(0);
    for target in targets {
        crate::tell::say_raw(&format!("{}\n", summary::fping(target, width)));
    }
}

fn rules(plan: &Plan, origin: Instant) -> Rules {
    Rules {
        mode: plan.mode,
        pace: plan.pace,
        count: plan.count,
        until_answered: plan.deadline.is_some(),
        timeout: plan.timeout,
        size: plan.size,
        way: way(plan),
        run: Run(RandomState::new().hash_one(origin) as u32),
        origin,
        keep_times: plan.fping,
    }
}

fn way(plan: &Plan) -> Way {
    Way {
        source: plan.source,
        device: plan.device.clone(),
        timeout: plan.timeout,
        stamps: plan.clock != Clock::User,
        host: Rc::default(),
    }
}

/// The kernel stamps packets that come in while some socket wants it, and takes a moment to begin: with this one it need
/// not begin anew for each connection.
fn keep_stamps_on(clock: Clock) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok()?;
    (clock != Clock::User && timestamping::enable(&fd).is_ok()).then_some(fd)
}

type Found = (Vec<(String, Vec<SocketAddr>)>, Vec<(String, Diagnosis)>, Option<Server>);

/// Every target with its addresses; the names that had none, and why; and our own server if no target was named.
fn addresses(plan: &Plan, signals: &Signals) -> Result<Found, u8> {
    if plan.endpoints.is_empty() {
        let server = own_server(plan.family).map_err(|error| {
            Failure::new("listen", format!("listen: {error}")).tell(exit::NOT_POSSIBLE)
        })?;
        let addr = server.addr();
        return Ok((vec![(addr.to_string(), vec![addr])], Vec::new(), Some(server)));
    }
    let (mut found, mut unresolved) = (Vec::new(), Vec::new());
    for (name, endpoint) in &plan.endpoints {
        match find(endpoint, plan.family, signals) {
            Ok(addrs) => found.push((name.clone(), addrs)),
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
    lookup(endpoint, family, Some(LOOKUP), signals).map_err(|why| match why {
        NoAddress::Failed(error) => Nowhere::Unresolved(Box::new(explain_unresolved(error))),
        NoAddress::Interrupted => {
            let signal = signals.next();
            let status = signal.map_or(exit::NOT_POSSIBLE, exit::interrupted_by);
            let word = signal.map_or("a signal", Signal::as_str);
            Nowhere::Interrupted(Failure::interrupted("getaddrinfo", word).tell_object(status))
        }
    })
}

fn own_server(family: Family) -> Result<Server, tcpecho::Error> {
    let host: IpAddr = match family {
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    Server::builder().listen(SocketAddr::new(host, 0)).start()
}
