//! The program `tcpecho`.
#![forbid(unsafe_code)]

mod bench;
mod connect;
mod exit;
mod explain;
mod lab;
mod log;
mod lookup;
mod output;
mod ping;
mod relay;
mod serve;
mod signals;
mod size;
mod tell;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A TCP echo server, client, prober, load generator and laboratory that say what happened.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Echo what clients send
    Serve(serve::ServeArgs),
    /// Send standard input to an echo server, print what comes back, and check it
    Connect(connect::ConnectArgs),
    Ping(Box<ping::PingArgs>),
    /// Measure an echo server under load
    Bench(Box<bench::BenchArgs>),
    /// Merge results of bench into one
    Report(bench::ReportArgs),
    /// Watch what TCP does at its boundaries, between two hosts on a wire of our own
    Lab(lab::LabArgs),
}

fn main() -> ExitCode {
    match Args::parse().verb {
        Verb::Serve(args) => serve::run(&args),
        Verb::Connect(args) => connect::run(&args),
        Verb::Ping(args) => ping::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Report(args) => bench::report(&args),
        Verb::Lab(args) => lab::run(&args),
    }
}
