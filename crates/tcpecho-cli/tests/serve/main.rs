//! `tcpecho serve` as a user runs it: what only the real program shows, for every engine.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/schema.rs"]
mod schema;

mod clients;
mod cost;
mod descriptors;
mod drain;
mod environment;
mod fairness;
mod faults;
mod gallery;
mod log;
mod output;
mod places;
mod promises;
mod ready;
mod refusals;
mod restart;
mod threads;
