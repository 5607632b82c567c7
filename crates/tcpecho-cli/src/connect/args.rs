//! The arguments of `tcpecho connect`, and the plan that they mean.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use tcpecho::{
    Endpoint, Family, Keepalive, ParseError,
    internal::{parse_duration, parse_source, relay::Rules},
};

use super::keepalive::{self, Asking, UserTimeout};
use crate::tell::Voice;

/// Send stdin to an echo server, print the echo, and compare every byte.
///
/// Input is sent as it arrives. At the end of stdin the client sends FIN (half-close) and reads the rest of the echo.
/// stdout has the echoed bytes only; messages, and the object of --json, go to stderr.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// HOST, HOST:PORT, [V6]:PORT or V6; without it, connect starts a server of its own on a free loopback port
    #[arg(value_name = "HOST[:PORT]")]
    host: Option<String>,

    /// Port, a number or a service name, if HOST does not contain one [default: 9877]
    #[arg(value_name = "PORT")]
    port: Option<String>,

    /// Use IPv4 addresses only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,

    /// Use IPv6 addresses only
    #[arg(short = '6', long)]
    ipv6: bool,

    /// Connect from this local address
    #[arg(short, long, value_name = "ADDR[:PORT]", value_parser = parse_source)]
    source: Option<SocketAddr>,

    /// Time limit for the name lookup, and for each address; 0 leaves it to the resolver and the kernel
    #[arg(short = 'w', long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    connect_timeout: Duration,

    /// Give up if part of the echo is missing and no byte has moved for this time; 0 means no limit
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,

    /// Give up if sent data is not acknowledged for this time (TCP_USER_TIMEOUT); "off" uses the kernel's limit, about 15
    /// minutes [default: 30s, or the kernel's limit if tcp_retries2 makes it shorter]
    #[arg(long, value_name = "TIME", value_parser = keepalive::user_timeout)]
    user_timeout: Option<UserTimeout>,

    /// Keepalive: idle time, probe interval, probes before giving up; "off" sends no probes. COUNT applies only with
    /// --user-timeout off (tcp(7))
    #[arg(
        long,
        value_name = "IDLE[,INTERVAL[,COUNT]]",
        default_value = "15s,5s,3",
        value_parser = keepalive::keepalive
    )]
    keepalive: Asking,

    /// Try the addresses of a name one after the other, in the resolver's order, not in parallel (RFC 8305)
    #[arg(long)]
    no_race: bool,

    /// Print each system call, its result, and the TCP state that the kernel reports afterwards: a fast peer may have
    /// answered by then
    #[arg(long)]
    calls: bool,

    /// Use one exit status per ending; --help lists them
    #[arg(long)]
    exit_detail: bool,

    /// Print what the server sends and compare nothing. After the server's FIN the rest of stdin is still sent, unless
    /// stdin is a terminal
    #[arg(long)]
    no_check: bool,

    /// Write the bytes of the server to a terminal as they are. Without it, control characters are shown as by cat -v, such
    /// as ^[ for ESC; a file or a pipe always gets the bytes as they are
    #[arg(long)]
    raw: bool,

    /// Print how the connection was made, its socket options, and a summary
    #[arg(short, long)]
    verbose: bool,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Write one JSON object to stderr at the end, and no messages
    #[arg(long, conflicts_with_all = ["verbose", "quiet", "calls"])]
    json: bool,
}

/// What was asked for, checked.
// Flags are what they are.
#[allow(clippy::struct_excessive_bools)]
pub(super) struct Plan {
    /// None for a server of our own.
    pub(super) endpoint: Option<Endpoint>,
    pub(super) family: Family,
    pub(super) source: Option<SocketAddr>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) rules: Rules,
    pub(super) voice: Voice,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) race: bool,
    pub(super) calls: bool,
    pub(super) raw: bool,
    pub(super) exit_detail: bool,
}

impl ConnectArgs {
    /// What these arguments mean.
    pub(super) fn plan(&self) -> Result<Plan, ParseError> {
        let endpoint = match (&self.host, &self.port) {
            (None, _) => None,
            (Some(host), None) => Some(host.parse()?),
            (Some(host), Some(port)) => Some(Endpoint::with_port(host, port)?),
        };
        let never_if_zero = |span: Duration| Some(span).filter(|span| !span.is_zero());
        Ok(Plan {
            endpoint,
            family: self.family()?,
            source: self.source,
            connect_timeout: never_if_zero(self.connect_timeout),
            rules: Rules {
                check: !self.no_check,
                timeout: never_if_zero(self.timeout),
                user_timeout: self
                    .user_timeout
                    .map_or_else(keepalive::usual_user_timeout, |set| set.0),
            },
            voice: match self {
                _ if self.json => Voice::Json,
                _ if self.verbose => Voice::Verbose,
                _ if self.quiet => Voice::Quiet,
                _ => Voice::Plain,
            },
            keepalive: self.keepalive.0,
            race: !self.no_race,
            calls: self.calls,
            raw: self.raw,
            exit_detail: self.exit_detail,
        })
    }

    /// A source address connects to its own family only.
    fn family(&self) -> Result<Family, ParseError> {
        let asked = match self {
            _ if self.ipv4 => Family::V4,
            _ if self.ipv6 => Family::V6,
            _ => Family::Any,
        };
        match self.source {
            Some(source) if !asked.admits(&source) => {
                let (option, allowed) = if self.ipv4 { ("-4", "IPv4") } else { ("-6", "IPv6") };
                Err(ParseError::new(format!(
                    "the source address {} is not an {allowed} address, which {option} asks for",
                    source.ip()
                )))
            }
            Some(source) if source.is_ipv4() => Ok(Family::V4),
            Some(_) => Ok(Family::V6),
            None => Ok(asked),
        }
    }
}
