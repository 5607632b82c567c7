//! What the modes do: which connections they make, and which figures they take from them.

use std::io;
use std::time::{Duration, Instant};

use crate::flow::Flow;
use crate::generator::Generator;
use crate::machine;
use crate::pattern::Pattern;
use crate::plan::Plan;
use crate::server::Server;
use crate::window::Window;

const SMALL: u64 = 64;
const MEGABYTE: u64 = 1_000_000;

/// One visit of a mode to a server.
pub(crate) struct Visit<'a> {
    pub(crate) server: &'a Server,
    pub(crate) pattern: &'a Pattern,
    pub(crate) length: Duration,
}

/// What the visit measured, one figure for each column, and what went wrong.
pub(crate) struct Sample {
    pub(crate) figures: Vec<f64>,
    pub(crate) faults: Vec<String>,
}

impl Visit<'_> {
    fn load(&self) -> io::Result<Generator<'_>> {
        Generator::new(self.server.addr, self.pattern)
    }

    fn window(&self, load: &mut Generator) -> io::Result<Window> {
        Window::measure(load, self.server, self.length)
    }
}

/// Lets the load end in order, and looks at it and at the figures together.
fn sample(mut load: Generator, figures: Vec<f64>) -> io::Result<Sample> {
    load.finish()?;
    Ok(Sample { figures, faults: load.faults })
}

fn exchanges(visit: &Visit, connections: usize, plan: Plan) -> io::Result<Sample> {
    let mut load = visit.load()?;
    load.connect(connections, plan)?;
    let window = visit.window(&mut load)?;
    let (p50, p99) = (load.latency.quantile(0.5), load.latency.quantile(0.99));
    let rate = window.rate(0..connections, plan.message);
    let figures = vec![rate, p50, p99, window.cost(plan.message)];
    sample(load, figures)
}

pub(crate) fn rounds(visit: &Visit, connections: usize, message: u64) -> io::Result<Sample> {
    exchanges(visit, connections, Plan::rounds(message, 1))
}

pub(crate) fn connects(visit: &Visit, connections: usize) -> io::Result<Sample> {
    exchanges(visit, connections, Plan { again: true, ..Plan::single(SMALL) })
}

pub(crate) fn pipelined(visit: &Visit, connections: usize, under_way: u64) -> io::Result<Sample> {
    let mut load = visit.load()?;
    load.connect(connections, Plan::rounds(SMALL, under_way))?;
    let window = visit.window(&mut load)?;
    sample(load, vec![window.rate(0..connections, SMALL), window.cost(SMALL)])
}

pub(crate) fn bulk(visit: &Visit, connections: usize) -> io::Result<Sample> {
    let mut load = visit.load()?;
    load.connect(connections, Plan::bulk())?;
    let window = visit.window(&mut load)?;
    let figures = vec![window.rate(0..connections, MEGABYTE), window.cost(MEGABYTE) / 1e3];
    sample(load, figures)
}

pub(crate) fn trickle(visit: &Visit, small: usize) -> io::Result<Sample> {
    let mut load = visit.load()?;
    load.connect(small, Plan::rounds(SMALL, 1))?;
    load.connect(1, Plan::bulk())?;
    let window = visit.window(&mut load)?;
    let (rate, bulk) = (window.rate(0..small, SMALL), window.rate(small..small + 1, MEGABYTE));
    let figures = vec![load.latency.quantile(0.99), rate, bulk];
    sample(load, figures)
}

pub(crate) fn stall(visit: &Visit, small: usize) -> io::Result<Sample> {
    let mut load = visit.load()?;
    load.connect(small, Plan::rounds(SMALL, 1))?;
    load.connect(1, Plan::stalled())?;
    let window = visit.window(&mut load)?;
    let (rate, p99) = (window.rate(0..small, SMALL), load.latency.quantile(0.99));
    let figures = vec![rate, p99, load.flows[small].sent as f64, visit.server.memory("Rss:")?];
    sample(load, figures)
}

/// The first connection makes the server touch what it has for all; only what the others add counts.
pub(crate) fn idle(visit: &Visit, most: usize) -> io::Result<Sample> {
    let count = most.min(visit.server.crowd).min(machine::descriptors().saturating_sub(100));
    let mut load = visit.load()?;
    load.connect(1, Plan::single(SMALL))?;
    let before = visit.server.memory("Pss:")?;
    load.connect(count - 1, Plan::single(SMALL))?;
    load.run(Instant::now() + visit.length / 10, |_| false)?;
    let after = visit.server.memory("Pss:")?;
    load.flows.iter().try_for_each(Flow::abandon)?;
    let each = (after - before) / (count - 1) as f64;
    Ok(Sample { figures: vec![each, after, count as f64], faults: load.faults })
}
