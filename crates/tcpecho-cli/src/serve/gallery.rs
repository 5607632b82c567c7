//! `serve --gallery`: every way that a TCP server can fail, each on a port of its own.
//!
//! A row is a server with a listener, loop and limits of its own, so that a client of one row cannot disturb another.

mod page;
mod ports;
mod rows;

use std::{
    fmt::Write,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use rustix::io::Errno;
use serde::Serialize;
use tcpecho::{Engine, Error};

use self::{page::Page, rows::Row};
use super::{Limits, args::Plan, attend::Attended, speech::Speech, start};
use crate::{
    http::{self, HttpServer, Listener, Request, Response, reachable},
    page::Origin,
    width::hang,
};

/// A running gallery.
pub(super) struct Gallery {
    rows: Vec<Row>,
    pub(super) servers: Vec<Attended>,
    /// Of the page.
    addrs: Vec<SocketAddr>,
    /// Serves the page. It ends when the servers begin to drain, so that its port is free as well.
    pub(super) http: Option<HttpServer>,
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
    let more = rows() as u16;
    if port.checked_add(more).is_none() {
        let (last, highest) = (u32::from(port) + u32::from(more), u16::MAX - more);
        return Some(format!(
            "--gallery: the ports from {port} to {last} do not fit below 65536: \
             choose a first port of at most {highest}"
        ));
    }
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
        // A name may stand for an address that was given, too.
        let mut once: Vec<SocketAddr> = Vec::new();
        for addr in listen {
            if !once.contains(addr) {
                once.push(*addr);
            }
        }
        ports::take(&once, more, |page, addrs| {
            let mut servers: Vec<Attended> = Vec::with_capacity(rows.len());
            for (row, place) in rows.iter().zip(1..) {
                let mut at = addrs.to_vec();
                for addr in &mut at {
                    addr.set_port(addr.port() + place);
                }
                let seed = servers.first().map(|first| first.server.seed()).or(plan.seed);
                let limits = Limits { engine, most, fault: row.parsed(), seed };
                let speech = speech.of_row(row.name);
                let server = start(plan, &at, &limits, &speech)?;
                servers.push(Attended { server: Arc::new(server), speech });
            }
            Ok((servers, addrs.to_vec(), page))
        })
        .and_then(|(servers, addrs, page)| {
            let mut gallery = Gallery { rows, servers, addrs, http: None };
            gallery.http = Some(gallery.serve_page(page)?);
            Ok(gallery)
        })
    }

    /// Starts to answer requests for the page.
    fn serve_page(&self, listeners: Vec<TcpListener>) -> Result<HttpServer, Error> {
        let site = Site {
            rows: Row::all(),
            addr: self.addrs[0],
            seed: self.seed(),
            json: self.json() + "\n",
            origin: Origin::now(),
        };
        let listeners = listeners.into_iter().map(Listener::Tcp).collect();
        http::start(listeners, Arc::new(move |request| site.answer(&request))).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Error::at("start the page", self.addrs[0], errno)
        })
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
        format!("http://{}/", reachable(self.addrs[0]))
    }

    /// Returns the object of `--json`, in one line without its newline.
    pub(super) fn json(&self) -> String {
        fn object(row: &Row, port: u16) -> RowObject<'_> {
            RowObject {
                port,
                name: row.name,
                fault: row.fault,
                script: row.script.as_deref(),
                does: row.does,
                ending: row.ending.word(),
                expect: row.expect,
            }
        }
        let faults = self.rows.iter().zip(self.ports()).map(|(row, port)| object(row, port));
        let object = Object {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            seed: self.seed(),
            index: self.index(),
            addresses: self.addrs.iter().map(|addr| addr.ip().to_string()).collect(),
            faults: faults.collect(),
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
        let page = format!("explained on the page {}", self.index());
        hang(&mut table, "", "  ", &page, width);
        let names = self.rows.iter().map(|row| row.label().chars().count()).max().unwrap_or(0);
        let _ = writeln!(table, "{:<5}  {:<names$}  the server; a correct client", "port", "fault");
        for (row, port) in self.rows.iter().zip(self.ports()) {
            let begin = format!("{port:<5}  {:<names$}  ", row.label());
            let text = format!("{}; a correct client {}", row.does, row.expect);
            hang(&mut table, &begin, &" ".repeat(names + 9), &text, width);
        }
        // A low terminal has only the end of the table.
        hang(&mut table, "", "  ", &page, width);
        table
    }
}

/// What the first port answers over HTTP.
struct Site {
    rows: Vec<Row>,
    addr: SocketAddr,
    seed: u64,
    json: String,
    origin: Origin,
}

/// The page needs its own style, and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

impl Site {
    fn answer(&self, request: &Request) -> Response {
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            return Response::error(405, "the page of the gallery is only read: use GET")
                .with("allow", "GET, HEAD");
        }
        let response = match request.path.as_str() {
            "/" | "/index.html" => {
                let (rows, seed, origin) = (&self.rows, self.seed, &self.origin);
                let addr = reachable(request.local.unwrap_or(self.addr));
                let page = Page { rows, addr, seed, origin };
                Response::new(200, "text/html; charset=utf-8", page.html())
                    .with("content-security-policy", POLICY)
            }
            "/gallery.json" => Response::new(200, "application/json", self.json.clone()),
            path => {
                let name = path.strip_prefix("/faults/").unwrap_or_default();
                match self.rows.iter().find(|row| row.name == name) {
                    Some(row) => Response::new(302, "text/plain; charset=utf-8", "")
                        .with("location", format!("/#{}", row.name)),
                    None => {
                        Response::error(404, "there are only /, /gallery.json and /faults/NAME")
                    }
                }
            }
        };
        response.with("x-content-type-options", "nosniff").with("cache-control", "no-store")
    }
}
