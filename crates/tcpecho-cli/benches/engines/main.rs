//! Compares the engines of `tcpecho serve` with each other and with a minimal C epoll echo:
//! how fast, at what cost, and whether every byte comes back.
//!
//! ```text
//! cargo bench --bench engines -- --modes rr50,stream1 --engines epoll,uring --seconds 1 --rounds 5
//! ```
//!
//! Every server is a process of its own on one core, the generator (`tcpecho-load`) on another. A
//! mode visits all servers in turn, round after round, so that what else the machine does befalls all
//! alike. Markdown goes to standard output, progress to standard error. Exit status: 0; 1 when a server
//! failed, or lost or changed a byte; 2 for what was not understood.
#![forbid(unsafe_code)]

mod loads;
mod machine;
mod modes;
mod options;
mod peers;
mod report;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use loads::{Sample, Visit};
use machine::Cores;
use modes::Mode;
use options::{Options, Order, Request};
use peers::Peer;
use report::{Row, Table};
use server::{Server, Unready};

fn main() -> ExitCode {
    match Options::parse().understand() {
        Request::Measure(order) => measure(order),
        Request::Say(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Request::Refuse(reason) => {
            eprintln!("engines: {reason}");
            ExitCode::from(2)
        }
    }
}

fn measure(order: Order) -> ExitCode {
    let cores = match machine::raise_descriptors().and_then(|()| Cores::take()) {
        Ok(cores) => cores,
        Err(error) => {
            eprintln!("engines: {error}");
            return ExitCode::from(2);
        }
    };
    report::facts(&[order.facts(), machine::facts(&cores)].concat());
    let mut bench = Bench { length: order.length, rounds: order.rounds, cores, peers: Vec::new() };
    let unready = bench.gather(order.peers);
    let tables: Vec<Table> = order.modes.iter().map(|mode| bench.table(mode)).collect();
    report::summary(&tables);
    let faultless = report::faults(&unready, &tables);
    ExitCode::from(u8::from(!faultless))
}

struct Bench {
    length: Duration,
    rounds: usize,
    cores: Cores,
    peers: Vec<Peer>,
}

impl Bench {
    /// Starts and ends every server once: those that cannot run here are skipped, with the reason.
    /// Returns those that should have been able to, but did not start.
    fn gather(&mut self, peers: Vec<Peer>) -> Vec<(String, String)> {
        let baseline = Peer::baseline();
        if let Err(reason) = &baseline {
            println!("\nSKIP {}: {reason}", peers::BASELINE);
        }
        let mut unready = Vec::new();
        for peer in baseline.into_iter().chain(peers) {
            match Server::start(&peer, &self.cores) {
                Ok(_) => self.peers.push(peer),
                Err(Unready::Skip(reason)) => println!("\nSKIP {}: {reason}", peer.name),
                Err(Unready::Fault(reason)) => unready.push((peer.name, reason)),
            }
        }
        unready
    }

    fn table(&self, mode: &'static Mode) -> Table {
        let row =
            |peer: &Peer| Row { server: peer.name.clone(), rounds: Vec::new(), faults: Vec::new() };
        let mut rows: Vec<Row> = self.peers.iter().map(row).collect();
        for round in 0..self.rounds {
            for (peer, row) in self.peers.iter().zip(&mut rows) {
                if mode.connections <= peer.crowd {
                    eprintln!("{} round {}: {}", mode.name, round + 1, peer.name);
                    let sample = self.visit(mode, peer);
                    row.faults.extend(sample.faults);
                    row.rounds.push(sample.figures);
                }
            }
        }
        let table = Table { mode, rows };
        table.print();
        table
    }

    /// A fresh server for each visit: nothing that an earlier load left behind is measured.
    fn visit(&self, mode: &Mode, peer: &Peer) -> Sample {
        let server = match Server::start(peer, &self.cores) {
            Ok(server) => server,
            Err(Unready::Skip(reason) | Unready::Fault(reason)) => {
                return Sample { figures: Vec::new(), faults: vec![reason] };
            }
        };
        let visit = Visit { server: &server, length: self.length };
        let mut sample = mode.visit(&visit);
        sample.faults.extend(server.end().err());
        sample.faults.iter().for_each(|fault| eprintln!("  FAULT: {fault}"));
        sample
    }
}
