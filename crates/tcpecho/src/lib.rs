//! A TCP server for tests that echoes or fails on demand, and a TCP client that explains failures.
//!
//! A [`Server`] listens when [`start`](Server::start) returns, on a free port of 127.0.0.1, and dropping it closes its
//! listeners and its connections. [`Server::sessions`] returns what each connection did and how it ended.
//!
//! ```
//! use std::{io::{Read, Write}, net::{Shutdown, TcpStream}};
//! use tcpecho::{Ending, Server};
//!
//! let server = Server::start()?;
//!
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! client.shutdown(Shutdown::Write)?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert_eq!(answer, "hello");
//!
//! let sessions = server.sessions()?;
//! assert_eq!((sessions.len(), sessions[0].ending), (1, Ending::Finished));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server that resets the first connection after three bytes, and echoes on the others:
//!
//! ```
//! use std::{io::{ErrorKind, Read, Write}, net::TcpStream};
//! use tcpecho::Server;
//!
//! let server = Server::builder()
//!     .fault_plan(&"1:reset-after=3".parse()?)
//!     .start()?;
//!
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! let mut answer = Vec::new();
//! let error = client.read_to_end(&mut answer).unwrap_err();
//! assert_eq!((&answer[..], error.kind()), (&b"hel"[..], ErrorKind::ConnectionReset));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A server that stalls, and a client with a deadline:
//!
//! ```
//! use std::{io::{ErrorKind, Read, Write}, net::TcpStream, time::Duration};
//! use tcpecho::{Script, Server};
//!
//! let server = Server::builder()
//!     .fault(Script::new().echo(2).stop_reading())
//!     .start()?;
//!
//! let mut client = TcpStream::connect(server.addr())?;
//! client.set_read_timeout(Some(Duration::from_millis(100)))?;
//! client.write_all(b"hello")?;
//! let mut answer = Vec::new();
//! let error = client.read_to_end(&mut answer).unwrap_err();
//! assert_eq!((&answer[..], error.kind()), (&b"he"[..], ErrorKind::WouldBlock));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [`guide`] has eleven such tests: what happens on the wire, what a correct client reports, and the common mistake.
//!
//! # Faults
//!
//! A [`Script`] says what the server does with one connection, step by step: `"echo 5; pause 100ms; reset".parse()?`.
//! [`Step`] lists the steps. The usual scripts have names, which are parsed like scripts ([`PRESETS`]). The ending is
//! what a client reports that sends a message, half-closes, and waits for the echo for a limited time ([`Ending`]).
//!
#![doc = include_str!("presets.md")]
//!
//! Which connections get a fault: all ([`fault`](ServerBuilder::fault)), every nth
//! ([`fault_every`](ServerBuilder::fault_every)), those that a function chooses
//! ([`fault_when`](ServerBuilder::fault_when)), or those of a [`FaultPlan`] such as `1:reset-after=10,2-5:delay=1s`. The
//! faults marked *listener* are a [`ListenerFault`], set with [`listener_fault`](ServerBuilder::listener_fault). A
//! [`Fault`] is parsed from either kind. Every fault does the same under every [`Engine`].
//!
//! # Isolation
//!
//! A server installs no signal handler, writes no log, needs no async runtime and keeps no global state. So each test
//! starts its own on port 0, also in a `#[tokio::test]` or under smol, and a process can have a thousand at a time: a
//! server has one thread, a second one once it plays a script, and six to eight descriptors. [`Server::sessions`] and
//! [`Server::drain`] block the thread that calls them.
//!
//! # Clients
//!
//! [`Connection::open`] connects to one of several addresses, one after the other or in parallel (Happy Eyeballs, RFC
//! 8305). When no address answers, [`OpenError`] holds every [`Attempt`] with its [`Diagnosis`]: what was seen, what it
//! means, and what to try. [`Handshake`] and [`HappyEyeballs`] do the same without blocking, for programs with an event
//! loop. [`exact`] has `readn`, `writen` and `readline` of *UNIX Network Programming* (UNP).
//!
//! # What it is not
//!
//! It is not an HTTP client, not a framework for servers, and does not encrypt. It runs on Linux only: its explanations
//! come from TCP_INFO, the socket's error queue, inet_diag and sysctls.
//!
//! # Features
//!
//! * `uring` (default): the io_uring engine. Without it the crate does not depend on `io-uring`.
//! * `serde`: `Serialize` for reports, counters, errors and diagnoses, and `Deserialize` for [`Ending`].
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

#[cfg(not(target_os = "linux"))]
compile_error!("tcpecho runs on Linux only: it uses epoll, io_uring, TCP_INFO and inet_diag");

mod accept_backoff;
mod accept_queue;
mod acceptor;
mod bind;
mod client;
mod counted;
mod diagnosis;
mod duration;
mod echo;
mod ending;
mod endpoint;
mod engine;
mod errno;
mod error;
mod evidence;
pub mod exact;
mod fault;
pub mod guide;
#[doc(hidden)]
pub mod internal;
mod lingering_close;
mod listener;
mod live;
mod parse_error;
mod phase;
#[cfg(feature = "serde")]
mod serialize;
mod server;
mod session;
mod sessions;
mod shared;
mod size;
mod stats;
mod stop;
mod table;
mod timeout;

// The examples of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use client::{
    Attempt, Call, ConnectOptions, Connection, Handshake, HappyEyeballs, HostFacts, OpenError,
    Progress, Tracer,
};
pub use diagnosis::{Diagnosis, Symptom};
pub use ending::Ending;
pub use endpoint::{DEFAULT_PORT, Endpoint, Family, NoAddress, ResolveError};
pub use engine::{ENGINES, Engine, Unavailable};
pub use errno::Errno;
pub use error::Error;
pub use evidence::{Evidence, Phase, Tried};
pub use fault::{
    Delay, Fault, FaultPlan, FaultWhen, Fired, Flip, ListenerFault, PRESETS, Payload, Preset,
    Script, Step,
};
pub use listener::Keepalive;
pub use live::LiveSession;
pub use parse_error::ParseError;
pub use server::{Server, ServerBuilder};
pub use session::{Event, Report};
pub use sessions::StillOpen;
pub use stats::Snapshot;
