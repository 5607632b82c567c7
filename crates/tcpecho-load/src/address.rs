//! The server's address. It may change during a run: a name is resolved again when connections fail, so that a
//! service that has moved is found.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tcpecho::{
    Endpoint, Family,
    internal::lookup::{Lookup, is_address},
};

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
    lookup: Option<Lookup>,
    next: u64,
    moves: Vec<(SocketAddr, SocketAddr)>,
}

impl Resolver {
    pub(crate) fn new(address: &Arc<Address>, name: Option<(Endpoint, Family)>) -> Self {
        Self {
            address: Arc::clone(address),
            name: name.filter(|(endpoint, _)| !is_address(endpoint)),
            lookup: None,
            next: 0,
            moves: Vec::new(),
        }
    }

    /// Takes the answer of a resolution, and starts one if a connection has failed and the interval is over.
    pub(crate) fn look(&mut self, now: u64) {
        if let Some(answer) = self.lookup.as_ref().and_then(Lookup::answer) {
            self.lookup = None;
            // If the name cannot be resolved now, the known address may still be right.
            self.choose(&answer.unwrap_or_default());
        }
        let Some((endpoint, family)) = &self.name else { return };
        if now < self.next || self.lookup.is_some() || !self.address.failed.swap(false, Relaxed) {
            return;
        }
        self.next = now + RESOLVE_INTERVAL;
        self.lookup = Lookup::start(endpoint, *family);
    }

    /// Changes to the first of these addresses, if the current one is not among them.
    fn choose(&mut self, addrs: &[SocketAddr]) {
        let current = self.address.get();
        let Some(first) = addrs.first().filter(|_| !addrs.contains(&current)) else { return };
        self.address.set(*first);
        if self.moves.len() < REPORTED {
            self.moves.push((current, *first));
        }
    }

    /// Returns a sentence for each change of the address.
    pub(crate) fn notes(self) -> Vec<String> {
        let Some((endpoint, _)) = &self.name else { return Vec::new() };
        let host = endpoint.host.escape_debug().to_string();
        let sentence = |(from, to): &(SocketAddr, SocketAddr)| {
            format!("{host} moved from {from} to {to}: later connections were made to {to}")
        };
        self.moves.iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_as_long_as_the_name_has_it() {
        let [a, b, c]: [SocketAddr; 3] =
            ["192.0.2.1:7", "192.0.2.2:7", "[2001:db8::3]:7"].map(|addr| addr.parse().unwrap());
        let address = Arc::new(Address::new(a));
        let mut resolver = Resolver::new(&address, None);
        for (addrs, chosen) in [(&[b, a][..], a), (&[], a), (&[b, c], b)] {
            resolver.choose(addrs);
            assert_eq!(address.get(), chosen, "{addrs:?}");
        }
        assert_eq!(resolver.moves, [(a, b)]);
    }

    #[test]
    fn an_address_is_not_resolved() {
        let addr = "127.0.0.1:7".parse().unwrap();
        let address = Arc::new(Address::new(addr));
        let endpoint = "127.0.0.1:9".parse().unwrap();
        let mut resolver = Resolver::new(&address, Some((endpoint, Family::Any)));
        address.note_failure();
        resolver.look(SECOND);
        assert!(address.failed.load(Relaxed) && resolver.lookup.is_none());
        assert_eq!(resolver.notes(), Vec::<String>::new());
    }
}
