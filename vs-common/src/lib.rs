//! What the kernel side and the user side of VServer must agree on: ids, layouts, names, decisions.
//!
//! Everything here is `no_std`, allocates nothing and does no I/O, because the very same functions are compiled into the
//! eBPF object and into `vs policy explain`. A decision is a pure function from facts to a [`verdict::Verdict`]; hooks in
//! `vs-ebpf` gather the facts, and nothing but these functions decides.
//!
//! Layouts are `repr(C)` with explicit padding; the asserts beside each type are what the pinned maps of an older loader
//! rely on. A layout that has shipped is changed only together with [`map_name::LAYOUT_VERSION`].
#![no_std]

pub mod capability;
pub mod context;
pub mod filesystem;
pub mod hook;
pub mod id;
pub mod kernel_layout;
pub mod limits;
pub mod map_name;
pub mod network;
pub mod policy_entry;
pub mod verdict;
pub mod violation;
