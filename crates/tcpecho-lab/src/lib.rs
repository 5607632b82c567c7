//! Two hosts and a wire between them, on one machine: what TCP does at its boundaries, on a real kernel.
//!
//! A [`Host`] is a network, a PID and a UTS namespace; the [`Wire`] ferries packets between their only interfaces and
//! does to them what [`Rule`]s say; a [`Program`] is any executable, run in a host and talked with through its standard
//! streams. Everything that happens becomes a [`Moment`] of one [`Timeline`]. [`TwoHosts::new`] makes it all.
//!
//! It needs `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, as root or in a user namespace; [`doctor`] tells what is missing.

#![forbid(unsafe_code)]

pub mod agent;
pub mod doctor;
pub mod host;
pub mod impairment;
pub mod pace;
pub mod packet;
pub mod pcapng;
pub mod program;
pub mod quiz;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod states;
pub mod text;
pub mod timeline;
pub mod trial;
pub mod two_hosts;
pub mod wire;

mod attendant;
mod conduct;
mod ends;
mod glances;
mod middlebox;
mod side;
mod sysctls;
mod tracer;

pub use host::Host;
pub use impairment::{Action, Chance, Dice, Matcher, NotUnderstood, Rule};
pub use packet::{Flags, IcmpError, Packet};
pub use program::{Launch, LeftOut, Program};
pub use side::{Family, Side};
pub use timeline::{Moment, Place, TimedOut, Timeline, Verdict, What};
pub use tracer::{Injection, When};
pub use two_hosts::{Options, TwoHosts};
pub use wire::Wire;

pub use tcpecho_os::failed::Failed;
pub use tcpecho_os::process::Exit;
pub use tcpecho_os::sock_diag::TcpSocket;
pub use tcpecho_os::tcp_info::TcpInfo;
pub use tcpecho_os::tcp_state::TcpState;
