//! `tcpecho connect`: the line client of the book (UNP 5.4), which says what went wrong with it
//! (UNP 5.12 to 5.16).

mod args;
mod findings;
mod keepalive;
mod screen;

use std::{
    cell::Cell,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    process::ExitCode,
    time::Instant,
};

use nix::sys::signal::Signal;
use rustix::io::Errno;
use tcpecho::{
    ConnectOptions, Connection, Endpoint, Family, Keepalive, ResolveError, Server, Tracer,
    internal::relay::{Interrupt, Interrupts, relay},
};

pub(crate) use self::args::ConnectArgs;
use self::{args::Plan, screen::Screen};
use crate::{
    calls::Calls,
    exit, fresh_line, input,
    lookup::{NoAddress, lookup},
    signals::Signals,
    tell::{Failure, Report, Voice, say},
};

/// Runs the verb to its end and says how it went.
pub(crate) fn run(args: &ConnectArgs) -> ExitCode {
    let start = Instant::now();
    let plan = match args.plan() {
        Ok(plan) => plan,
        Err(sentence) => {
            let failure = Failure::usage(sentence.to_string());
            return ExitCode::from(failure.tell(exit::NOT_POSSIBLE));
        }
    };
    fresh_line::stdin_is_read();
    let mut report = Report::default();
    if let Err(stopped) = converse(&plan, &mut report) {
        stopped.note_in(&mut report);
    }
    report.duration = start.elapsed();
    if plan.exit_detail {
        report.detail_exit_status();
    }
    // The reason cannot be printed when stderr is broken, so the exit status has to show the failure.
    if report.tell(plan.voice).is_err() && report.exit_status == 0 {
        return ExitCode::from(exit::NOT_POSSIBLE);
    }
    ExitCode::from(report.exit_status)
}

/// Why there was no conversation.
enum Stopped {
    Signal(Option<Signal>),
    Unresolved(ResolveError),
    Unconnected,
    Impossible { op: &'static str, errno: Option<Errno>, message: String },
}

/// The whole run; what it learns goes into the report as it learns it.
fn converse(plan: &Plan, report: &mut Report) -> Result<(), Stopped> {
    // Before anybody is connected to.
    input::check().map_err(|errno| Stopped::Impossible {
        op: input::READ,
        errno: Some(errno),
        message: input::sentence(errno),
    })?;
    let signals = Signals::catch(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
        .map_err(|errno| impossible("signalfd", &errno))?
        .with_reader();
    // Held until the end: dropping it would end its connections.
    let (addrs, _server) = match &plan.endpoint {
        Some(endpoint) => (addresses(plan, endpoint, &signals)?, None),
        None => own_server(plan).map(|(addr, server)| (vec![addr], Some(server)))?,
    };
    let calls = plan.calls.then(Calls::new);
    let connection = connect(plan, &addrs, &signals, report, calls.as_ref())?;
    if plan.voice == Voice::Verbose {
        tell_connection(plan, &connection);
    }
    let (input, output) = (io::stdin(), Screen::stdout(plan.raw));
    let interrupts = Signalled { signals: &signals, last: Cell::new(None) };
    let tracer = calls.as_ref().map(|calls| calls as &dyn Tracer);
    let relayed = relay(&connection, input.as_fd(), &output, &interrupts, plan.rules, tracer);
    output.finish();
    let Connection { local, peer, .. } = connection;
    drop(connection);
    if let Some(calls) = calls {
        calls.close(local, peer);
    }
    findings::note(relayed, interrupts.last.get(), report, plan, peer);
    Ok(())
}

/// The signals as the relay's interrupts.
struct Signalled<'a> {
    signals: &'a Signals,
    /// The last signal.
    last: Cell<Option<Signal>>,
}

impl AsFd for Signalled<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

impl Interrupts for Signalled<'_> {
    fn next(&self) -> Option<Interrupt> {
        let signal = self.signals.next()?;
        self.last.set(Some(signal));
        Some(match signal {
            Signal::SIGPIPE => Interrupt::OutputClosed,
            _ => Interrupt::User,
        })
    }
}

fn addresses(
    plan: &Plan,
    endpoint: &Endpoint,
    signals: &Signals,
) -> Result<Vec<SocketAddr>, Stopped> {
    lookup(endpoint, plan.family, plan.connect_timeout, signals).map_err(|why| match why {
        NoAddress::Failed(error) => Stopped::Unresolved(error),
        NoAddress::Interrupted => Stopped::Signal(signals.next()),
    })
}

fn own_server(plan: &Plan) -> Result<(SocketAddr, Server), Stopped> {
    let host: IpAddr = match plan.family {
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
        _ => Ipv4Addr::LOCALHOST.into(),
    };
    let server = Server::builder()
        .listen(SocketAddr::new(host, 0))
        .keep_sessions(0)
        .start()
        .map_err(|error| impossible("listen", &error))?;
    let addr = server.addr();
    if matches!(plan.voice, Voice::Plain | Voice::Verbose) {
        say(&format!("no address given: talking with a server of our own on {addr}"));
    }
    Ok((addr, server))
}

fn impossible(op: &'static str, why: &dyn std::error::Error) -> Stopped {
    Stopped::Impossible { op, errno: None, message: format!("{op}: {why}") }
}

fn connect(
    plan: &Plan,
    addrs: &[SocketAddr],
    signals: &Signals,
    report: &mut Report,
    calls: Option<&Calls>,
) -> Result<Connection, Stopped> {
    let how = ConnectOptions::default()
        .source(plan.source)
        .timeout(plan.connect_timeout)
        .interrupt(signals.as_fd())
        .keepalive(plan.keepalive)
        .user_timeout(plan.rules.user_timeout)
        // getaddrinfo(3) has given the addresses of both families in one answer, so none is waited for.
        .overlap(plan.race);
    let how = match calls {
        Some(calls) => how.tracer(calls),
        None => how,
    };
    let opened = Connection::open(addrs, &how);
    report.attempts = match &opened {
        Ok(connection) => connection.failed.clone(),
        Err(failed) => failed.attempts.clone(),
    };
    if let Ok(connection) = &opened {
        report.local = Some(connection.local);
        report.connect_time = Some(connection.connect_time);
        report.outrun.clone_from(&connection.outrun);
    }
    opened.map_err(|failed| {
        if failed.is_interrupted() { Stopped::Signal(signals.next()) } else { Stopped::Unconnected }
    })
}

fn tell_connection(plan: &Plan, connection: &Connection) {
    let Connection { local, peer, connect_time, failed, outrun, .. } = connection;
    for attempt in failed {
        say(&format!("tried {} ({})", attempt.diagnosis.seen, attempt.ending));
    }
    for (addr, elapsed) in outrun {
        say(&format!(
            "tried {addr}: no answer yet after {}, and given up for {peer}",
            crate::units::span(*elapsed)
        ));
    }
    say(&format!("connected to {peer} from {local} in {}", crate::units::span(*connect_time)));
    let user_timeout = match plan.rules.user_timeout {
        Some(limit) => format!("TCP_USER_TIMEOUT {}", tcpecho::internal::show_duration(limit)),
        None => "TCP_USER_TIMEOUT the kernel's".into(),
    };
    let keepalive = match plan.keepalive {
        Some(Keepalive { idle, interval, count }) => {
            format!(
                "SO_KEEPALIVE after {}, every {}, {count} probes",
                tcpecho::internal::show_duration(idle),
                tcpecho::internal::show_duration(interval)
            )
        }
        None => "SO_KEEPALIVE off".into(),
    };
    say(&format!("options: TCP_NODELAY on, {user_timeout}, {keepalive}, IP_RECVERR on"));
}
