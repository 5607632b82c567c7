//! The whole laboratory: a client host, a server host, the wire between them and the timeline of it all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tcpecho_os::failed::Failed;

use crate::host::{Cable, Host, Parts, Power};
use crate::side::{Family, Side};
use crate::states::Watch;
use crate::timeline::Timeline;
use crate::wire::{Ferry, Wire};

/// How a laboratory is to be made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose sockets are watched; the hosts have addresses of both.
    pub family: Family,
    /// Watch the sockets of the other family, too.
    pub both_families: bool,
    /// Write every change of a socket's state to the timeline, looked for after each packet. It costs about a
    /// millisecond for each, so bulk data may want it off.
    pub watch_states: bool,
    /// Largest packet of the hosts' interfaces, in bytes.
    pub mtu: u32,
    /// What the wire is made of.
    pub cable: Cable,
    /// What supplies the hosts, to end them from another thread.
    pub power: Power,
}

/// Two hosts and the wire between them. Dropping it ends all programs and leaves nothing behind; so does the death of the
/// process that made it.
pub struct TwoHosts {
    /// The host that connects.
    pub client: Host,
    /// The host that listens.
    pub server: Host,
    /// What is between them.
    pub wire: Wire,
    /// All that happens.
    pub timeline: Timeline,
    watch: Arc<Watch>,
    observed: Arc<AtomicBool>,
    // Last: the wire's thread outlives the hosts.
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
            power: Power::default(),
        }
    }
}

impl TwoHosts {
    /// Makes it. Both hosts are up, and packets pass untouched.
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
        let lab = TwoHosts { client, server, wire, timeline, watch, observed, _ferry: ferry };
        lab.watch_states(options.watch_states);
        Ok(lab)
    }

    /// The host at this end.
    #[must_use]
    pub fn host(&self, side: Side) -> &Host {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The host at this end, to switch off or on.
    pub fn host_mut(&mut self, side: Side) -> &mut Host {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Whether states are looked at after each packet.
    pub fn watch_states(&self, on: bool) {
        let watch = Arc::clone(&self.watch);
        let look: Arc<dyn Fn() + Send + Sync> = Arc::new(move || watch.look());
        self.wire.after_each_packet(on.then_some(look));
    }

    /// From now on every program that starts is observed: its system calls go to the timeline ([`crate::Launch::observed`]).
    pub fn observe_calls(&self) {
        self.observed.store(true, Relaxed);
    }

    /// Looks at the states of all sockets now, and writes what has changed to the timeline.
    pub fn look_at_states(&self) {
        self.watch.look();
    }

    /// Has the states of all sockets looked at again and again from now on, packets or not: no packet tells that a program
    /// listens. Dropping what this returns ends it.
    ///
    /// # Errors
    /// `EAGAIN` when no thread can be started.
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

    /// Sets the smallest retransmission timeout of both hosts' connections.
    ///
    /// # Errors
    /// As [`Host::set_rto_min`].
    pub fn set_rto_min(&self, least: Duration) -> Result<(), Failed> {
        self.client.set_rto_min(least)?;
        self.server.set_rto_min(least)
    }
}

/// How long until the next look: soon for whoever reads it, and seldom for a processor.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// A thread that looks at the states of all sockets ([`TwoHosts::keep_looking`]).
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
