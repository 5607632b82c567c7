//! `tcpecho serve --control` as programs, attackers and browsers meet it: the real binary, real sockets.

#[path = "../common/mod.rs"]
mod common;
mod http;
#[path = "../common/schema.rs"]
mod schema;

mod access;
mod cost;
mod document;
mod faults;
mod sessions;
mod unix;
