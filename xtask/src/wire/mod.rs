//! The words between the host and a test machine: what init is asked to do, and what it reports.

pub mod frame;
pub mod job;
