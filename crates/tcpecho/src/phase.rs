//! The phases of a server's life.

/// Phases only advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Serves the connections that were queued when the drain began; the listeners are closed.
    Draining,
    /// Aborts all connections.
    Halted,
}
