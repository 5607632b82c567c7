//! A host: its own network, processes and name, and one interface, whose other end is the wire.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tcpecho_lab_os::host_init::HostInit;
use tcpecho_lab_os::link::{Links, Route};
use tcpecho_lab_os::netns::{NetNs, is_missing};
use tcpecho_lab_os::wire_device::{WIRE, WireDevice};
use tcpecho_os::failed::Failed;
use tcpecho_os::sock_diag::TcpSocket;
use tcpecho_os::tcp_state::TcpState;

use crate::attendant::Attendant;
use crate::glances::Glances;
use crate::program::{Launch, Program};
use crate::side::{Family, Side};
use crate::states::{States, Watch};
use crate::sysctls;
use crate::timeline::{Place, TimedOut, Timeline, What};
use crate::tracer::Tracer;
use crate::wire::Wire;

mod cable;
mod power;
pub use cable::Cable;
pub use power::Power;
use power::Supplied;

/// One of the two hosts. Dropping it leaves nothing behind.
pub struct Host {
    side: Side,
    parts: Parts,
    on: Option<On>,
}

/// What a host is made of each time it is switched on.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) wire: Wire,
    pub(crate) watch: Arc<Watch>,
    pub(crate) timeline: Timeline,
    pub(crate) cable: Cable,
    pub(crate) mtu: u32,
    /// Whether every program's system calls go to the timeline.
    pub(crate) observed: Arc<AtomicBool>,
    pub(crate) power: Power,
}

/// What exists while a host is on. The processes end first, then what they used.
struct On {
    attendant: Attendant,
    states: Arc<States>,
    netns: NetNs,
}

impl Host {
    pub(crate) fn new(side: Side, parts: Parts) -> Result<Self, Failed> {
        let mut host = Host { side, parts, on: None };
        host.switch_on()?;
        Ok(host)
    }

    fn switch_on(&mut self) -> Result<(), Failed> {
        let netns = NetNs::new()?;
        let device = netns.run(|| self.furnish(&netns))??;
        let states = Arc::new(States::of(&netns)?);
        let (Supplied { states, .. }, attendant) = self.parts.power.supply(|| {
            let init = HostInit::spawn(&netns, self.side.word())?;
            let attendant = Attendant::new(init, self.side, &self.parts.timeline)?;
            Ok((Supplied { init: attendant.init(), states }, attendant))
        })?;
        // A socket of its own, so that the wire's thread does not wait for another thread.
        self.parts.watch.set(self.side, Some(States::of(&netns)?));
        self.parts.wire.plug(self.side, device);
        self.on = Some(On { attendant, states, netns });
        Ok(())
    }

    /// Sets up interface, settings, addresses and routes. Runs on a thread inside the new network.
    fn furnish(&self, netns: &NetNs) -> Result<WireDevice, Failed> {
        let links = Links::open()?;
        let device = self.parts.cable.lay(netns, &links)?;
        for (key, value, _) in sysctls::BASE {
            match tcpecho_os::sysctl::write(key, value) {
                Err(failed) if !is_missing(failed.errno) => return Err(failed),
                Err(_) => {}
                Ok(()) => self.record_sysctl(key, value),
            }
        }
        let wire = links.index(WIRE)?;
        links.set_mtu(wire, self.parts.mtu)?;
        links.set_up(links.index("lo")?, true)?;
        links.set_up(wire, true)?;
        for family in Family::BOTH {
            links.add_address(wire, self.address(family), family.prefix())?;
            links.add_route(family.any(), 0, Route::Device(wire))?;
        }
        self.rto_min(&links, sysctls::RTO_MIN)?;
        self.wait_for_ipv6();
        Ok(device)
    }

    /// An IPv6 address belongs to the host only after a kernel worker has added its route, some
    /// time after the address was added; a packet that arrives before is lost. Without IPv6 there
    /// is no such file, and nothing to wait for.
    fn wait_for_ipv6(&self) {
        let IpAddr::V6(address) = self.address(Family::V6) else { return };
        let own = format!("{:032x} 80 ", u128::from(address));
        let end = Instant::now() + Duration::from_secs(2);
        let routed = || {
            let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route");
            routes.map_or(true, |routes| routes.lines().any(|route| route.starts_with(&own)))
        };
        while !routed() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The side of the wire it is on.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// Its address, which a reboot does not change.
    #[must_use]
    pub fn address(&self, family: Family) -> IpAddr {
        self.side.address(family)
    }

    /// Its network namespace; `None` while it is off.
    #[must_use]
    pub fn netns(&self) -> Option<&NetNs> {
        self.on.as_ref().map(|on| &on.netns)
    }

    /// Runs `body` on a thread inside the host's network: sockets that it makes belong to the host
    /// and work on any thread.
    ///
    /// # Errors
    /// `EHOSTDOWN` if the host is off.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T, Failed> {
        self.on()?.netns.run(body)
    }

    /// Sets one of the host's sysctls and records it.
    ///
    /// # Errors
    /// `ENOENT` if this kernel has no such key, `EINVAL` for a value out of range, `EHOSTDOWN`.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<(), Failed> {
        self.on()?.netns.set_sysctl(key, value)?;
        self.record_sysctl(key, value);
        match value.trim().parse() {
            Ok(micros) if key == sysctls::RTO_MIN_KEY => {
                self.set_rto_min(Duration::from_micros(micros))
            }
            _ => Ok(()),
        }
    }

    /// Sets the minimum RTO of connections that the host makes or accepts from
    /// now on, in whole milliseconds, and records it. The default is one second.
    ///
    /// # Errors
    /// Those of rtnetlink(7); `EHOSTDOWN`.
    pub fn set_rto_min(&self, least: Duration) -> Result<(), Failed> {
        self.run(|| self.rto_min(&Links::open()?, least))?
    }

    /// Runs on a thread inside the host's network.
    fn rto_min(&self, links: &Links, least: Duration) -> Result<(), Failed> {
        let route = Route::Device(links.index(WIRE)?);
        for family in Family::BOTH {
            links.set_rto_min(family.any(), 0, route, least)?;
        }
        self.parts.timeline.record(self.place(), What::RtoMin(least));
        Ok(())
    }

    fn record_sysctl(&self, key: &str, value: &str) {
        let what = What::Sysctl { key: key.into(), value: value.into() };
        self.parts.timeline.record(self.place(), what);
    }

    /// Reads one of the host's sysctls.
    ///
    /// # Errors
    /// `ENOENT` if this kernel has no such key, `EHOSTDOWN`.
    pub fn sysctl(&self, key: &str) -> Result<String, Failed> {
        self.on()?.netns.sysctl(key)
    }

    /// Reads a counter of the host's kernel, such as `Tcp.InCsumErrors` or `TcpExt.ListenDrops`
    /// (`/proc/net/snmp`, `netstat`).
    ///
    /// # Errors
    /// `ENOENT` if this kernel has no such counter, `EHOSTDOWN`.
    pub fn counter(&self, name: &str) -> Result<u64, Failed> {
        self.run(|| cable::counter(name))?
    }

    /// Returns the names of the counters of the host's kernel.
    ///
    /// # Errors
    /// `EHOSTDOWN`, and those of reading the tables.
    pub fn counters(&self) -> Result<Vec<String>, Failed> {
        let counters = self.run(cable::counters)??;
        Ok(counters.into_iter().map(|(name, _)| name).collect())
    }

    /// Starts a program in the host; it runs when this returns.
    ///
    /// # Errors
    /// Those of execve(2): `ENOENT`, `EACCES`; `EHOSTDOWN` if the host is off.
    pub fn program<S: AsRef<OsStr>>(
        &self,
        argv: impl IntoIterator<Item = S>,
    ) -> Result<Program, Failed> {
        self.launch(&Launch::new(argv))
    }

    /// Starts a program with these options.
    ///
    /// # Errors
    /// As [`Host::program`], and those of chdir(2).
    pub fn launch(&self, launch: &Launch) -> Result<Program, Failed> {
        let attendant = &self.on()?.attendant;
        let name: Arc<str> = launch.name.as_str().into();
        let (tracer, gate) = match launch.wanted(self.parts.observed.load(Relaxed)) {
            None => (None, None),
            Some(wanted) => {
                let (name, timeline) = (Arc::clone(&name), &self.parts.timeline);
                let (tracer, gate) = Tracer::begin(name, wanted, self.place(), timeline)?;
                (Some(tracer), Some(gate))
            }
        };
        let still = tracer.as_ref().map(|tracer| Arc::clone(&tracer.still));
        let process = attendant.start(name, still, |id, stdio| {
            let gate = gate.as_ref().map(AsFd::as_fd);
            launch.with(id, stdio, gate, |start| attendant.ask(start))
        });
        // Without another copy of this end, the tracer of a program that was never started has
        // nothing to wait for.
        drop(gate);
        match tracer {
            Some(tracer) if process.is_ok() => attendant.keep(tracer),
            Some(tracer) => tracer.join()?,
            None => {}
        }
        let process = process.map_err(|why| launch.failed(why))?;
        Ok(Program::new(process, self.place(), self.parts.timeline.clone()))
    }

    /// Its socket table, for any thread.
    ///
    /// # Errors
    /// `EHOSTDOWN` if the host is off.
    pub fn states(&self) -> Result<&Arc<States>, Failed> {
        self.on().map(|on| &on.states)
    }

    /// Its TCP sockets of one family; empty if it is off.
    #[must_use]
    pub fn sockets(&self, family: Family) -> Vec<TcpSocket> {
        let states = self.on.as_ref().map(|on| &on.states);
        states.and_then(|states| states.sockets(family).ok()).unwrap_or_default()
    }

    /// Waits until it has a socket for which `wanted` holds. The kernel has no event for this, so
    /// the socket table is polled.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`, with the sockets that exist.
    pub fn wait_for_socket(
        &self,
        family: Family,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&TcpSocket) -> bool,
    ) -> Result<TcpSocket, TimedOut> {
        let mut glances = Glances::within(patience);
        loop {
            let sockets = self.sockets(family);
            if let Some(found) = sockets.iter().find(|socket| wanted(socket)) {
                self.parts.watch.look();
                return Ok(*found);
            }
            if !glances.again() {
                let there: Vec<String> = sockets.iter().map(words).collect();
                let what = format!("{}: {what}; the sockets are [{}]", self.side, there.join(", "));
                return Err(TimedOut { what, after: patience, ended: None });
            }
        }
    }

    /// Waits until a socket with this port at either end has this state.
    ///
    /// # Errors
    /// [`TimedOut`] after `patience`.
    pub fn wait_for_state(
        &self,
        family: Family,
        port: u16,
        state: TcpState,
        patience: Duration,
    ) -> Result<TcpSocket, TimedOut> {
        self.wait_for_socket(family, &format!("{state} on port {port}"), patience, |socket| {
            socket.state == state && has_port(socket, port)
        })
    }

    /// Whether it has a process whose parent, a program, has exited.
    #[must_use]
    pub fn has_orphans(&self) -> bool {
        self.on.as_ref().is_some_and(|on| on.attendant.has_orphans())
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Cuts its power: when this returns, its interface is dead and all its processes are gone. No
    /// packet tells of it.
    pub fn power_off(&mut self) {
        let Some(on) = self.on.take() else { return };
        // The states are not sampled any more: what its kernel does until its processes are gone is
        // not part of the experiment.
        self.parts.watch.set(self.side, None);
        self.parts.timeline.record(self.place(), What::Step(What::POWER_OFF.into()));
        self.parts.wire.unplug(self.side);
        self.parts.power.forget(&on.states);
        let On { attendant, states, netns } = on;
        drop(attendant);
        // A socket with unsent data would keep the network alive.
        states.destroy_all();
        drop(netns);
    }

    /// Powers it off and on again: a fresh kernel, as far as TCP can tell, with the same addresses.
    /// The sysctls are those that every host starts with.
    ///
    /// # Errors
    /// Those of making a host.
    pub fn reboot(&mut self) -> Result<(), Failed> {
        self.power_off();
        self.switch_on()?;
        self.parts.timeline.record(self.place(), What::Step("rebooted".into()));
        Ok(())
    }

    fn on(&self) -> Result<&On, Failed> {
        let off =
            || Failed { operation: self.side.word().into(), errno: rustix::io::Errno::HOSTDOWN };
        self.on.as_ref().ok_or_else(off)
    }

    fn place(&self) -> Place {
        Place::Host(self.side)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn has_port(socket: &TcpSocket, port: u16) -> bool {
    [socket.local, socket.remote].map(|end: SocketAddr| end.port()).contains(&port)
}

fn words(socket: &TcpSocket) -> String {
    format!("{} {} {}", socket.state, socket.local, socket.remote)
}
