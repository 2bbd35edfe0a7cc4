//! What the guarantees are tried with: contexts with actors in them, operations, the audit, and a count of what held.
//!
//! The suite runs inside a virtual machine, as root, on a stock kernel, and speaks to the product the way an operator does: through `vs`.
//! In each context lives an actor (`vs-actor`) that does single system calls when told and says which errno came back, and beside it a
//! target, a process that waits to be acted on.

pub mod actor;
pub mod audit;
pub mod capability_deed;
mod climb_deed;
pub mod compat;
pub mod daemon;
pub mod deed;
pub mod desk;
pub mod detached;
pub mod disk_deed;
pub mod escape_deed;
pub mod file_deed;
pub mod finding;
pub mod foreign;
pub mod handover;
pub mod hooks;
pub mod operation;
pub mod path_operation;
pub mod peer;
pub mod relation;
pub mod report;
pub mod sockets;
pub mod status;
pub mod target;
pub mod terminal;
pub mod tracer;
pub mod world;
