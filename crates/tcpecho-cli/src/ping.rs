//! `tcpecho ping`: an echo round trip over an established connection, at a pace, with what the kernel knows beside it.

mod args;
mod console;
mod descriptors;
mod histogram;
mod json;
mod lines;
mod page;
mod plot;
mod printer;
mod size;
mod summary;
mod sweep;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tcpecho::{DEFAULT_PORT, Diagnosis, Endpoint, Family, Server};
use tcpecho_probe::{Destination, End, KernelTimestamps, Name, Outcome, Target};

pub(crate) use self::args::PingArgs;
use self::{
    args::{Clock, OutputFormat, Plan},
    console::{Console, Stopped},
    page::Record,
    printer::Printer,
};
use crate::{
    exit,
    lookup::{NoAddress, lookup},
    output::{OutputBuffer, OutputFile, Unwritten, lost_as_json},
    signals::Signals,
    tell::{Failure, explain, say, tell_judgements},
    threshold::{Judgement, Threshold},
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
    let page = match plan.html.as_deref().map(OutputFile::open).transpose() {
        Ok(page) => page,
        Err(sentence) => return Failure::new("open", sentence).tell(exit::NOT_POSSIBLE),
    };
    // Held until the end.
    let stamps = (plan.clock != Clock::User).then(KernelTimestamps::keep_on);
    if plan.clock == Clock::Kernel && !matches!(stamps, Some(Ok(_))) {
        let message = "--timestamps kernel: SO_TIMESTAMPING is not available here";
        return Failure::new("setsockopt", message).tell(exit::NOT_POSSIBLE);
    }
    // Held until the end: dropping it would end its connections.
    let (found, unresolved, _server) = match addresses(plan, &signals) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let start = Instant::now();
    let is_json = matches!(plan.format, OutputFormat::Json | OutputFormat::JsonStream);
    let mut output =
        if is_json { OutputBuffer::stdout(lost_as_json) } else { OutputBuffer::text() };
    // A sweep has no report of all targets.
    if plan.format == OutputFormat::JsonStream || is_json && plan.sweep.is_some() {
        for (name, diagnosis) in &unresolved {
            output.report_line(&json::unresolved(name, diagnosis));
        }
    }
    if found.is_empty() {
        let spent = start.elapsed();
        return nothing_found(plan, &unresolved, page, spent, &signals, output);
    }
    let any_unresolved = !unresolved.is_empty();
    let addrs = found.iter().map(|found| found.addrs.len()).sum();
    let (limit, in_use) = (descriptors::raise_limit(), descriptors::in_use());
    let capacity = match descriptors::capacity(plan.mode, found.len(), addrs, limit, in_use) {
        Ok(capacity) => capacity,
        Err(sentence) => {
            return Failure::new("socket", sentence).tell(exit::NOT_POSSIBLE);
        }
    };
    let probing = plan.probing(&capacity);
    if let Some(sweep) = plan.sweep {
        let status = sweep::run(plan, sweep, &probing, found, &signals, &mut output);
        return match status {
            0 | NO_ANSWER if any_unresolved => exit::NOT_CONNECTED,
            status => status,
        };
    }
    let printer = Printer::new(plan, found.len(), &mut output);
    let record = page.as_ref().map(|_| Record::new());
    let mut console = Console::new(&signals, &mut output, printer, record);
    let outcome = tcpecho_probe::probe(&probing, found, &mut console);
    let Console { mut printer, stopped, record, .. } = console;
    let record = record.unwrap_or_else(Record::new);
    let saved = save(page, || record.page(&outcome, &unresolved, plan.mode));
    let well = outcome.targets.iter().all(|target| is_well(target, plan));
    let judgements = judgements(plan, &outcome.targets);
    let status = match (stopped, outcome.end) {
        // As other filters do.
        (Some(Stopped::Signal(Signal::SIGPIPE)), _) => {
            tell_unsaved(&saved);
            return if saved.is_ok() { 0 } else { exit::NOT_POSSIBLE };
        }
        (Some(Stopped::Unwritten(why)), _) => {
            tell_unsaved(&saved);
            return why.status(if saved.is_ok() { 0 } else { exit::NOT_POSSIBLE });
        }
        (_, End::Failed(op, errno)) => {
            say(&format!("{op}: {}", tcpecho_os::errno::words(errno)));
            exit::NOT_POSSIBLE
        }
        _ if saved.is_err() => exit::NOT_POSSIBLE,
        (Some(Stopped::Signal(signal)), _) if signal != Signal::SIGINT => {
            exit::interrupted_by(signal)
        }
        _ if any_unresolved => exit::NOT_CONNECTED,
        _ if well && judgements.iter().all(|one| !one.failed) => 0,
        _ => NO_ANSWER,
    };
    printer.summary(&outcome, &unresolved, start.elapsed(), status, &mut output);
    let written = output.finish(Some(&signals));
    printer.explain_rest();
    if outcome.targets.iter().all(|target| target.stats.received() == 0) {
        tell_service(plan);
    }
    tell_judgements(&judgements);
    tell_unsaved(&saved);
    if plan.fping {
        tell_fping(plan, &outcome.targets, &unresolved);
    }
    match written {
        Ok(()) => status,
        Err(Unwritten::ReaderLeft) if saved.is_ok() => 0,
        Err(Unwritten::ReaderLeft) => exit::NOT_POSSIBLE,
        Err(why) => why.status(status),
    }
}

/// Reports that no target has an address.
fn nothing_found(
    plan: &Plan,
    unresolved: &[(String, Diagnosis)],
    page: Option<OutputFile>,
    spent: Duration,
    signals: &Signals,
    mut output: OutputBuffer,
) -> u8 {
    let none = Outcome { end: End::Done, targets: vec![], pauses: 0, paused: Duration::ZERO };
    let saved = save(page, || Record::new().page(&none, unresolved, plan.mode));
    let status = if saved.is_ok() { exit::NOT_CONNECTED } else { exit::NOT_POSSIBLE };
    let is_json = matches!(plan.format, OutputFormat::Json | OutputFormat::JsonStream);
    if is_json && plan.sweep.is_none() {
        let in_stream = plan.format == OutputFormat::JsonStream;
        let report = json::report(&none, unresolved, plan, spent, status, in_stream);
        output.report_line(&report);
    }
    let written = output.finish(Some(signals));
    tell_service(plan);
    tell_unsaved(&saved);
    if plan.fping {
        tell_fping(plan, &[], unresolved);
    }
    match written {
        Ok(()) => status,
        Err(why) => why.status(status),
    }
}

/// Writes the page of --html. That it cannot be written is said after the result, which does not depend on it.
fn save(page: Option<OutputFile>, html: impl FnOnce() -> String) -> Result<(), String> {
    page.map_or(Ok(()), |page| page.write(&html()))
}

fn tell_unsaved(saved: &Result<(), String>) {
    if let Err(sentence) = saved {
        say(sentence);
    }
}

/// Says how the second of two words was understood, where nothing answered: it may have been meant as a host.
fn tell_service(plan: &Plan) {
    if matches!(plan.format, OutputFormat::Json | OutputFormat::JsonStream | OutputFormat::Silent) {
        return;
    }
    if let (Some(service), [(_, Endpoint { host, port })]) =
        (&plan.service, plan.endpoints.as_slice())
    {
        say(&format!(
            "\"{service}\" was taken as port {port} of {host}; if it is a second host, write it with its port: \
             {service}:{DEFAULT_PORT}"
        ));
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

/// The conditions of `--fail-if`, for each target.
fn judgements(plan: &Plan, targets: &[Target]) -> Vec<Judgement> {
    let judged = |target: &Target| {
        let figures = summary::figures(&target.stats, plan.mode);
        let whose = if targets.len() > 1 { format!("{}: ", target.name) } else { String::new() };
        let judge = move |condition: &Threshold| {
            let Judgement { failed, line } = condition.judge(&figures, None);
            Judgement { failed, line: format!("{whose}{line}") }
        };
        plan.fail_if.iter().map(judge).collect::<Vec<_>>()
    };
    targets.iter().flat_map(judged).collect()
}

/// A line for each target in the order of the command line, also for a name without an address.
fn tell_fping(plan: &Plan, targets: &[Target], unresolved: &[(String, Diagnosis)]) {
    let names = targets.iter().map(|target| &target.name);
    let names = names.chain(unresolved.iter().map(|(name, _)| name));
    let width = names.map(String::len).max().unwrap_or(0);
    let line = |name: &str, times: &[Option<Duration>]| {
        crate::tell::say_raw(&format!("{}\n", summary::fping(name, times, width)));
    };
    let count = plan.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(1);
    let (mut targets, mut unresolved) = (targets.iter(), unresolved.iter().peekable());
    for (name, _) in &plan.endpoints {
        if unresolved.next_if(|(unknown, _)| unknown == name).is_some() {
            line(name, &vec![None; count]);
        } else if let Some(target) = targets.next() {
            line(&target.name, &target.times);
        }
    }
    for target in targets {
        line(&target.name, &target.times);
    }
}

type All = (Vec<Destination>, Vec<(String, Diagnosis)>, Option<Server>);

/// Every target with its addresses; the names that had none, and why; and our own server if no target was named.
fn addresses(plan: &Plan, signals: &Signals) -> Result<All, u8> {
    if plan.endpoints.is_empty() {
        let server = own_server(plan.family).map_err(|error| {
            Failure::new("listen", format!("listen: {error}")).tell(exit::NOT_POSSIBLE)
        })?;
        let addr = server.addr();
        let found = Destination { name: addr.to_string(), looked_up: None, addrs: vec![addr] };
        return Ok((vec![found], Vec::new(), Some(server)));
    }
    let (mut found, mut unresolved) = (Vec::new(), Vec::new());
    for (name, endpoint) in &plan.endpoints {
        match find(endpoint, plan, signals) {
            Ok(addrs) => {
                let (endpoint, family) = (endpoint.clone(), plan.family);
                let looked_up = Some(Name { endpoint, family });
                found.push(Destination { name: name.clone(), looked_up, addrs });
            }
            Err(NoTarget::Unresolved(diagnosis)) => unresolved.push((name.clone(), *diagnosis)),
            Err(NoTarget::Interrupted(status)) => return Err(status),
        }
    }
    Ok((found, unresolved, None))
}

/// Why there is no address to probe.
enum NoTarget {
    Unresolved(Box<Diagnosis>),
    /// By a signal, which ends everything with this exit status.
    Interrupted(u8),
}

/// The addresses of one; else it is said why not.
fn find(endpoint: &Endpoint, plan: &Plan, signals: &Signals) -> Result<Vec<SocketAddr>, NoTarget> {
    loop {
        match lookup(endpoint, plan.family, Some(LOOKUP), signals) {
            Ok(addrs) => return Ok(addrs),
            Err(NoAddress::Failed(error)) => {
                let diagnosis = Diagnosis::of_lookup(error);
                if plan.format != OutputFormat::Silent {
                    explain(&diagnosis);
                }
                return Err(NoTarget::Unresolved(Box::new(diagnosis)));
            }
            Err(NoAddress::Interrupted) => match signals.next() {
                Some(Signal::SIGTSTP) => {
                    let _ = Signals::suspend();
                }
                Some(Signal::SIGCONT | Signal::SIGWINCH | Signal::SIGQUIT) | None => {}
                Some(signal) => {
                    let failure = Failure::interrupted("getaddrinfo", signal.as_str());
                    let status = failure.tell_object(exit::interrupted_by(signal));
                    return Err(NoTarget::Interrupted(status));
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
    Server::builder().listen(SocketAddr::new(host, 0)).keep_sessions(0).start()
}
