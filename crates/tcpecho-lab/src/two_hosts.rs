//! The whole laboratory: a client host, a server host, the wire between them, and their timeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tcpecho_os::failed::Failed;

use crate::host::{Cable, Host, Parts, Power};
use crate::side::{Family, PORT, Side};
use crate::states::Watch;
use crate::timeline::Timeline;
use crate::wire::{Ferry, Wire};

/// Configures a laboratory.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address family whose sockets are watched; the hosts have addresses of both.
    pub family: Family,
    /// Whether the sockets of the other family are watched, too.
    pub both_families: bool,
    /// Whether every change of a socket's state is recorded, sampled after each packet and after
    /// each call of an agent. It costs about a millisecond each, so bulk data may want it off.
    pub watch_states: bool,
    /// The MTU of the hosts' interfaces, in bytes.
    pub mtu: u32,
    /// What the wire is made of.
    pub cable: Cable,
    /// The port that the servers of scenarios and trials listen on.
    pub port: u16,
    /// Supplies the hosts, so that another thread can end them.
    pub power: Power,
}

/// Two hosts and the wire between them. Dropping it ends all programs and leaves nothing behind; so
/// does the exit of the process that made it.
pub struct TwoHosts {
    /// The host that connects.
    pub client: Host,
    /// The host that listens.
    pub server: Host,
    /// The wire between them.
    pub wire: Wire,
    /// The record of everything that happens.
    pub timeline: Timeline,
    watch: Arc<Watch>,
    samples: Arc<AtomicBool>,
    observed: Arc<AtomicBool>,
    // Last, because the wire's thread outlives the hosts.
    _ferry: Ferry,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            family: Family::V4,
            both_families: false,
            watch_states: true,
            mtu: 1500,
            cable: Cable::Tun,
            port: PORT,
            power: Power::default(),
        }
    }
}

impl TwoHosts {
    /// Makes the laboratory. Both hosts are up, and the wire passes packets unchanged.
    ///
    /// # Errors
    /// The first operation that this system refuses; [`crate::doctor`] says what to do about it.
    pub fn new(options: &Options) -> Result<Self, Failed> {
        let timeline = Timeline::new();
        let (wire, ferry) = Wire::new(&timeline)?;
        let families: &[Family] =
            if options.both_families { &Family::BOTH } else { &[options.family] };
        let watch = Arc::new(Watch::new(&timeline, families));
        let observed = Arc::<AtomicBool>::default();
        let parts = Parts {
            wire: wire.clone(),
            watch: Arc::clone(&watch),
            timeline: timeline.clone(),
            cable: options.cable,
            mtu: options.mtu,
            observed: Arc::clone(&observed),
            power: options.power.clone(),
        };
        let client = Host::new(Side::Client, parts.clone())?;
        let server = Host::new(Side::Server, parts)?;
        let samples = Arc::default();
        let lab =
            TwoHosts { client, server, wire, timeline, watch, samples, observed, _ferry: ferry };
        lab.watch_states(options.watch_states);
        Ok(lab)
    }

    /// The host on this side.
    #[must_use]
    pub fn host(&self, side: Side) -> &Host {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The host on this side, to switch it off or on.
    pub fn host_mut(&mut self, side: Side) -> &mut Host {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Sets whether states are sampled after each packet and after each call of an agent.
    pub fn watch_states(&self, on: bool) {
        self.samples.store(on, Relaxed);
        let watch = Arc::clone(&self.watch);
        let look: Arc<dyn Fn() + Send + Sync> = Arc::new(move || watch.look());
        self.wire.after_each_packet(on.then_some(look));
    }

    /// Traces every program that starts from now on: its system calls go to the timeline
    /// ([`crate::Launch::observed`]).
    pub fn observe_calls(&self) {
        self.observed.store(true, Relaxed);
    }

    /// Returns what samples the states after a call of an agent.
    pub(crate) fn sampler(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (watch, samples) = (Arc::clone(&self.watch), Arc::clone(&self.samples));
        Arc::new(move || {
            if samples.load(Relaxed) {
                watch.look();
            }
        })
    }

    /// Samples the states of all sockets now and records the changes.
    pub fn look_at_states(&self) {
        self.watch.look();
    }

    /// Samples the states of all sockets repeatedly from now on, also without packets: no packet
    /// tells that a program listens. Dropping the returned value ends it.
    ///
    /// # Errors
    /// `EAGAIN` if no thread can be started.
    pub fn keep_looking(&self) -> Result<Looking, Failed> {
        let (stop, stopped) = channel::<()>();
        let watch = Arc::clone(&self.watch);
        let look = move || {
            tcpecho_os::thread::block_signals();
            while stopped.recv_timeout(BETWEEN_LOOKS) == Err(RecvTimeoutError::Timeout) {
                watch.look();
            }
        };
        let thread = std::thread::Builder::new().name("states".into()).spawn(look);
        let thread = thread.map_err(Failed::at_io("start a thread"))?;
        Ok(Looking { stop: Some(stop), thread: Some(thread) })
    }

    /// Sets a sysctl of both hosts.
    ///
    /// # Errors
    /// As [`Host::set_sysctl`].
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), Failed> {
        self.client.set_sysctl(key, value)?;
        self.server.set_sysctl(key, value)
    }

    /// Sets the minimum RTO of both hosts' connections.
    ///
    /// # Errors
    /// As [`Host::set_rto_min`].
    pub fn set_rto_min(&self, least: Duration) -> Result<(), Failed> {
        self.client.set_rto_min(least)?;
        self.server.set_rto_min(least)
    }
}

/// The interval of the samples: short for a reader, long for a processor.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// A thread that samples the states of all sockets ([`TwoHosts::keep_looking`]).
#[derive(Debug)]
pub struct Looking {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
