//! The conformance suite's ground: a promise is one function, run on every engine times IPv4 and IPv6.
//!
//! `promises! { half_close_keeps_what_is_in_flight, ... }` makes a test `half_close_keeps_what_is_in_flight::epoll_v4` and
//! nine more. `promises_everywhere!` makes twenty more, in the networks of [`Network`]: `epoll_v4_tiny`, `epoll_v4_lossy`.
//! `promises_alone!` runs each of them in a process of its own, for what is measured or limited by process.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

pub mod client;
pub mod crowd;
pub mod network;
pub mod pattern;
pub mod process;
pub mod served;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit};
use tcpecho::{ENGINES, Engine, Server, ServerBuilder};

use network::Network;

/// How long anything may take that happens at once on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What is done at once: in far less than any deadline that a test gives, and not in less than a busy machine may take.
pub const AT_ONCE: Duration = Duration::from_secs(30);
/// Descriptors for a thousand connections, which have two ends here, and for what other tests have open meanwhile.
const MANY_DESCRIPTORS: u64 = 4096;

/// Where promises are kept; the rows of `ENGINES`, which [`the_list_of_places_has_every_engine`] compares.
pub const PLACES: &[&str] = &[
    "iterative_v4",
    "iterative_v6",
    "fork_v4",
    "fork_v6",
    "thread_v4",
    "thread_v6",
    "epoll_v4",
    "epoll_v6",
    "uring_v4",
    "uring_v6",
];

/// Makes a test of every promise in every place.
macro_rules! promises {
    ($($promise:ident),* $(,)?) => { $(promises! { @in $promise, keep })* };
    (@in $promise:ident, $keep:ident) => {
        promises! { @on $promise, $keep:
            iterative_v4 iterative_v6 fork_v4 fork_v6 thread_v4 thread_v6 uring_v4 uring_v6 epoll_v4 epoll_v6 }
    };
    (@on $promise:ident, $keep:ident: $($place:ident)*) => {
        mod $promise {
            $(
                #[test]
                fn $place() {
                    let test = concat!(stringify!($promise), "::", stringify!($place));
                    crate::common::$keep(super::$promise, test);
                }
            )*
        }
    };
}

/// The same in every network.
#[allow(unused_macros, reason = "no test binary uses all of it")]
macro_rules! promises_everywhere {
    ($($promise:ident),* $(,)?) => { $(promises_everywhere! { @in $promise, keep })* };
    (@in $promise:ident, $keep:ident) => {
        promises! { @on $promise, $keep:
            iterative_v4 iterative_v6 fork_v4 fork_v6 thread_v4 thread_v6 epoll_v4 epoll_v6 uring_v4 uring_v6
            iterative_v4_tiny iterative_v6_tiny fork_v4_tiny fork_v6_tiny thread_v4_tiny thread_v6_tiny
            epoll_v4_tiny epoll_v6_tiny uring_v4_tiny uring_v6_tiny
            iterative_v4_lossy iterative_v6_lossy fork_v4_lossy fork_v6_lossy thread_v4_lossy thread_v6_lossy
            epoll_v4_lossy epoll_v6_lossy uring_v4_lossy uring_v6_lossy }
    };
}

/// The same with plain and with tiny buffers, for what a lost segment would change: nobody repeats a lost RST.
#[allow(unused_macros, reason = "no test binary uses all of it")]
macro_rules! promises_without_loss {
    ($($promise:ident),* $(,)?) => {
        $(promises! { @on $promise, keep:
            iterative_v4 iterative_v6 fork_v4 fork_v6 thread_v4 thread_v6 epoll_v4 epoll_v6 uring_v4 uring_v6
            iterative_v4_tiny iterative_v6_tiny fork_v4_tiny fork_v6_tiny thread_v4_tiny thread_v6_tiny
            epoll_v4_tiny epoll_v6_tiny uring_v4_tiny uring_v6_tiny })*
    };
}

/// The same, each in a process of its own; `on fork:` leaves out the other engines.
#[allow(unused_macros, reason = "no test binary uses all of it")]
macro_rules! promises_alone {
    (on fork: $($promise:ident),* $(,)?) => {
        $(promises! { @on $promise, keep_alone: fork_v4 fork_v6 })*
    };
    (in tiny networks: $($promise:ident),* $(,)?) => {
        $(promises! { @on $promise, keep_alone:
            iterative_v4_tiny iterative_v6_tiny fork_v4_tiny fork_v6_tiny thread_v4_tiny thread_v6_tiny
            epoll_v4_tiny epoll_v6_tiny uring_v4_tiny uring_v6_tiny })*
    };
    (everywhere: $($promise:ident),* $(,)?) => {
        $(promises_everywhere! { @in $promise, keep_alone })*
    };
    ($($promise:ident),* $(,)?) => { $(promises! { @in $promise, keep_alone })* };
}

/// An engine, an address family and a network.
pub struct Place {
    pub engine: &'static Engine,
    pub ip: IpAddr,
    pub network: Network,
}

impl Place {
    fn named(test: &str) -> Place {
        let (_, place) = test.split_once("::").unwrap();
        let mut parts = place.split('_');
        let (engine, family) = (parts.next().unwrap(), parts.next().unwrap());
        let network = Network::named(parts.next());
        let ip =
            if family == "v4" { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        Place { engine: Engine::named(engine).unwrap(), ip, network }
    }

    fn missing(&self) -> Option<String> {
        if let Err(why) = self.engine.probe() {
            return Some(why.to_string());
        }
        TcpListener::bind((self.ip, 0)).err().map(|why| format!("{}: {why}", self.ip))
    }

    /// A server's builder, here and on a free port.
    pub fn builder(&self) -> ServerBuilder {
        Server::builder().engine(self.engine).listen((self.ip, 0).into())
    }

    /// Other clients wait in the accept queue while one is served.
    pub fn one_at_a_time(&self) -> bool {
        self.engine.name == "iterative"
    }

    /// How many clients this engine can serve at a time, if `many` are asked for.
    pub fn at_a_time(&self, many: usize) -> usize {
        if self.one_at_a_time() { 1 } else { many }
    }

    /// Bytes that a client can write before the server has read any, if `many` are wanted.
    pub fn fits(&self, many: usize) -> usize {
        if self.network == Network::Tiny { many.min(1000) } else { many }
    }

    /// So many bytes or connections where the network is fast, fewer where each one takes longer.
    pub fn scaled(&self, many: usize) -> usize {
        if self.network == Network::Plain { many } else { many / 8 }
    }

    /// Says why a promise does not apply here.
    pub fn skip(&self, why: &str) {
        println!("SKIP {}: {why}", self.engine.name);
    }
}

/// Keeps a promise in the place that the test's name ends with.
pub fn keep(promise: fn(&Place), test: &str) {
    let place = Place::named(test);
    if let Some(why) = place.missing() {
        return place.skip(&why);
    }
    raise_the_limit_on_descriptors();
    if let Err(why) = place.network.run(|| promise(&place)) {
        place.skip(&why);
    }
}

const ALONE: &str = "TCPECHO_TEST_ALONE";

/// The same in a fresh process: this test binary again, with this one test.
pub fn keep_alone(promise: fn(&Place), test: &str) {
    if std::env::var_os(ALONE).is_some() {
        return keep(promise, test);
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, "1");
    let output = alone.stdin(Stdio::null()).output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{}\n{said}\n{complained}", output.status);
    for line in said.lines().filter_map(|line| line.find("SKIP").map(|at| &line[at..])) {
        println!("{line}");
    }
}

/// A thousand connections have two thousand ends here, and a common soft limit is 1,024.
fn raise_the_limit_on_descriptors() {
    let _ = tcpecho_os::limits::raise_descriptors();
}

/// Held by whoever has very many connections at a time: there is only one such test at a time.
static CROWD: Mutex<()> = Mutex::new(());

/// The right to have very many connections at a time; nothing, with the reason, where descriptors are too few for that.
pub fn crowd() -> Option<MutexGuard<'static, ()>> {
    let most = getrlimit(Resource::Nofile).current;
    if most.is_some_and(|most| most < MANY_DESCRIPTORS) {
        println!(
            "SKIP: a process may have {most:?} descriptors here, and this takes {MANY_DESCRIPTORS}"
        );
        return None;
    }
    Some(CROWD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The time that this takes. One that is too long counts when nothing else held the machine up meanwhile, by the kernel's
/// own account (proc(5), `/proc/pressure`). On a machine that is never free of that, ten are tried, and the least counts:
/// what is done too late every time is found there, too.
pub fn least(limit: Duration, mut trial: impl FnMut() -> Duration) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..10 {
        let before = held_up();
        let took = trial();
        let was_held_up = held_up().saturating_sub(before) > limit / 4;
        if took < limit || !was_held_up {
            return took;
        }
        least = least.min(took);
    }
    least
}

/// For how long somebody who could have run has had to wait for a processor, since the machine started; nothing where the
/// kernel does not count it.
pub fn held_up() -> Duration {
    let pressure = std::fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = pressure.lines().next().and_then(|line| line.rsplit_once("total="));
    Duration::from_micros(total.and_then(|(_, total)| total.parse().ok()).unwrap_or(0))
}

/// Waits until it is so; fails, naming it, when it takes too long.
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_list_of_places_has_every_engine() {
    let places = ENGINES.iter().flat_map(|e| ["v4", "v6"].map(|v| format!("{}_{v}", e.name)));
    assert_eq!(places.collect::<Vec<_>>(), PLACES);
}
