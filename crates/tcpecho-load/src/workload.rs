//! The table of workloads: what connections do. Values, help and documentation read the same rows.

use crate::plan::After;

/// A row of [`WORKLOADS`].
#[derive(Debug)]
pub struct Workload {
    /// Its name, as the user writes it.
    pub name: &'static str,
    /// What it does, for a help text.
    pub summary: &'static str,
    /// What throughput is counted in.
    pub unit: Unit,
    /// Bytes of a message by default.
    pub size: u64,
    /// Connections by default.
    pub connections: u64,
    /// Its kind.
    pub kind: Kind,
}

/// The kinds of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Exchanges on connections that stay open.
    RequestResponse,
    /// A new connection for each exchange.
    ConnectRequestResponse,
    /// Bulk data in both directions.
    Stream,
    /// One exchange on each connection, then silence.
    Idle,
    /// As `RequestResponse`, at a rate that changes.
    Ramp,
}

/// What throughput is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Messages answered.
    Messages,
    /// Connections used and closed.
    Connections,
    /// Millions of bytes in each direction.
    Megabytes,
}

impl Unit {
    /// Returns the unit of a throughput.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Unit::Messages => "messages/s",
            Unit::Connections => "connections/s",
            Unit::Megabytes => "MB/s each way",
        }
    }

    /// Returns the name of a single unit.
    #[must_use]
    pub fn one(self) -> &'static str {
        match self {
            Unit::Messages => "echo",
            Unit::Connections => "connection",
            Unit::Megabytes => "MB",
        }
    }
}

/// The table of workloads.
pub static WORKLOADS: &[Workload] = &[
    Workload {
        name: "rr",
        summary: "request and response, repeated on connections that stay open",
        unit: Unit::Messages,
        size: 64,
        connections: 50,
        kind: Kind::RequestResponse,
    },
    Workload {
        name: "crr",
        summary: "connect, one request and its response, close",
        unit: Unit::Connections,
        size: 64,
        connections: 50,
        kind: Kind::ConnectRequestResponse,
    },
    Workload {
        name: "stream",
        summary: "bulk data in both directions at once",
        unit: Unit::Megabytes,
        size: 64,
        connections: 1,
        kind: Kind::Stream,
    },
    Workload {
        name: "idle",
        summary: "one exchange, then silence: the cost of an idle connection to the server",
        unit: Unit::Connections,
        size: 64,
        connections: 10_000,
        kind: Kind::Idle,
    },
    Workload {
        name: "ramp",
        summary: "as rr, with a rate that changes from A to B (--rate A:B)",
        unit: Unit::Messages,
        size: 64,
        connections: 50,
        kind: Kind::Ramp,
    },
];

impl Workload {
    /// Returns the workload of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Workload> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// Returns what becomes of a connection after its exchange; `fin` asks for an orderly close.
    #[must_use]
    pub fn after(&self, fin: bool) -> After {
        match self.kind {
            Kind::ConnectRequestResponse if fin => After::Close,
            Kind::ConnectRequestResponse => After::Reset,
            _ => After::KeepOpen,
        }
    }
}
