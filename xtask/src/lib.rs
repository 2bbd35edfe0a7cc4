//! What the two binaries of this package share. Everything else belongs to one of them: `src/main.rs` and its modules are
//! `cargo xtask`, `src/bin/guest-init.rs` is the first process of a test machine.

pub mod wire;
