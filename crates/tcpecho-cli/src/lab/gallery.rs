//! `lab test --gallery`: a client against every row of the gallery of `tcpecho serve`, on loopback.
//!
//! The gallery is a process of its own. Nothing is traced: a client is judged by what it wrote and how it exited, and the
//! server's log says what it did.

mod children;
mod client;
mod judge;
mod server;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};
use tcpecho::{PRESETS, internal::show_duration};
use tcpecho_lab::{Family, trial::Conduct};

use self::{
    children::Children,
    client::Seen,
    judge::{Case, Connected, MESSAGE, compares, judge},
    server::{GalleryServer, Promise, Sessions},
};
use super::{
    expect::Expectations,
    names,
    playing::{catch_signals, wait},
    programs::Invitation,
    refuse,
    verdict::{INTERRUPTED, RIGHT, SKIPPED},
    verdicts::{Row, Table},
};

/// The row without a fault, which shows what the client prints if nothing is wrong.
const ECHO: &str = "echo";

/// What to run, and how.
pub(super) struct Plan<'a> {
    pub(super) invitation: &'a Invitation,
    pub(super) rows: Vec<&'static str>,
    pub(super) families: &'static [Family],
    pub(super) jobs: usize,
    pub(super) deadline: Duration,
    pub(super) expectations: Expectations,
}

/// How long a client may take by default.
pub(super) const DEADLINE: &str = "15s";

impl Plan<'_> {
    fn deadline_given(&self) -> Option<Duration> {
        Some(self.deadline).filter(|deadline| show_duration(*deadline) != DEADLINE)
    }
}

/// Where the names of the rows are.
pub(super) const LIST: &str = "tcpecho serve --fault list shows all except echo";

/// The names of all rows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once(ECHO).chain(PRESETS.iter().map(|preset| preset.name))
}

/// Returns the rows with these names or patterns, in the order of the gallery.
pub(super) fn rows_named(typed: &[String]) -> Result<Vec<&'static str>, ExitCode> {
    let is_wanted = |typed: &String, name: &str| typed == "all" || names::matches(typed, name);
    for typed in typed {
        if !names().any(|name| is_wanted(typed, name)) {
            let near = names::near(typed, names().chain(["all"]));
            let name = typed.escape_debug();
            return Err(refuse(format!("'{name}' is not a fault of the gallery{near}; {LIST}")));
        }
    }
    Ok(names().filter(|name| typed.iter().any(|typed| is_wanted(typed, name))).collect())
}

/// A client at a row, over one family.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Trial {
    row: &'static str,
    family: Family,
}

/// Runs everything. Returns the table, and the signal that interrupted it.
pub(super) fn run(plan: &Plan<'_>) -> Result<(Table, Option<Signal>), ExitCode> {
    let signals = catch_signals()?;
    let begun = Instant::now();
    // Dropped last: nothing survives this command.
    let children = Children::adopt();
    let server = GalleryServer::start(&children).map_err(refuse)?;
    let trials: Vec<Trial> = plan
        .families
        .iter()
        .flat_map(|family| plan.rows.iter().map(|row| Trial { row, family: *family }))
        .collect();
    // The echo comes first: it shows what the client prints.
    let mut order: Vec<Trial> = Vec::new();
    for family in plan.families {
        order.push(Trial { row: ECHO, family: *family });
    }
    order.extend(trials.iter().filter(|trial| trial.row != ECHO));
    order.retain(|trial| server.has(trial.family));
    let impossible = |what: &str, why: &dyn std::fmt::Display| refuse(format!("{what}: {why}"));
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| impossible("pipe", &errno));
    let ((over, working), (stopped, stop)) = (pipe()?, pipe()?);
    let shared = Shared {
        plan,
        server: &server,
        children: &children,
        order,
        next: AtomicUsize::new(0),
        seen: Mutex::default(),
    };
    let interrupted_by = thread::scope(|scope| {
        let (shared, stopped) = (&shared, &stopped);
        let working = std::sync::Arc::new(working);
        for _ in 0..plan.jobs.min(shared.order.len()) {
            let working = std::sync::Arc::clone(&working);
            let work = move || {
                shared.work(stopped);
                // The last thread closes the pipe, even if one panics.
                drop(working);
            };
            thread::Builder::new()
                .name("client".into())
                .spawn_scoped(scope, work)
                .map_err(|error| impossible("start a thread", &error))?;
        }
        drop(working);
        let interrupted_by = wait(&over, &signals);
        // The threads end their clients.
        drop(stop);
        Ok::<_, ExitCode>(interrupted_by)
    })?;
    signals.release();
    let seen = shared.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(why) = seen.iter().find_map(|(_, seen)| seen.unstarted.as_ref()) {
        return Err(refuse(format!("{}: {why}", plan.invitation.text.escape_debug())));
    }
    let promises = server.promises();
    let sessions = server.end();
    let rows: Vec<Row> = trials
        .iter()
        .filter_map(|trial| {
            row(plan, *trial, &seen, &promises, &sessions, interrupted_by.is_some())
        })
        .collect();
    let of = if interrupted_by.is_some() { None } else { Some(trials.len()) };
    let table =
        Table::of_gallery(plan.invitation, rows, of, begun.elapsed(), plan.deadline_given());
    Ok((table, interrupted_by))
}

/// The line of the table for a trial; none if it was never begun.
fn row(
    plan: &Plan<'_>,
    trial: Trial,
    seen: &[(Trial, Seen)],
    promises: &BTreeMap<String, Promise>,
    sessions: &Sessions,
    is_interrupted: bool,
) -> Option<Row> {
    let Trial { row: name, family } = trial;
    let of = |name| seen.iter().find(|(other, _)| *other == Trial { row: name, family });
    let judged = |verdict: &str, judged, took| {
        Row::of_gallery(name, family, verdict, judged, took, &plan.expectations)
    };
    let Some((_, seen)) = of(name) else {
        let why = format!("this host has no loopback address of {family}");
        let judgement = (Conduct::default(), vec![why]);
        return (!is_interrupted).then(|| judged(SKIPPED, judgement, Duration::ZERO));
    };
    if seen.is_interrupted {
        return Some(judged(INTERRUPTED, (Conduct::default(), Vec::new()), seen.took));
    }
    // Without the echo's row, the output is compared.
    let compares = of(ECHO).is_none_or(|(_, echo)| compares(echo));
    let promise = promises.get(name);
    let ending = promise.map_or("finished", |promise| promise.ending.as_str());
    let of_row = sessions.of(name, family);
    let has_connected_at_all = sessions.has_any(ECHO) != Some(false);
    let connected = match (of_row.last(), sessions.has_any(name)) {
        (Some(session), _) => Connected::Yes(session),
        (None, Some(false)) if may_be_unaccepted(name, seen) => Connected::Unknown,
        (None, Some(false)) => Connected::Never,
        (None, None) if !has_connected_at_all => Connected::Never,
        (None, _) => Connected::Unknown,
    };
    let deadline = plan.deadline;
    let (mut conduct, failed) =
        judge(Case { row: name, ending, compares, deadline, connected }, seen);
    conduct.connections = match connected {
        Connected::Unknown => None,
        _ => Some(of_row.len()),
    };
    let verdict = conduct.worst().map_or(RIGHT, tcpecho_lab::trial::Fault::word);
    if let (true, Some(session)) = (verdict != RIGHT, of_row.last()) {
        conduct.notes.push(format!("the server: {}", session.words()));
    }
    if server::UNCOUNTED.contains(&name) && has_connected_at_all {
        conduct.notes.push(UNCOUNTED.into());
    }
    let expect = promise.map(|promise| promise.expect.clone());
    let mut row = judged(verdict, (conduct, failed), seen.took);
    row.correct_client = expect;
    Some(row)
}

/// What is said of a row that accepts no connection.
const UNCOUNTED: &str = "the server accepts nothing here, so connections are not counted";

/// Whether the client may have had a connection that the server had not accepted when the client ended.
fn may_be_unaccepted(row: &str, seen: &Seen) -> bool {
    row == "accept-delay" && seen.exit != Some(tcpecho_lab::Exit::Exited(0))
}

struct Shared<'a> {
    plan: &'a Plan<'a>,
    server: &'a GalleryServer<'a>,
    children: &'a Children,
    order: Vec<Trial>,
    /// The index of the next one.
    next: AtomicUsize,
    seen: Mutex<Vec<(Trial, Seen)>>,
}

impl Shared<'_> {
    /// Runs clients until all have been run or `stopped` says that there are to be no more.
    fn work(&self, stopped: &OwnedFd) {
        while let Some(trial) = self.order.get(self.next.fetch_add(1, Relaxed)) {
            let ip: IpAddr = match trial.family {
                Family::V4 => std::net::Ipv4Addr::LOCALHOST.into(),
                Family::V6 => std::net::Ipv6Addr::LOCALHOST.into(),
            };
            let Some(port) = self.server.port(trial.row) else { continue };
            let addr = SocketAddr::new(ip, port);
            let words = self.plan.invitation.command.words_at(trial.family, addr);
            let seen = Seen::run(&words, MESSAGE, self.plan.deadline, stopped, self.children);
            let is_last = seen.unstarted.is_some() || seen.is_interrupted;
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((*trial, seen));
            if is_last {
                // No other client can be started either.
                self.next.fetch_add(self.order.len(), Relaxed);
            }
        }
    }
}
