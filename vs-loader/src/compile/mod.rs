//! From a valid policy to the rows of the kernel's maps. Pure: no aya, no I/O.
//!
//! ```text
//! Policy + Known --compile--> MapEntries --reload_conflicts, keep_orphans--> MapEntries
//!                                 |--needed_hooks--> Hook list
//!                                 |--diff--> MapChange list, for showing
//! ```
//!
//! [`explain`] asks the functions that the kernel's programs were compiled from what they would say under a policy.

pub mod act;
mod claims;
mod context;
mod diff;
mod entries;
pub mod explain;
pub mod files;
mod needs;
pub mod network;
pub mod port;
mod reload;

pub use claims::{AddressTaken, taken_addresses};
pub use context::{ContextLabel, flag_names, mode_name, name_of, proc_mode_name};
pub use diff::{Change, Direction, Family, MapChange, diff};
pub use entries::{CompileError, EpochRows, Known, MapEntries, NameTaken, Rows, compile};
pub use needs::{needed_hooks, rows_in_need};
pub use network::{Network, Networks};
pub use reload::{Conflict, ConflictKind, KeepError, keep_orphans, reload_conflicts};

#[cfg(test)]
mod tests;
