//! The real drop: what no hook can give back.
//!
//! All five sets end as [`vs_common::capability::SAFE`] or less, of who may have raw sockets with [`vs_common::capability::NET_RAW`], and are read
//! back. `no_new_privs` is not set: setuid programs
//! inside are wanted, and the bounding set holds them as well. Supplementary to the `capable` hook, not instead of it.

use std::io;

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

/// Why capabilities were not dropped.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// A step failed.
    #[error("cannot {act}: {cause}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The kernel said that it did, and did not.
    #[error("the {set} set still holds {:#x} beyond what a context may use", .excess)]
    Excess {
        /// Which set.
        set: &'static str,
        /// The capabilities, by number.
        excess: u64,
    },
}

fn failed<E: Into<io::Error>>(act: &'static str) -> impl FnOnce(E) -> CapabilityError {
    move |cause| CapabilityError::Io { act, cause: cause.into() }
}

/// Drops all but these capabilities of this process, for good.
///
/// # Errors
/// The kernel refused, or kept more than it was told to.
pub(in crate::context) fn drop_to(kept: vs_common::capability::CapabilitySet) -> Result<(), CapabilityError> {
    let kept = CapabilitySet::from_bits_retain(kept);
    // What the caller inherited (`SECBIT_KEEP_CAPS`, `SECBIT_NO_SETUID_FIXUP`) would let a later setuid keep what it must lose.
    rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::empty())
        .map_err(failed("reset the securebits"))?;
    rustix::thread::clear_ambient_capability_set().map_err(failed("clear the ambient set"))?;
    for capability in each() {
        match rustix::thread::capability_is_in_bounding_set(capability) {
            // Beyond the last that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Ok(true) if !kept.contains(capability) => {
                rustix::thread::remove_capability_from_bounding_set(capability)
                    .map_err(failed("drop a capability from the bounding set"))?;
            }
            result => {
                result.map_err(failed("read the bounding set"))?;
            }
        }
    }
    let permitted = held()?.permitted & kept;
    let sets = CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(failed("set the capabilities"))?;
    read_back(kept)
}

fn each() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number))
}

fn held() -> Result<CapabilitySets, CapabilityError> {
    rustix::thread::capabilities(None).map_err(failed("read the capabilities"))
}

fn read_back(kept: CapabilitySet) -> Result<(), CapabilityError> {
    let mut bounding = CapabilitySet::empty();
    let mut ambient = CapabilitySet::empty();
    for capability in each() {
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Err(rustix::io::Errno::INVAL) => break,
            result => {
                if result.map_err(failed("read the bounding set"))? {
                    bounding |= capability;
                }
            }
        }
        if rustix::thread::capability_is_in_ambient_set(capability).map_err(failed("read the ambient set"))? {
            ambient |= capability;
        }
    }
    let sets = held()?;
    let sets = [
        ("permitted", sets.permitted),
        ("effective", sets.effective),
        ("inheritable", sets.inheritable),
        ("bounding", bounding),
        ("ambient", ambient),
    ];
    check_excess(&sets, kept)
}

fn check_excess(sets: &[(&'static str, CapabilitySet)], kept: CapabilitySet) -> Result<(), CapabilityError> {
    for (set, capabilities) in sets {
        let excess = capabilities.difference(kept).bits();
        if excess != 0 {
            return Err(CapabilityError::Excess { set, excess });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vs_common::capability::{RAW_SET, SAFE_SET};

    use super::*;

    const SAFE: CapabilitySet = CapabilitySet::from_bits_retain(SAFE_SET);

    #[test]
    fn what_is_safe_passes_and_one_more_is_named() {
        check_excess(&[("permitted", SAFE), ("ambient", CapabilitySet::empty())], SAFE).unwrap();
        for beyond in each().filter(|capability| !SAFE.contains(*capability)) {
            let error = check_excess(&[("permitted", SAFE), ("bounding", SAFE | beyond)], SAFE).unwrap_err();
            assert!(
                matches!(error, CapabilityError::Excess { set: "bounding", excess } if excess == beyond.bits())
            );
        }
    }

    #[test]
    fn raw_sockets_take_one_capability_more() {
        let raw = CapabilitySet::from_bits_retain(RAW_SET);
        assert_eq!(raw.difference(SAFE), CapabilitySet::NET_RAW);
        check_excess(&[("bounding", raw)], raw).unwrap();
        check_excess(&[("bounding", raw)], SAFE).unwrap_err();
    }

    #[test]
    fn what_reaches_the_host_is_not_safe() {
        for capability in [
            CapabilitySet::SYS_ADMIN,
            CapabilitySet::MKNOD,
            CapabilitySet::SYS_MODULE,
            CapabilitySet::DAC_READ_SEARCH,
        ] {
            assert!(!SAFE.contains(capability));
        }
    }
}
