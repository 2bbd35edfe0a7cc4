//! Services of the host that are in the way of contexts with addresses, as `vs doctor` and `vs load` tell of them.

use crate::compile::Networks;
use crate::host_sockets::holder::holders_of;
use crate::host_sockets::sock_diag::{SockDiag, local_ports};
use crate::host_sockets::{CURE, HostSocketsError, Service, in_the_way, inodes};

/// How many a load names.
const NAMED: usize = 8;

/// Above the list.
pub(super) const HEADING: &str =
    "services on every address of the machine, whose ports contexts with addresses cannot have:";

/// Looks for them.
///
/// # Errors
/// The kernel does not list sockets.
pub(super) fn find() -> Result<Vec<Service>, HostSocketsError> {
    let local_ports = local_ports()?;
    let sockets = SockDiag::open()?.services()?;
    let holders = holders_of(&inodes(&sockets, &local_ports));
    Ok(in_the_way(&sockets, &local_ports, &holders))
}

/// Warns of them after a load, if some context could want a port.
pub(super) fn warn(networks: &Networks) {
    if networks.values().all(|network| network.addresses.is_empty()) {
        return;
    }
    match find() {
        Ok(services) => lines(&services).iter().for_each(|line| eprintln!("vs: {line}")),
        Err(error) => eprintln!("vs: whether services are in the way of contexts: {error}"),
    }
}

/// What a load says of services.
fn lines(services: &[Service]) -> Vec<String> {
    if services.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![HEADING.to_owned()];
    lines.extend(services.iter().take(NAMED).map(|service| format!("  {service}")));
    if services.len() > NAMED {
        lines.push(format!("  and {} more; see vs doctor", services.len() - NAMED));
    }
    lines.push(format!("  {CURE}"));
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::host_sockets::Protocol;

    fn services(count: u16) -> Vec<Service> {
        let service = |port| Service {
            protocol: Protocol::Tcp,
            address: "0.0.0.0".parse().unwrap(),
            port,
            v6_only: false,
            holders: BTreeSet::new(),
        };
        (1..=count).map(service).collect()
    }

    #[test]
    fn a_load_names_eight() {
        assert_eq!(lines(&[]), Vec::<String>::new());
        let few = lines(&services(8));
        assert_eq!((few.len(), few[1].as_str()), (10, "  tcp 0.0.0.0:1: no process that can be seen"));
        assert_eq!(few[9], format!("  {CURE}"));
        let many = lines(&services(11));
        assert_eq!((many.len(), many[9].as_str()), (11, "  and 3 more; see vs doctor"));
    }
}
