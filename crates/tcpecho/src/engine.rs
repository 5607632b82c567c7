//! The table of engines. An engine is a row here and a file of its own.

mod blocking;
mod epoll;
mod fork;
mod iterative;
mod thread;
mod timers;
#[cfg(feature = "uring")]
mod uring;

use std::fmt;

use slab::Slab;

use crate::{
    Error,
    acceptor::Context,
    shared::{STOPS, Shared},
};

/// A way of serving connections; a row of [`ENGINES`].
///
/// ```
/// use tcpecho::{ENGINES, Engine};
///
/// for engine in ENGINES {
///     match engine.probe() {
///         Ok(()) => println!("{}: {}", engine.name, engine.summary),
///         Err(why) => println!("{}: {}, but not here: {why}", engine.name, engine.summary),
///     }
/// }
/// let (best, _) = Engine::best();
/// assert!(best.probe().is_ok());
/// ```
#[non_exhaustive]
pub struct Engine {
    /// Its name, such as `epoll`.
    pub name: &'static str,
    /// A description in one line.
    pub summary: &'static str,
    /// The default maximum number of connections.
    pub max_connections: usize,
    /// Whether [`Engine::best`] may choose it.
    pub(crate) automatic: bool,
    /// Whether it blocks in recv(2) and send(2), one connection at a time.
    pub(crate) blocks: bool,
    /// The number of descriptors for so many loops, besides listeners and connections.
    descriptors: fn(usize) -> usize,
    probe: fn() -> Result<(), Unavailable>,
    run: fn(Context) -> Result<(), Error>,
}

/// All engines, the simplest first, in the order of the book (UNP).
pub static ENGINES: &[Engine] = &[
    Engine {
        name: "iterative",
        summary: "one client at a time (UNP 1.5)",
        max_connections: 10_000,
        automatic: true,
        blocks: true,
        descriptors: |loops| loops,
        probe: || Ok(()),
        run: iterative::run,
    },
    Engine {
        name: "fork",
        summary: "a child process for each client (UNP 5.2)",
        max_connections: 2_000,
        automatic: true,
        blocks: true,
        descriptors: |loops| loops,
        probe: fork::probe,
        run: fork::run,
    },
    Engine {
        name: "thread",
        summary: "a thread for each client (UNP 26.4)",
        max_connections: 2_000,
        automatic: true,
        blocks: true,
        descriptors: |loops| loops,
        probe: || Ok(()),
        run: thread::run,
    },
    Engine {
        name: "epoll",
        summary: "an event loop with epoll(7)",
        max_connections: 10_000,
        automatic: true,
        blocks: false,
        descriptors: epoll::descriptors,
        probe: || Ok(()),
        run: epoll::run,
    },
    #[cfg(feature = "uring")]
    Engine {
        name: "uring",
        summary: "an event loop with io_uring(7)",
        max_connections: 10_000,
        // Not before it is at least as good as epoll in every mode that is measured.
        automatic: false,
        blocks: false,
        descriptors: |loops| 2 * loops,
        probe: uring::probe,
        run: uring::run,
    },
];

/// Why an engine is not available on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unavailable {
    /// The call that failed.
    pub op: &'static str,
    /// The error number that the kernel returned.
    pub errno: crate::Errno,
    /// What may forbid the call; empty if nothing is known.
    pub hint: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.errno)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl Engine {
    /// Returns the engine with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Engine> {
        ENGINES.iter().find(|engine| engine.name == name)
    }

    /// Returns the best engine that is available, and the better ones that are not, with the reason. It never returns `uring`,
    /// which needs more processor time than `epoll` for bulk transfers.
    #[must_use]
    pub fn best() -> (&'static Engine, Vec<(&'static Engine, Unavailable)>) {
        let mut refused = Vec::new();
        for engine in ENGINES.iter().rev().filter(|engine| engine.automatic) {
            match engine.probe() {
                Ok(()) => return (engine, refused),
                Err(why) => refused.push((engine, why)),
            }
        }
        (&ENGINES[0], refused)
    }

    /// Checks whether the engine is available on this host.
    ///
    /// # Errors
    /// The call that the kernel, its settings or a sandbox does not allow.
    pub fn probe(&self) -> Result<(), Unavailable> {
        (self.probe)()
    }

    /// Returns how many descriptors a server with this engine needs for `addresses` and `loops`, besides one for each
    /// connection. One of them is for a connection over the limit, which is accepted and closed.
    #[must_use]
    pub fn descriptors(&self, addresses: usize, loops: usize) -> usize {
        STOPS + addresses * loops + (self.descriptors)(loops) + 1
    }

    pub(crate) fn run(&self, context: Context) -> Result<(), Error> {
        (self.run)(context)
    }
}

/// An empty table for the sessions of a loop. It has its size from the start, because memory that nobody has touched costs
/// nothing, while a table that grows leaves its former selves behind.
fn slots<T>(shared: &Shared) -> Slab<T> {
    const MOST: usize = 1 << 16;
    Slab::with_capacity(shared.max_connections.min(MOST))
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({})", self.name)
    }
}
