//! Faults on demand: scripts that say what a server does with one connection, faults of the listener, and which connections
//! get a fault.
//!
//! A fault is drawn once, when a connection is accepted (`draw.rs`). A connection with a fault leaves the engine and goes to
//! the player (`player.rs`). The other modules are values: they are parsed, displayed and compared, and know no socket.

mod cursor;
pub(crate) mod delay;
pub(crate) mod draw;
mod fired;
pub(crate) mod held;
mod listener_fault;
mod plan;
mod play;
pub(crate) mod player;
mod preset;
pub(crate) mod random;
pub(crate) mod script;
mod step;
mod value;
mod when;

pub use fired::{Fired, Flip};
pub use listener_fault::ListenerFault;
pub use plan::{Fault, FaultPlan};
pub use preset::{PRESETS, Preset};
pub use script::Script;
pub use step::{STEPS, Step, StepRow};
pub use value::{Delay, Payload};
pub use when::FaultWhen;
