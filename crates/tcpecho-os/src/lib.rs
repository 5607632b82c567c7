//! Kernel facilities for sockets and the processes that serve them, which rustix, nix and socket2 lack: a file for each.
//!
//! Together with `tcpecho-lab-os`, which has what a laboratory needs besides, this crate holds all `unsafe` code of the
//! workspace. Every `unsafe` block names the promise that it relies on. Safe functions are sound for every caller and all
//! arguments. Linux only.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(target_os = "linux"))]
compile_error!("tcpecho runs on Linux only: it uses epoll, io_uring, TCP_INFO and inet_diag");

mod control;
pub mod errno;
pub mod error_queue;
pub mod event_fd;
pub mod failed;
pub mod fork;
pub mod holders;
pub mod icmp;
pub mod interface;
pub mod limits;
pub mod memory;
pub mod pause;
pub mod process;
pub mod resolve;
pub mod shared;
pub mod signal;
pub mod sock_diag;
pub mod socket;
pub mod socket_signal;
pub mod stdio;
pub mod sysctl;
pub mod tcp_info;
pub mod tcp_state;
pub mod tcp_timer;
pub mod text;
pub mod thread;
pub mod timestamping;
#[cfg(feature = "uring")]
pub mod uring;
