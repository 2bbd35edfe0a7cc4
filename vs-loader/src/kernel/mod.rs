//! Programs and the kernel they run on: support, layout, object, attachment, pins.

pub mod attach;
mod attachment;
pub mod btf;
pub mod canary;
pub mod gather;
pub mod layout;
pub mod lsm_list;
pub mod map;
mod numbers;
pub mod object;
pub mod pins;
pub mod support;
pub(crate) mod syscall;
pub mod trial;
pub mod watch;
