//! The kernel's maps as the loader sees them: one trait, one real implementation, one fake that fails on demand.

pub mod apply;
pub mod capabilities;
#[cfg(test)]
pub(crate) mod fake;
mod files;
pub mod live;
pub mod networks;
pub mod store;
