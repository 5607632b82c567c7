//! The arguments of `tcpecho serve`, and the plan that they mean.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use tcpecho::{
    DEFAULT_PORT, ENGINES, Endpoint, Engine, Fault, FaultWhen, Keepalive, ParseError,
    internal::{
        LONGEST_USER_TIMEOUT, ListenHost, is_local, parse_duration, parse_listen, parse_listen_port,
    },
};
use tcpecho_os::errno::io_words;

use super::{
    control::{ControlPlan, Place as ControlPlace, Token},
    faults::with_condition,
    log_form::LogForm,
};
use crate::number::number;

/// Run a TCP echo server.
///
/// When the server is ready, it prints one line for each listener to stdout (to stderr if stdout is closed or cannot be
/// written). The log goes to stderr: one line per connection, when it ends.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct ServeArgs {
    /// Where to listen, as for -l; for several listeners, use -l
    #[arg(value_name = "[HOST:]PORT", conflicts_with = "listen")]
    place: Option<Place>,

    /// Port, if the argument before it is a HOST
    #[arg(value_name = "PORT", value_parser = parse_listen_port, conflicts_with_all = ["listen", "port"])]
    place_port: Option<u16>,

    /// Listen on HOST:PORT, HOST, PORT or :PORT; may be repeated. A name stands for all its addresses of this host; a
    /// port is a number or a service name [default: all addresses of this host]
    #[arg(short, long, value_name = "[HOST:]PORT", env = "TCPECHO_LISTEN", value_delimiter = ',')]
    listen: Vec<Place>,

    #[command(flatten)]
    port: Port,

    /// Engine that serves the connections; `list` prints all of them
    #[arg(short, long, value_name = "NAME", env = "TCPECHO_ENGINE", default_value = "auto", value_parser = engine())]
    engine: String,

    /// Number of loops, each with its own listener on the same port (SO_REUSEPORT)
    #[arg(long, value_name = "N", env = "TCPECHO_WORKERS", default_value_t = 1, value_parser = number::<u16>(1, 1024))]
    workers: u16,

    /// Backlog of listen(2) [default: the kernel's maximum, net.core.somaxconn]
    #[arg(long, value_name = "N", env = "TCPECHO_BACKLOG", value_parser = number::<u32>(0, u32::MAX.into()))]
    backlog: Option<u32>,

    /// Maximum number of connections; further connections are closed at once [default: 2000 for fork and thread, 10000
    /// for the others, less if the descriptor limit is lower]
    #[arg(short, long, value_name = "N", env = "TCPECHO_MAX_CONNECTIONS", value_parser = number::<u32>(1, u32::MAX.into()))]
    max_connections: Option<u32>,

    /// Close a connection on which no byte was received or sent for this time; 0 means no limit
    #[arg(long, value_name = "TIME", env = "TCPECHO_IDLE_TIMEOUT", default_value = "0", value_parser = parse_duration)]
    idle_timeout: Duration,

    /// Time limit for connections to finish after the first signal
    #[arg(long, value_name = "TIME", env = "TCPECHO_DRAIN_TIMEOUT", default_value = "10s", value_parser = parse_duration)]
    drain_timeout: Duration,

    /// Close a connection if sent data is not acknowledged for this time (TCP_USER_TIMEOUT); 0 uses the kernel's limit
    #[arg(long, value_name = "TIME", env = "TCPECHO_USER_TIMEOUT", default_value = "0", value_parser = user_timeout)]
    user_timeout: Duration,

    /// Idle time before the first keepalive probe; four unanswered probes close the connection. They are 30 s apart, or a
    /// quarter of TIME if that is less; 0 sends no probes
    #[arg(long, value_name = "TIME", env = "TCPECHO_KEEPALIVE", default_value = "2m", value_parser = keepalive_time)]
    keepalive: Duration,

    /// Fail on demand: play a script, such as 'echo 100; pause 2s; reset', or a preset, such as reset-after=100, on each
    /// connection; or several, as WHEN:SCRIPT,WHEN:SCRIPT. `list` prints the presets
    #[arg(long, value_name = "SCRIPT|PRESET", env = "TCPECHO_FAULT", value_parser = FaultArg::parse)]
    fault: Option<FaultArg>,

    /// Which connections get the fault: all, every=N, probability=P, peer=ADDRESS/LENGTH, first=TIME, N or N-M
    /// [default: all]
    #[arg(long, value_name = "WHEN", env = "TCPECHO_FAULT_WHEN")]
    fault_when: Option<FaultWhen>,

    /// Seed of everything random in faults; the same seed gives the same run [default: random; the log names it]
    #[arg(long, value_name = "N", env = "TCPECHO_SEED", value_parser = number::<u64>(0, u64::MAX))]
    seed: Option<u64>,

    /// Serve the gallery: an echo and every preset of --fault, each on a port of its own. They follow the first port, which
    /// has a page about them over HTTP. Without an address, it listens on loopback; without a port, on free ones
    #[arg(long)]
    gallery: bool,

    /// With --gallery, print one JSON object instead of the table (tcpecho schema gallery)
    #[arg(long, requires = "gallery")]
    json: bool,

    /// Serve control over HTTP: set faults, reset sessions (docs/control.md). ADDR is a port of loopback, such as
    /// 127.0.0.1:7001; another address needs a token
    #[arg(long, value_name = "ADDR|unix:PATH", env = "TCPECHO_CONTROL")]
    control: Option<ControlPlace>,

    /// File with the token that control requests have to send; TCPECHO_CONTROL_TOKEN may have the token itself
    #[arg(long, value_name = "FILE", env = "TCPECHO_CONTROL_TOKEN_FILE")]
    control_token_file: Option<PathBuf>,

    /// End as after SIGTERM when stdin ends: with the program that started the server, however that ends
    #[arg(long)]
    until_eof: bool,

    /// Print to stderr how the listeners are created, their queues, and the TCP states of connections. The kernel's socket
    /// table is read 100 times per second, so states that last less than 10 ms may not be shown
    #[arg(long)]
    calls: bool,

    /// Log format
    #[arg(long, env = "TCPECHO_LOG", default_value = "text", value_enum)]
    log: LogForm,
}

/// The value of `--fault`.
#[derive(Debug, Clone)]
enum FaultArg {
    List,
    Fault(Fault),
}

impl FaultArg {
    fn parse(text: &str) -> Result<Self, ParseError> {
        if text == "list" {
            return Ok(FaultArg::List);
        }
        text.parse().map(FaultArg::Fault)
    }
}

#[derive(Debug, Args)]
struct PortArg {
    /// Port for listeners without one; 0 takes a free port
    #[arg(short, long, env = "TCPECHO_PORT", value_parser = parse_listen_port, default_value_t = DEFAULT_PORT)]
    port: u16,
}

/// `--port`, and whether it was typed. One that nobody needs is an error then; in the environment it is a default.
#[derive(Debug)]
struct Port {
    number: u16,
    is_typed: bool,
    /// Neither typed nor in the environment.
    is_default: bool,
}

impl FromArgMatches for Port {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let PortArg { port: number } = PortArg::from_arg_matches(matches)?;
        let source = matches.value_source("port");
        let is_typed = source == Some(ValueSource::CommandLine);
        let is_default = source.is_none_or(|source| source == ValueSource::DefaultValue);
        Ok(Port { number, is_typed, is_default })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Port::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Port {
    fn augment_args(command: Command) -> Command {
        PortArg::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        PortArg::augment_args_for_update(command)
    }
}

/// Where to listen, before the port is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Host(ListenHost, Option<u16>),
    Port(u16),
}

impl FromStr for Place {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let port = text.strip_prefix(':').or_else(|| text.strip_prefix("*:"));
        // An IPv6 address may begin with a colon, too.
        if let Some(port) = port.filter(|port| !port.contains(':')) {
            return parse_listen_port(port).map(Place::Port);
        }
        // A number is not a host.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return parse_listen_port(text).map(Place::Port);
        }
        let (host, port) = parse_listen(text).map_err(|error| {
            ParseError::new(format!(
                "{error} (examples: {DEFAULT_PORT}, 127.0.0.1, localhost:{DEFAULT_PORT}, [::1]:{DEFAULT_PORT}, \
                 [fe80::1%eth0]:{DEFAULT_PORT})"
            ))
        })?;
        Ok(Place::Host(host, port))
    }
}

/// Where to listen: a host with its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listen {
    Addr(SocketAddr),
    /// A name, to be resolved.
    Name(Endpoint),
}

/// Reads where to listen, for the fuzz targets.
///
/// # Errors
/// Why the text does not say that.
#[cfg(feature = "fuzzing")]
pub fn fuzzed_listener(text: &str) -> Result<String, String> {
    let place = text.parse::<Place>().map_err(|error| error.to_string())?;
    Ok(format!("{place:?}"))
}

/// The silence after which keepalive asks.
fn keepalive_time(text: &str) -> Result<Duration, ParseError> {
    at_most(parse_duration(text)?, Keepalive::LONGEST, "keepalive starts after 32767s (9.1h)")
}

/// How long data may stay unacknowledged.
fn user_timeout(text: &str) -> Result<Duration, ParseError> {
    at_most(parse_duration(text)?, LONGEST_USER_TIMEOUT, "a user timeout is 2147483647ms (596.5h)")
}

/// The kernel would refuse a longer one with EINVAL, without saying why.
fn at_most(span: Duration, longest: Duration, what: &str) -> Result<Duration, ParseError> {
    if span <= longest {
        return Ok(span);
    }
    Err(ParseError::new(format!("{what} at most, which is the kernel's limit (tcp(7))")))
}

/// Which engine.
pub(super) enum Choice {
    Auto,
    List,
    Named(&'static Engine),
}

/// How the gallery says that it is ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadyForm {
    Table,
    Json,
}

/// What was asked for, checked.
pub(super) struct Plan {
    pub(super) listen: Vec<Listen>,
    pub(super) engine: Choice,
    pub(super) workers: usize,
    pub(super) backlog: u32,
    pub(super) max_connections: Option<usize>,
    pub(super) idle_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) user_timeout: Duration,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) log: LogForm,
    pub(super) calls: bool,
    pub(super) until_eof: bool,
    pub(super) fault: Option<Fault>,
    pub(super) seed: Option<u64>,
    /// The gallery instead of one server, and how it says that it is ready.
    pub(super) gallery: Option<ReadyForm>,
    pub(super) control: Option<ControlPlan>,
    /// Print the presets and do nothing else.
    pub(super) lists_faults: bool,
}

impl ServeArgs {
    /// What these arguments mean.
    pub(super) fn plan(&self) -> Result<Plan, ParseError> {
        let engine = match self.engine.as_str() {
            "auto" => Choice::Auto,
            "list" => Choice::List,
            name => Choice::Named(
                Engine::named(name)
                    .ok_or_else(|| ParseError::new(format!("no engine is called {name}")))?,
            ),
        };
        self.check_gallery()?;
        Ok(Plan {
            listen: self.places()?,
            engine,
            workers: self.workers.into(),
            backlog: self.backlog.unwrap_or(u32::MAX),
            max_connections: self.max_connections.map(|n| n as usize),
            idle_timeout: self.idle_timeout,
            drain_timeout: self.drain_timeout,
            user_timeout: self.user_timeout,
            keepalive: keepalive(self.keepalive),
            log: self.log,
            calls: self.calls,
            until_eof: self.until_eof,
            fault: self.fault()?,
            seed: self.seed,
            gallery: self.gallery.then_some(if self.json {
                ReadyForm::Json
            } else {
                ReadyForm::Table
            }),
            control: self.control()?,
            lists_faults: matches!(self.fault, Some(FaultArg::List)),
        })
    }

    /// The gallery has its own faults, and is several servers.
    fn check_gallery(&self) -> Result<(), ParseError> {
        if !self.gallery {
            return Ok(());
        }
        let others = [
            (
                "--fault (TCPECHO_FAULT)",
                self.fault.is_some(),
                "it has every preset on a port of its own; for one fault alone, leave out --gallery",
            ),
            (
                "--fault-when (TCPECHO_FAULT_WHEN)",
                self.fault_when.is_some(),
                "each of its faults applies to all connections of its port",
            ),
            ("--calls", self.calls, "it watches one server; use it with --fault"),
            (
                "--control (TCPECHO_CONTROL)",
                self.control.is_some(),
                "each port keeps its fault; use it with --fault, or with no fault at first",
            ),
        ];
        match others.iter().find(|(_, is_given, _)| *is_given) {
            Some((name, _, why)) => {
                Err(ParseError::new(format!("--gallery cannot be used with {name}: {why}")))
            }
            None => Ok(()),
        }
    }

    /// The fault, with the condition of `--fault-when`.
    fn fault(&self) -> Result<Option<Fault>, ParseError> {
        let alone = [
            ("--fault-when (TCPECHO_FAULT_WHEN)", self.fault_when.is_some()),
            // Control may set a fault later.
            ("--seed (TCPECHO_SEED)", self.seed.is_some() && self.control.is_none()),
        ];
        let has_faults = self.fault.is_some() || self.gallery;
        if let Some((name, _)) = alone.iter().find(|(_, given)| *given && !has_faults) {
            let sentence = format!("{name} needs --fault (TCPECHO_FAULT)");
            return Err(ParseError::new(sentence));
        }
        let Some(FaultArg::Fault(fault)) = &self.fault else { return Ok(None) };
        let Some(when) = self.fault_when else { return Ok(Some(fault.clone())) };
        let refused = |why: &str| Err(ParseError::new(format!("--fault-when {when}: {why}")));
        match fault {
            Fault::Connections(plan) => match with_condition(plan, when) {
                Some(plan) => Ok(Some(Fault::Connections(plan))),
                None => refused("the value of --fault names its connections itself"),
            },
            _ => refused("a fault of the listener concerns all connections"),
        }
    }

    /// Where control listens, and the token that it needs beyond this host.
    fn control(&self) -> Result<Option<ControlPlan>, ParseError> {
        let Some(place) = self.control.clone() else {
            if self.control_token_file.is_some() {
                let sentence = "--control-token-file (TCPECHO_CONTROL_TOKEN_FILE) needs --control (TCPECHO_CONTROL)";
                return Err(ParseError::new(sentence));
            }
            return Ok(None);
        };
        let token = self.control_token()?;
        if token.is_none() && !place.is_local() {
            return Err(ParseError::new(
                "--control: an address other than loopback needs a token: set --control-token-file or \
                 TCPECHO_CONTROL_TOKEN, or take 127.0.0.1:PORT, [::1]:PORT or unix:PATH",
            ));
        }
        Ok(Some(ControlPlan { place, token }))
    }

    /// The token of the file, or that of the environment.
    fn control_token(&self) -> Result<Option<Token>, ParseError> {
        if self.control_token_file.is_some() && has_token_variable() {
            return Err(ParseError::new(
                "--control-token-file (TCPECHO_CONTROL_TOKEN_FILE) cannot be used with TCPECHO_CONTROL_TOKEN: \
                 unset one of them",
            ));
        }
        let (name, text) = match &self.control_token_file {
            Some(path) => {
                let name = format!("--control-token-file {}", path.display());
                let text = std::fs::read_to_string(path).map_err(|error| {
                    ParseError::new(format!("{name}: read: {}", io_words(&error)))
                })?;
                (name, text)
            }
            None => match std::env::var("TCPECHO_CONTROL_TOKEN") {
                Ok(text) if !text.is_empty() => ("TCPECHO_CONTROL_TOKEN".into(), text),
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(ParseError::new("TCPECHO_CONTROL_TOKEN: not valid UTF-8"));
                }
                _ => return Ok(None),
            },
        };
        let token = Token::parse(&text);
        token.map(Some).map_err(|error| ParseError::new(format!("{name}: {error}")))
    }

    /// The hosts and ports to listen on.
    fn places(&self) -> Result<Vec<Listen>, ParseError> {
        let mut places: Vec<Place> = self.listen.clone();
        // TCPECHO_LISTEN is ignored if a place was typed.
        match (&self.place, self.place_port) {
            (Some(Place::Host(host, None)), Some(port)) => {
                places = vec![Place::Host(host.clone(), Some(port))];
            }
            (Some(Place::Port(first)), Some(second)) => {
                return Err(ParseError::new(format!(
                    "{first} and {second} are two ports; for a listener on each, write -l {first} -l {second}"
                )));
            }
            (Some(Place::Host(_, Some(first))), Some(second)) => {
                return Err(ParseError::new(format!(
                    "the host has a port already, {first}, and {second} is another; for two listeners, use -l for each"
                )));
            }
            (Some(place), None) => places = vec![place.clone()],
            (None, _) => {}
        }
        let has_port = |place: &Place| !matches!(place, Place::Host(_, None));
        if self.port.is_typed && !places.is_empty() && places.iter().all(has_port) {
            return Err(ParseError::new(format!(
                "--port {} is not used: every listener has a port of its own",
                self.port.number
            )));
        }
        if places.is_empty() {
            let any = self.gallery && self.port.is_default;
            places.push(Place::Port(if any { 0 } else { self.port.number }));
        }
        Ok(places.into_iter().flat_map(|place| self.listen(place)).collect())
    }

    fn listen(&self, place: Place) -> Vec<Listen> {
        let one = match place {
            Place::Host(ListenHost::Addr(mut addr), port) => {
                addr.set_port(port.unwrap_or(self.port.number));
                Listen::Addr(addr)
            }
            Place::Host(ListenHost::Name(host), port) => {
                Listen::Name(Endpoint { host, port: port.unwrap_or(self.port.number) })
            }
            Place::Port(port) if self.gallery => {
                let addr = |ip| Listen::Addr(SocketAddr::new(ip, port));
                return loopback().into_iter().map(addr).collect();
            }
            Place::Port(port) => Listen::Addr(SocketAddr::new(wildcard(), port)),
        };
        vec![one]
    }
}

/// The address that stands for all of this host.
fn wildcard() -> IpAddr {
    if has_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// The loopback addresses of this host.
fn loopback() -> Vec<IpAddr> {
    let all = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let local: Vec<IpAddr> = all.into_iter().filter(|ip| is_local(*ip)).collect();
    if local.is_empty() { all[..1].to_vec() } else { local }
}

/// Whether this host can have IPv6 sockets at all (a kernel without it, or ipv6.disable=1).
fn has_ipv6() -> bool {
    use rustix::net::{AddressFamily, SocketType, socket};
    socket(AddressFamily::INET6, SocketType::STREAM, None).is_ok()
}

fn keepalive(idle: Duration) -> Option<Keepalive> {
    let usual = Keepalive::default();
    // The kernel counts in whole seconds.
    let idle = Duration::from_secs(idle.as_secs().max(u64::from(!idle.is_zero())));
    let interval = Duration::from_secs((idle.as_secs() / 4).clamp(1, usual.interval.as_secs()));
    (!idle.is_zero()).then_some(Keepalive { idle, interval, ..usual })
}

/// The names that `--engine` takes, out of the table.
fn engine() -> clap::builder::PossibleValuesParser {
    let named = ENGINES
        .iter()
        .map(|engine| clap::builder::PossibleValue::new(engine.name).help(engine.summary));
    let others = [
        clap::builder::PossibleValue::new("auto").help("the best engine that is available here"),
        clap::builder::PossibleValue::new("list")
            .help("print all engines, and whether each is available here"),
    ];
    clap::builder::PossibleValuesParser::new(named.chain(others))
}

/// Whether the environment has the token of control.
pub(super) fn has_token_variable() -> bool {
    std::env::var_os("TCPECHO_CONTROL_TOKEN").is_some_and(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let addr = |text: &str, port| {
            Place::Host(ListenHost::Addr(SocketAddr::new(text.parse().unwrap(), 0)), port)
        };
        let name = |text: &str, port| Place::Host(ListenHost::Name(text.into()), port);
        for (text, place) in [
            ("127.0.0.1", addr("127.0.0.1", None)),
            ("127.0.0.1:7", addr("127.0.0.1", Some(7))),
            ("[::1]:0", addr("::1", Some(0))),
            ("[::1]", addr("::1", None)),
            ("::1", addr("::1", None)),
            ("localhost", name("localhost", None)),
            ("localhost:7", name("localhost", Some(7))),
            (":80", Place::Port(80)),
            ("*:80", Place::Port(80)),
            ("7012", Place::Port(7012)),
            ("0", Place::Port(0)),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
        for text in
            ["", ":", "1.2.3.4:99999", "99999", "[::1", "\x1b[31m", "127.1:7", ":no-such-service"]
        {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(!error.contains('\x1b'), "{error}");
        }
    }

    #[test]
    fn what_the_kernel_would_not_take_is_refused_with_its_limit() {
        assert_eq!(keepalive_time("32767"), Ok(Keepalive::LONGEST));
        assert!(keepalive_time("32768").unwrap_err().to_string().contains("32767s"));
        assert_eq!(user_timeout("2147483.647"), Ok(LONGEST_USER_TIMEOUT));
        assert!(user_timeout("600h").unwrap_err().to_string().contains("2147483647ms"));
    }

    #[test]
    fn keepalive_counts_in_seconds() {
        assert_eq!(keepalive(Duration::ZERO), None);
        assert_eq!(keepalive(Duration::from_secs(120)), Some(Keepalive::default()));
        let short = keepalive(Duration::from_millis(300)).unwrap();
        assert_eq!((short.idle, short.interval), (Duration::from_secs(1), Duration::from_secs(1)));
    }
}
