//! Programs and the kernel they run on: support, layout, object, attachment, pins.
