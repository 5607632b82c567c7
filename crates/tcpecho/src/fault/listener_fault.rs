//! Faults of a listener: they happen before there is a connection to play a script on.

use std::{fmt, time::Duration};

use super::value::write_time;

/// A fault of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenerFault {
    /// Never calls accept(2). The kernel completes handshakes until the accept queue is full, and drops SYNs then.
    NeverAccept,
    /// Fills the accept queue with a connection of its own, so the kernel drops every SYN. A client that connects to any
    /// address of the listener waits until its own time limit.
    BacklogFull,
    /// Accepts each connection only after this time, and before twice this time has passed. Connections that are queued
    /// when a drain begins are accepted then.
    AcceptDelay(Duration),
    /// Binds the port and does not listen: the kernel refuses connections, and no other program can take the port.
    Refuse,
}

impl fmt::Display for ListenerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenerFault::NeverAccept => f.write_str("never-accept"),
            ListenerFault::BacklogFull => f.write_str("backlog-full"),
            ListenerFault::AcceptDelay(time) => {
                f.write_str("accept-delay=")?;
                write_time(f, *time)
            }
            ListenerFault::Refuse => f.write_str("refuse"),
        }
    }
}
