//! One measured stretch of time: what every flow moved in it, and what it cost the server.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::generator::Generator;
use crate::server::Server;

pub(crate) struct Window {
    pub(crate) seconds: f64,
    /// Nanoseconds of processor time that the server used.
    pub(crate) cpu: f64,
    /// Bytes that came back, by flow.
    back: Vec<u64>,
}

impl Window {
    /// Runs the load for `length` after a tenth of it to warm up. A flow that got nothing although it
    /// waited for something is a fault.
    pub(crate) fn measure(
        load: &mut Generator,
        server: &Server,
        length: Duration,
    ) -> io::Result<Self> {
        load.run(Instant::now() + length / 10, |_| false)?;
        load.latency.clear();
        let before = received(load);
        let cpu = server.processor_time()?;
        let start = Instant::now();
        load.run(start + length, |_| false)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu = server.processor_time()?.since(&cpu);
        let back = received(load).iter().zip(before).map(|(now, before)| now - before).collect();
        let window = Self { seconds, cpu, back };
        window.note_starved(load);
        Ok(window)
    }

    fn note_starved(&self, load: &mut Generator) {
        let flows = load.flows.iter().zip(&self.back);
        let starved = flows.filter(|(flow, back)| flow.plan.reads && **back == 0).count();
        if starved > 0 {
            let (of, seconds) = (self.back.len(), self.seconds);
            load.faults
                .push(format!("{starved} of {of} connections got nothing in {seconds:.1} s"));
        }
    }

    pub(crate) fn bytes(&self, flows: Range<usize>) -> f64 {
        self.back[flows].iter().sum::<u64>() as f64
    }

    /// Bytes per second, in units of `unit` bytes.
    pub(crate) fn rate(&self, flows: Range<usize>, unit: u64) -> f64 {
        self.bytes(flows) / unit as f64 / self.seconds
    }

    /// Nanoseconds of the server's processor time for each `unit` bytes.
    pub(crate) fn cost(&self, unit: u64) -> f64 {
        self.cpu / (self.bytes(0..self.back.len()) / unit as f64)
    }
}

fn received(load: &Generator) -> Vec<u64> {
    load.flows.iter().map(|flow| flow.received).collect()
}
