//! The real drop: what no hook can give back.
//!
//! All five sets end as what policy lets the context ever use, or less, and are read back: `/proc/PID/status` tells the truth. In two steps:
//! the bounding, ambient and inheritable sets before anybody of the context could see the process, the permitted one when it has changed its
//! user, for which it needs [`ENTRY_SET`]. `no_new_privs` is not set: setuid programs inside are wanted, and the bounding set holds them as
//! well. Supplementary to the `capable` hook, not instead of it.

use std::io;

use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use vs_common::capability::ENTRY_SET;

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

/// Drops all but these capabilities of this process, for good; those that it needs on its way to its exec it has until
/// [`drop_the_rest`] or the exec.
///
/// # Errors
/// The kernel refused, or kept more than it was told to.
pub(in crate::context) fn drop_to(kept: vs_common::capability::CapabilitySet) -> Result<(), CapabilityError> {
    let kept = CapabilitySet::from_bits_retain(kept);
    // What the caller inherited (`SECBIT_KEEP_CAPS`, `SECBIT_NO_SETUID_FIXUP`) would let a later setuid keep what it must lose.
    rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::empty())
        .map_err(failed("reset the securebits"))?;
    rustix::thread::clear_ambient_capability_set().map_err(failed("clear the ambient set"))?;
    bound(kept)?;
    let until_exec = kept | CapabilitySet::from_bits_retain(ENTRY_SET);
    permit(until_exec)?;
    read_back(kept, until_exec)
}

/// Drops what the process needed on its way, too.
///
/// # Errors
/// As [`drop_to`].
pub(in crate::context) fn drop_the_rest(
    kept: vs_common::capability::CapabilitySet,
) -> Result<(), CapabilityError> {
    let kept = CapabilitySet::from_bits_retain(kept);
    permit(kept)?;
    read_back(kept, kept)
}

/// One set of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Which.
    pub set: &'static str,
    /// What is in it.
    pub capabilities: vs_common::capability::CapabilitySet,
}

/// The sets of this process.
///
/// # Errors
/// The kernel refused.
pub fn own() -> Result<[Held; 5], CapabilityError> {
    let sets = held()?;
    let (bounding, ambient) = bounding_and_ambient()?;
    let sets = [
        ("effective", sets.effective),
        ("permitted", sets.permitted),
        ("inheritable", sets.inheritable),
        ("bounding", bounding),
        ("ambient", ambient),
    ];
    Ok(sets.map(|(set, capabilities)| Held { set, capabilities: capabilities.bits() }))
}

/// Drops all but these capabilities of this process, of all five sets, and leaves these as they are.
///
/// # Errors
/// The kernel refused: without `CAP_SETPCAP` nothing leaves the bounding set.
pub fn reduce(kept: vs_common::capability::CapabilitySet) -> Result<(), CapabilityError> {
    let kept = CapabilitySet::from_bits_retain(kept);
    bound(kept)?;
    let sets = held()?;
    // The kernel takes what is no longer permitted or inheritable out of the ambient set.
    let sets = CapabilitySets {
        effective: sets.effective & kept,
        permitted: sets.permitted & kept,
        inheritable: sets.inheritable & kept,
    };
    rustix::thread::set_capabilities(None, sets).map_err(failed("set the capabilities"))?;
    for Held { set, capabilities } in own()? {
        check_excess(&[(set, CapabilitySet::from_bits_retain(capabilities))], kept)?;
    }
    Ok(())
}

fn permit(kept: CapabilitySet) -> Result<(), CapabilityError> {
    let permitted = held()?.permitted & kept;
    let sets = CapabilitySets { effective: permitted, permitted, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(failed("set the capabilities"))
}

/// Drops all others from the bounding set.
fn bound(kept: CapabilitySet) -> Result<(), CapabilityError> {
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
    Ok(())
}

fn each() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number))
}

fn held() -> Result<CapabilitySets, CapabilityError> {
    rustix::thread::capabilities(None).map_err(failed("read the capabilities"))
}

fn read_back(kept: CapabilitySet, permitted: CapabilitySet) -> Result<(), CapabilityError> {
    let (bounding, ambient) = bounding_and_ambient()?;
    let sets = held()?;
    check_excess(&[("permitted", sets.permitted), ("effective", sets.effective)], permitted)?;
    check_excess(&[("inheritable", sets.inheritable), ("bounding", bounding), ("ambient", ambient)], kept)
}

fn bounding_and_ambient() -> Result<(CapabilitySet, CapabilitySet), CapabilityError> {
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
    Ok((bounding, ambient))
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
    use vs_common::capability::DEFAULT_SET;

    use super::*;

    const DEFAULT: CapabilitySet = CapabilitySet::from_bits_retain(DEFAULT_SET);

    #[test]
    fn what_is_safe_passes_and_one_more_is_named() {
        check_excess(&[("permitted", DEFAULT), ("ambient", CapabilitySet::empty())], DEFAULT).unwrap();
        for beyond in each().filter(|capability| !DEFAULT.contains(*capability)) {
            let error =
                check_excess(&[("permitted", DEFAULT), ("bounding", DEFAULT | beyond)], DEFAULT).unwrap_err();
            assert!(
                matches!(error, CapabilityError::Excess { set: "bounding", excess } if excess == beyond.bits())
            );
        }
    }

    #[test]
    fn on_the_way_it_changes_its_user_and_its_groups_and_gives_up_capabilities() {
        let way = CapabilitySet::SETGID | CapabilitySet::SETUID | CapabilitySet::SETPCAP;
        assert_eq!(CapabilitySet::from_bits_retain(ENTRY_SET), way);
    }

    #[test]
    fn what_reaches_the_host_is_not_safe() {
        for capability in [
            CapabilitySet::SYS_ADMIN,
            CapabilitySet::MKNOD,
            CapabilitySet::SYS_MODULE,
            CapabilitySet::DAC_READ_SEARCH,
        ] {
            assert!(!DEFAULT.contains(capability));
        }
    }
}
