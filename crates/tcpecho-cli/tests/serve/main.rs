//! `tcpecho serve` as a user runs it: what only the real program shows, for every engine.

#[path = "../common/mod.rs"]
mod common;

mod cost;
mod fairness;
mod log;
mod output;
mod ready;
mod refusals;
mod restart;
