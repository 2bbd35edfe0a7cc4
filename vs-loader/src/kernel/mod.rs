//! Programs and the kernel they run on: support, layout, object, attachment, pins.

pub mod btf;
pub mod layout;
pub mod map;
pub mod pins;
pub(crate) mod syscall;
