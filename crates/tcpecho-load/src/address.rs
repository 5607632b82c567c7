//! The server's address. It may change during a run: a name is resolved again when connections fail, so that a
//! service that has moved is found.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use tcpecho::{Endpoint, Family};

use super::clock::SECOND;

/// Shortest time between two resolutions.
const RESOLVE_INTERVAL: u64 = SECOND;
/// Most changes of the address that are reported.
const REPORTED: usize = 8;

/// The server's address, shared by the threads of a run.
#[derive(Debug)]
pub(crate) struct Address {
    current: Mutex<SocketAddr>,
    /// Whether a connection has failed since the name was last resolved.
    failed: AtomicBool,
}

impl Address {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { current: Mutex::new(addr), failed: AtomicBool::new(false) }
    }

    pub(crate) fn get(&self) -> SocketAddr {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, addr: SocketAddr) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = addr;
    }

    /// Notes that a connection failed or broke.
    pub(crate) fn note_failure(&self) {
        self.failed.store(true, Relaxed);
    }
}

/// Resolves the server's name again when a connection has failed.
pub(crate) struct Resolver {
    address: Arc<Address>,
    /// None if the server was given as an address.
    name: Option<(Endpoint, Family)>,
    next: u64,
    /// The address that was last seen.
    known: SocketAddr,
    moves: Vec<(SocketAddr, SocketAddr)>,
    running: Arc<AtomicBool>,
}

impl Resolver {
    pub(crate) fn new(address: &Arc<Address>, name: Option<(Endpoint, Family)>) -> Self {
        Self {
            known: address.get(),
            address: Arc::clone(address),
            name: name.filter(|(endpoint, _)| endpoint.host.parse::<IpAddr>().is_err()),
            next: 0,
            moves: Vec::new(),
            running: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Starts a resolution if a connection has failed and the interval is over. It runs in its own thread,
    /// because getaddrinfo(3) has no time limit.
    pub(crate) fn look(&mut self, now: u64) {
        self.note_move();
        let Some((endpoint, family)) = &self.name else { return };
        if now < self.next || self.running.load(Relaxed) {
            return;
        }
        if !self.address.failed.swap(false, Relaxed) {
            return;
        }
        self.next = now + RESOLVE_INTERVAL;
        self.running.store(true, Relaxed);
        let (endpoint, family) = (endpoint.clone(), *family);
        let (address, running) = (Arc::clone(&self.address), Arc::clone(&self.running));
        let work = move || {
            // If the name cannot be resolved now, the known address may still be right.
            let addrs = endpoint.resolve(family).unwrap_or_default();
            if let Some(addr) = choose(address.get(), &addrs) {
                address.set(addr);
            }
            running.store(false, Relaxed);
        };
        if thread::Builder::new().name("resolve".into()).spawn(work).is_err() {
            self.running.store(false, Relaxed);
        }
    }

    fn note_move(&mut self) {
        let addr = self.address.get();
        if addr != self.known && self.moves.len() < REPORTED {
            self.moves.push((self.known, addr));
        }
        self.known = addr;
    }

    /// Returns a sentence for each change of the address.
    pub(crate) fn notes(mut self) -> Vec<String> {
        self.note_move();
        let Some((endpoint, _)) = &self.name else { return Vec::new() };
        let host = endpoint.host.escape_debug().to_string();
        let sentence = |(from, to): &(SocketAddr, SocketAddr)| {
            format!("{host} moved from {from} to {to}: later connections were made to {to}")
        };
        self.moves.iter().map(sentence).collect()
    }
}

/// Returns the address to change to, if the name no longer has the current one.
fn choose(current: SocketAddr, addrs: &[SocketAddr]) -> Option<SocketAddr> {
    addrs.first().copied().filter(|_| !addrs.contains(&current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_long_as_the_name_has_it() {
        let [a, b, c]: [SocketAddr; 3] =
            ["192.0.2.1:7", "192.0.2.2:7", "[2001:db8::3]:7"].map(|addr| addr.parse().unwrap());
        assert_eq!(choose(a, &[b, a]), None);
        assert_eq!(choose(a, &[b, c]), Some(b));
        assert_eq!(choose(a, &[]), None);
    }

    #[test]
    fn an_address_is_not_resolved() {
        let addr = "127.0.0.1:7".parse().unwrap();
        let address = Arc::new(Address::new(addr));
        let endpoint = "127.0.0.1:9".parse().unwrap();
        let mut resolver = Resolver::new(&address, Some((endpoint, Family::Any)));
        address.note_failure();
        resolver.look(SECOND);
        assert!(address.failed.load(Relaxed) && !resolver.running.load(Relaxed));
        assert_eq!(resolver.notes(), Vec::<String>::new());
    }
}
