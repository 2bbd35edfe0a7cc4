//! Contexts: which there are, which processes are in them, and how one gets in and is stopped.
//!
//! The rows of the epoch in force say which contexts there are ([`registry`]), tags on processes who is in them
//! ([`processes`]); nothing else is believed. [`enter`] puts a process in, [`namespaces`] gives a context its own view of files
//! and processes, [`reaper`] is the first process of one with a PID namespace, [`stop`] ends it. [`state`] holds what has to
//! lie somewhere: locks and namespaces that stay alive without a process.

mod channel;
pub mod create;
pub mod enter;
pub mod host_tree;
pub mod join;
pub mod namespaces;
pub mod processes;
pub mod reaper;
pub mod registry;
pub mod sealed;
pub mod state;
pub mod stop;
pub mod syscall;

/// Whoever puts a process into a context learns of what happens on the way.
pub trait Witness {
    /// Something that the administrator should know and that stops nothing.
    fn notice(&mut self, text: &str);

    /// This process, in the host's numbers, has its tag and is about to become the command.
    fn entering(&mut self, pid: rustix::process::Pid);
}
