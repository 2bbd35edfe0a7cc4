//! Contexts: which there are, which processes are in them, and how one gets in.
pub mod processes;
