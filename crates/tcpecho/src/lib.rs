//! A TCP echo server for other people's tests, a client, and the words for how a connection ends.
//!
//! [`Server`] is the whole server as a value. What it serves with is an [`Engine`], how a connection ends is an
//! [`Ending`], and [`Connection::open`] makes one and keeps every failed attempt. Linux only.
#![forbid(unsafe_code)]

mod accept_backoff;
mod accept_queue;
mod acceptor;
mod bind;
mod client;
pub mod diagnosis;
mod duration;
mod echo;
mod ending;
mod endpoint;
mod engine;
mod error;
pub mod evidence;
pub mod exact;
mod lingering_close;
mod listener;
mod parse_error;
mod phase;
mod server;
mod session;
mod shared;
mod stats;
mod stop;
mod table;

pub use bind::explain_bind;
pub use client::{
    Attempt, Call, ConnectOptions, Connection, Handshake, HappyEyeballs, HostFacts, Progress,
    Tracer,
};
pub use diagnosis::{Diagnosis, Symptom};
pub use duration::{parse_duration, show_duration};
pub use ending::{ENDINGS, Ending, Row};
pub use endpoint::{
    DEFAULT_PORT, Endpoint, Family, NoAddress, ResolveError, interface_index, parse_listen,
    parse_source,
};
pub use engine::{ENGINES, Engine, Unavailable};
pub use error::{Error, words};
pub use evidence::Evidence;
pub use listener::{Keepalive, LONGEST_USER_TIMEOUT, Listener};
pub use parse_error::ParseError;
pub use server::{Builder, Server};
pub use session::{Event, Report};
pub use stats::Snapshot;
pub use stop::Stop;
