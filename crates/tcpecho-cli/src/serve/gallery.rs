//! `serve --gallery`: every way that a TCP server can fail, each on a port of its own.
//!
//! A row is a server with a listener, loop and limits of its own, so that a client of one row cannot disturb another.

mod ports;
mod rows;

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use serde::Serialize;
use tcpecho::{Engine, Error};

use self::rows::Row;
use super::{Limits, args::Plan, attend::Attended, speech::Speech, start};
use crate::width::hang;

/// A running gallery.
pub(super) struct Gallery {
    rows: Vec<Row>,
    pub(super) servers: Vec<Attended>,
    /// Of the page.
    addrs: Vec<SocketAddr>,
    _page: Vec<TcpListener>,
}

/// The object of `--json`, and of the page's /gallery.json.
#[derive(Serialize)]
#[serde(tag = "type", rename = "gallery")]
struct Object<'a> {
    version: &'static str,
    pid: u32,
    seed: u64,
    index: String,
    addresses: Vec<String>,
    faults: Vec<RowObject<'a>>,
}

#[derive(Serialize)]
struct RowObject<'a> {
    port: u16,
    name: &'a str,
    fault: Option<&'a str>,
    script: Option<&'a str>,
    does: &'a str,
    ending: &'a str,
    expect: &'a str,
}

/// How many rows there are.
pub(super) fn rows() -> usize {
    tcpecho::PRESETS.len() + 1
}

/// Returns why these addresses cannot have one range of ports.
pub(super) fn misplaced(listen: &[SocketAddr]) -> Option<String> {
    let port = listen.first()?.port();
    let other = listen.iter().find(|addr| addr.port() != port)?;
    Some(format!(
        "--gallery takes one range of ports, the same on every address, and {port} and {} differ",
        other.port()
    ))
}

impl Gallery {
    /// Binds everything and starts to serve.
    ///
    /// # Errors
    /// The failed call. Nothing is left of the gallery then.
    pub(super) fn start(
        plan: &Plan,
        listen: &[SocketAddr],
        engine: &'static Engine,
        most: usize,
        speech: &Speech,
    ) -> Result<Self, Error> {
        let rows = Row::all();
        let more = rows.len() as u16;
        ports::take(listen, more, |page, addrs| {
            let mut servers: Vec<Attended> = Vec::with_capacity(rows.len());
            for (row, place) in rows.iter().zip(1..) {
                let mut at = addrs.to_vec();
                at.iter_mut().for_each(|addr| addr.set_port(addr.port() + place));
                let seed = servers.first().map(|first| first.server.seed()).or(plan.seed);
                let limits = Limits { engine, most, fault: row.parsed(), seed };
                let speech = speech.of_row(row.name);
                let server = start(plan, &at, &limits, &speech)?;
                servers.push(Attended { server, speech });
            }
            Ok((servers, addrs.to_vec(), page))
        })
        .map(|(servers, addrs, page)| Gallery { rows, servers, addrs, _page: page })
    }

    /// Returns the seed of all rows.
    pub(super) fn seed(&self) -> u64 {
        self.servers[0].server.seed()
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        self.addrs[0].port() + 1..
    }

    /// Returns the address of the page.
    fn index(&self) -> String {
        let mut addr = self.addrs[0];
        match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{addr}/")
    }

    /// Returns the object of `--json`, in one line without its newline.
    pub(super) fn json(&self) -> String {
        let row = |(row, port): (&'_ Row, u16)| RowObject {
            port,
            name: row.name,
            fault: row.fault,
            script: None,
            does: row.does,
            ending: row.ending.word(),
            expect: row.expect,
        };
        let mut faults: Vec<RowObject<'_>> = self.rows.iter().zip(self.ports()).map(row).collect();
        for (object, row) in faults.iter_mut().zip(&self.rows) {
            object.script = row.script.as_deref();
        }
        let object = Object {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            seed: self.seed(),
            index: self.index(),
            addresses: self.addrs.iter().map(|addr| addr.ip().to_string()).collect(),
            faults,
        };
        // Strings and numbers are always JSON.
        serde_json::to_string(&object).unwrap_or_default()
    }

    /// Returns the table, with lines that fit.
    pub(super) fn table(&self, width: Option<usize>) -> String {
        let width = width.unwrap_or(usize::MAX);
        let mut table = String::new();
        let first = &self.servers[0].server;
        let addresses: Vec<String> = self.addrs.iter().map(|addr| addr.ip().to_string()).collect();
        let (from, engine, backlog) =
            (self.addrs[0].port() + 1, first.engine().name, first.backlog());
        let last = usize::from(from) + self.rows.len() - 1;
        let head = format!(
            "gallery on {}: ports {from} to {last}, engine={engine} workers={} backlog={backlog} seed={}",
            addresses.join(" and "),
            first.workers(),
            self.seed(),
        );
        hang(&mut table, "", "  ", &head, width);
        hang(&mut table, "", "  ", &format!("explained on the page {}", self.index()), width);
        let names = self.rows.iter().map(|row| row.label().chars().count()).max().unwrap_or(0);
        let _ = writeln!(table, "{:<5}  {:<names$}  the server; a correct client", "port", "fault");
        for (row, port) in self.rows.iter().zip(self.ports()) {
            let begin = format!("{port:<5}  {:<names$}  ", row.label());
            let text = format!("{}; a correct client {}", row.does, row.expect);
            hang(&mut table, &begin, &" ".repeat(names + 9), &text, width);
        }
        table
    }
}
