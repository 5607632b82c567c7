//! A TCP laboratory on one machine: two hosts, a wire between them, and real kernels.
//!
//! A [`Host`] has its own network, PID and UTS namespace. The [`Wire`] carries packets between the
//! hosts' only interfaces and applies [`Rule`]s to them. A [`Program`] is any executable, run in a
//! host and controlled through its standard streams. Everything that happens becomes a [`Moment`]
//! of one [`Timeline`]. [`TwoHosts::new`] makes all of it.
//!
//! The laboratory needs `CAP_SYS_ADMIN` and `CAP_NET_ADMIN`, as root or in a user namespace;
//! [`doctor`] reports what is missing.

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
pub mod source;
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
pub use impairment::{Action, Chance, Dice, Matcher, ParseError, Rule};
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
