//! Loads VServer policy into the kernel and keeps contexts.
//!
//! The modules follow the journey of one datum: a policy file is read and validated ([`policy`]), compiled to map entries
//! ([`compile`]), written to the kernel's maps ([`maps`]), enforced by programs that [`kernel`] loads, attaches and pins; processes
//! enter through [`context`]; which directories policy means is [`host_files`], what their addresses need of the machine's is [`host_network`], and what sockets are in their way
//! [`host_sockets`]; what the programs deny comes back through [`audit`]. [`cli`] is the command `vs` on top; nothing imports it.

pub mod audit;
pub mod cli;
pub mod compile;
pub mod context;
pub mod host_files;
pub mod host_network;
pub mod host_sockets;
pub mod kernel;
pub mod lock;
pub mod maps;
mod netlink;
pub mod policy;
