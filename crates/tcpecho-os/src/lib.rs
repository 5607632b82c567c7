//! What rustix, nix and socket2 do not have: one function, one kernel facility.
//!
//! All `unsafe` code of the workspace is here; every block names the promise it relies on. Every function is safe to
//! call with any arguments that its types allow. Linux only.

pub mod errno;
pub mod error_queue;
pub mod failed;
pub mod fork;
pub mod holders;
pub mod host_init;
pub mod limits;
pub mod link;
pub mod memory;
pub mod netns;
pub mod packet_socket;
pub mod process;
pub mod ptrace;
pub mod resolve;
pub mod shared;
pub mod signal;
pub mod sock_diag;
pub mod socket;
pub mod socket_filter;
pub mod stdio;
pub mod system_call;
pub mod tcp_info;
pub mod tcp_state;
pub mod thread;
pub mod timestamping;
pub mod trial;
pub mod uring;
pub mod user_namespace;
pub mod wire_device;
