//! Adding and removing, with a machine that fails where a test says.

use super::*;

/// Interfaces in memory.
#[derive(Default)]
struct Fake {
    addresses: BTreeSet<Placement>,
    /// The errno that adding an address comes to.
    refused: Vec<(IpAddr, i32)>,
    /// The errno that removing one comes to.
    stuck: Vec<(IpAddr, i32)>,
}

fn refusal(of: &[(IpAddr, i32)], address: IpAddr) -> io::Result<()> {
    match of.iter().find(|(refused, _)| *refused == address) {
        Some((_, errno)) => Err(io::Error::from_raw_os_error(*errno)),
        None => Ok(()),
    }
}

impl Interfaces for Fake {
    fn list(&mut self) -> Result<HostNetwork, HostNetworkError> {
        let addresses = self.addresses.iter().map(|at| ours(&at.address.to_string(), at.link));
        Ok(machine(&addresses.collect::<Vec<_>>()))
    }

    fn routes(&mut self) -> Result<Vec<Route>, HostNetworkError> {
        Ok(Vec::new())
    }

    fn add(&mut self, placement: &Placement) -> io::Result<()> {
        refusal(&self.refused, placement.address)?;
        self.addresses.insert(placement.clone());
        Ok(())
    }

    fn remove(&mut self, placement: &Placement) -> io::Result<()> {
        refusal(&self.stuck, placement.address)?;
        self.addresses.remove(placement);
        Ok(())
    }
}

fn addition(address: &str, is_optional: bool) -> Addition {
    let context = ContextLabel { xid: vs_common::id::Xid(100), name: "web".to_owned() };
    Addition { placement: placement(address, 2, "eth0"), context, is_optional, is_link_up: true }
}

#[test]
fn all_is_added_and_can_be_taken_away() {
    let mut fake = Fake::default();
    let added = put(&mut fake, &[addition("192.0.2.10", false), addition("2001:db8::10", true)]).unwrap();
    assert_eq!(added, [placement("192.0.2.10", 2, "eth0"), placement("2001:db8::10", 2, "eth0")]);
    assert_eq!(marked(&mut fake).unwrap(), added);
    assert!(take_away(&mut fake, &added).is_empty());
    assert_eq!(marked(&mut fake).unwrap(), []);
}

#[test]
fn one_that_fails_takes_the_others_along() {
    let bad = "192.0.2.11".parse().unwrap();
    let mut fake = Fake { refused: vec![(bad, libc::EINVAL)], ..Fake::default() };
    let all = [addition("192.0.2.10", false), addition("192.0.2.11", false), addition("192.0.2.12", false)];
    let (error, left) = put(&mut fake, &all).unwrap_err();
    assert_eq!(
        error.to_string(),
        "context web (xid 100): cannot add 192.0.2.11/32 on eth0: Invalid argument (os error 22)"
    );
    assert!(left.is_empty() && fake.addresses.is_empty());
}

#[test]
fn what_cannot_be_removed_is_said() {
    let (bad, stuck) = ("192.0.2.11".parse().unwrap(), "192.0.2.10".parse().unwrap());
    let mut fake =
        Fake { refused: vec![(bad, libc::EINVAL)], stuck: vec![(stuck, libc::EPERM)], ..Fake::default() };
    let (_, left) =
        put(&mut fake, &[addition("192.0.2.10", false), addition("192.0.2.11", false)]).unwrap_err();
    assert_eq!(
        left[0].to_string(),
        "cannot remove 192.0.2.10/32 on eth0: Operation not permitted (os error 1); the next vs load or vs unload does, or `ip address del 192.0.2.10/32 dev eth0`"
    );
}

#[test]
fn without_ipv6_nothing_is_missed_that_is_optional() {
    let address = "fd56:7365:7276::64:1".parse().unwrap();
    for errno in [libc::EOPNOTSUPP, libc::EAFNOSUPPORT, libc::EACCES] {
        let mut fake = Fake { refused: vec![(address, errno)], ..Fake::default() };
        assert_eq!(put(&mut fake, &[addition("fd56:7365:7276::64:1", true)]).unwrap(), []);
        assert!(put(&mut fake, &[addition("fd56:7365:7276::64:1", false)]).is_err());
    }
    // Not for want of IPv6 but of a capability.
    let mut fake = Fake { refused: vec![(address, libc::EPERM)], ..Fake::default() };
    assert!(put(&mut fake, &[addition("fd56:7365:7276::64:1", true)]).is_err());
}

#[test]
fn who_was_faster_keeps_the_address() {
    let address = "192.0.2.10".parse().unwrap();
    let mut fake = Fake { refused: vec![(address, libc::EEXIST)], ..Fake::default() };
    assert_eq!(put(&mut fake, &[addition("192.0.2.10", false)]).unwrap(), []);
}

#[test]
fn what_is_gone_is_removed() {
    let address = "192.0.2.10".parse().unwrap();
    for errno in [libc::EADDRNOTAVAIL, libc::ENODEV] {
        let mut fake = Fake { stuck: vec![(address, errno)], ..Fake::default() };
        assert!(take_away(&mut fake, &[placement("192.0.2.10", 2, "eth0")]).is_empty());
    }
}
