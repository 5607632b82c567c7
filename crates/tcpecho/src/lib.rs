//! A TCP echo server for tests, and a TCP client that explains failures.
//!
//! **For tests**: [`Server`] is an echo server. It listens when [`start`](ServerBuilder::start) returns, and dropping
//! it closes its listeners and its connections. It installs no signal handler, writes no log, needs no async runtime
//! and keeps no global state, so a test can run several servers.
//!
//! ```
//! use std::{io::{Read, Write}, net::{Shutdown, TcpStream}};
//! use tcpecho::{Ending, Server};
//!
//! let server = Server::builder().listen("127.0.0.1:0".parse()?).start()?;
//!
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! client.shutdown(Shutdown::Write)?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert_eq!(answer, "hello");
//!
//! assert!(server.drain(std::time::Duration::from_secs(5)));
//! assert_eq!((server.stats().bytes, server.stats().ended(Ending::Finished)), (5, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Faults on demand**: a [`Script`] says what the server does with a connection, step by step, so a test can see how its
//! client takes a server that resets, stalls, cuts an answer off or changes a byte. [`PRESETS`] names the usual ones;
//! [`FaultPlan`] and [`FaultWhen`] choose the connections; a [`ListenerFault`] refuses them or does not accept. Scripts do
//! the same under every engine.
//!
//! ```
//! use std::{io::{ErrorKind, Read, Write}, net::TcpStream};
//! use tcpecho::{Ending, Server};
//!
//! // The first connection is reset after three bytes, the others are echoed.
//! let server = Server::builder()
//!     .listen("127.0.0.1:0".parse()?)
//!     .fault_plan(&"1:reset-after=3".parse()?)
//!     .start()?;
//!
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! let mut answer = [0; 3];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hel");
//! assert_eq!(client.read(&mut answer).unwrap_err().kind(), ErrorKind::ConnectionReset);
//!
//! let mut second = TcpStream::connect(server.addr())?;
//! second.write_all(b"abc")?;
//! second.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"abc");
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
//!     .listen("127.0.0.1:0".parse()?)
//!     .fault(Script::new().echo(2).stop_reading())
//!     .start()?;
//!
//! let mut client = TcpStream::connect(server.addr())?;
//! client.write_all(b"hello")?;
//! let mut answer = [0; 2];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"he");
//! client.set_read_timeout(Some(Duration::from_millis(100)))?;
//! assert_eq!(client.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **For clients**: [`Connection::open`] connects to one of several addresses, one after the other or in parallel (Happy
//! Eyeballs, RFC 8305). When no address answers, [`OpenError`] holds every [`Attempt`] with its [`Diagnosis`]: what was
//! seen, what it means, and what to try. [`Handshake`] and [`HappyEyeballs`] do the same without blocking, for programs
//! with an event loop.
//!
//! ```
//! use tcpecho::{ConnectOptions, Connection, Ending};
//!
//! # let reserved = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
//! let error = Connection::open(&[reserved], &ConnectOptions::default()).unwrap_err();
//! let attempt = &error.attempts[0];
//! assert_eq!(attempt.ending, Ending::Refused);
//! println!("{}", attempt.diagnosis); // seen, means, try
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`Ending`] names how a connection ended, for servers and clients alike. An [`Engine`] is the way in which a server
//! handles its connections, from one client at a time to io_uring. [`exact`] has `readn`, `writen` and `readline` of
//! *UNIX Network Programming* (UNP).
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
#[doc(hidden)]
pub mod internal;
mod lingering_close;
mod listener;
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
pub use parse_error::ParseError;
pub use server::{Server, ServerBuilder};
pub use session::{Event, Report};
pub use sessions::StillOpen;
pub use stats::Snapshot;
