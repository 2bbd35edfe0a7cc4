//! The exit codes of `vs`: stable once released, listed in README.
//!
//! `vs run` and `vs enter` pass the command's own status through, so their own failures use the shell's numbers from 125 on.

/// Done.
pub const SUCCESS: u8 = 0;
/// Something failed that has no code of its own.
pub const FAILURE: u8 = 1;
/// The command line is wrong (clap's own code).
pub const USAGE: u8 = 2;
/// The policy is wrong: syntax, unknown keys, contradictions.
pub const BAD_POLICY: u8 = 3;
/// Not root.
pub const NOT_ROOT: u8 = 4;
/// `bpf` is not in the list of active LSMs: programs would attach and never run.
pub const NO_BPF_LSM: u8 = 5;
/// The kernel has no BTF, or lacks a field that a program must read.
pub const NO_KERNEL_LAYOUT: u8 = 6;
/// The kernel lacks a hook that a guarantee rests on, or refused a program.
pub const NO_HOOK: u8 = 7;
/// All is attached, and the canary's act was not denied: nothing is enforced.
pub const CANARY_NOT_DENIED: u8 = 8;
/// No policy is loaded.
pub const NOT_LOADED: u8 = 9;
/// Refused because of processes that are alive.
pub const PROCESSES_ALIVE: u8 = 10;
/// Another `vs` is changing something.
pub const LOCKED: u8 = 11;
/// There is no such context.
pub const NO_SUCH_CONTEXT: u8 = 12;
/// The pins in bpffs are of a layout that this `vs` does not know.
pub const UNKNOWN_LAYOUT: u8 = 13;
/// Some guarantee is only partly or not given on this kernel (`vs doctor`).
pub const PARTIAL_SUPPORT: u8 = 14;
/// A policy is loaded, and not all that it promises is enforced now (`vs status`).
pub const ENFORCEMENT_INCOMPLETE: u8 = 15;
/// A place that records go to lacks some (`vs audit collect`).
pub const AUDIT_INCOMPLETE: u8 = 16;
/// The machine lacks an address that a context has, or the interface that is to get it (`vs load`).
pub const ADDRESS_MISSING: u8 = 17;
/// The machine lacks a directory that policy gives to a context, or it cannot be given (`vs load`).
pub const DIRECTORY_MISSING: u8 = 18;

/// `vs run`, `vs enter`: failed before the command.
pub const RUN_FAILED: u8 = 125;
/// `vs run`, `vs enter`: the command cannot be executed.
pub const RUN_CANNOT_EXECUTE: u8 = 126;
/// `vs run`, `vs enter`: the command was not found.
pub const RUN_NOT_FOUND: u8 = 127;
