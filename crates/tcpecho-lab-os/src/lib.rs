//! Kernel facilities for a TCP laboratory, a file for each: namespaces, TUN and veth devices, packet sockets, system call
//! tracing (ptrace, seccomp), and the first process of a host.
//!
//! Together with `tcpecho-os`, which has what concerns sockets, this crate holds all `unsafe` code of the workspace. Every
//! `unsafe` block names the promise that it relies on. Safe functions are sound for every caller and all arguments. Linux only.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod exec_gate;
pub mod fork_echo;
pub mod host_init;
pub mod link;
pub mod netns;
pub mod packet_socket;
pub mod ptrace;
pub mod socket_filter;
pub mod system_call;
pub mod trial;
pub mod user_namespace;
pub mod wire_device;
