//! `tcpecho ping` as a user runs it, against servers that behave and servers that do not.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod breaks;
mod form;
mod hostile;
mod json;
mod lab;
mod names;
mod pauses;
#[path = "../common/schema.rs"]
mod schema;
mod support;
mod sweeps;
