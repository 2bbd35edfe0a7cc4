//! The addresses of contexts, and who listens there.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde::Serialize;
use vs_common::id::Xid;
use vs_common::network::{Address, LISTENER_UDP, LISTENER_V6, ListenerKey};

use crate::compile::network::{loopback_name, to_ip};
use crate::compile::{Networks, Rows, name_of};

/// What one context has.
#[derive(Serialize, Debug)]
pub(super) struct AddressesAnswer {
    name: String,
    xid: u32,
    /// Addresses and prefixes.
    addresses: Vec<String>,
    /// What ANY is, IPv4 first.
    primary: Vec<String>,
    /// "private", "shared" or "none"; of the host "host".
    loopback: String,
    /// What it may do beyond its addresses.
    grants: Vec<String>,
    /// Where it listens, and with `/udp` where it has datagrams; `*` stands for every address of the context.
    listeners: Vec<String>,
}

/// Of every context that has addresses of its own.
pub(super) fn answers(rows: &Rows, networks: &Networks, listeners: &[ListenerKey]) -> Vec<AddressesAnswer> {
    let answer = |(xid, network): (&Xid, &crate::compile::Network)| AddressesAnswer {
        name: match *xid {
            Xid::HOST => "host".to_owned(),
            xid => rows.get(&xid).map(|rules| name_of(rules).into_owned()).unwrap_or_default(),
        },
        xid: xid.0,
        addresses: network.addresses.iter().map(ToString::to_string).collect(),
        primary: network.primaries().iter().map(ToString::to_string).collect(),
        loopback: if *xid == Xid::HOST { "host".to_owned() } else { loopback_name(network.rules.flags) },
        grants: network.grants(),
        listeners: sockets_of(*xid, listeners),
    };
    networks.iter().map(answer).collect()
}

/// Where a context listens, by port. A socket for both families has a key for each, and is one here.
fn sockets_of(xid: Xid, listeners: &[ListenerKey]) -> Vec<String> {
    let own = listeners.iter().filter(|key| key.xid == xid);
    let all: BTreeSet<_> = own.map(|key| (key.port & !LISTENER_V6, shown(key.address))).collect();
    all.into_iter()
        .map(|(port, address)| {
            let protocol = if port & LISTENER_UDP == 0 { "" } else { "/udp" };
            format!("{address}:{}{protocol}", port & !LISTENER_UDP)
        })
        .collect()
}

/// An address before a port: IPv6 in brackets (RFC 3986, 3.2.2).
fn shown(address: Address) -> String {
    match to_ip(address) {
        _ if address == Address::NONE => "*".to_owned(),
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A table, if there is anything to show.
pub(super) fn print(answers: &[AddressesAnswer], out: &mut dyn Write) -> io::Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    let list = |items: &[String]| if items.is_empty() { "-".to_owned() } else { items.join(",") };
    let width = |heading: &str, text: &dyn Fn(&AddressesAnswer) -> String| {
        answers.iter().map(|answer| text(answer).chars().count()).max().unwrap_or(0).max(heading.len())
    };
    let name = width("CONTEXT", &|answer| answer.name.clone());
    let primary = width("PRIMARY", &|answer| list(&answer.primary));
    let addresses = width("ADDRESSES", &|answer| list(&answer.addresses));
    writeln!(
        out,
        "\n{:<name$} {:<8} {:<primary$} {:<addresses$} LISTENERS",
        "CONTEXT", "LOOPBACK", "PRIMARY", "ADDRESSES"
    )?;
    for answer in answers {
        writeln!(
            out,
            "{:<name$} {:<8} {:<primary$} {:<addresses$} {}",
            answer.name,
            answer.loopback,
            list(&answer.primary),
            list(&answer.addresses),
            list(&answer.listeners)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Known, compile};
    use crate::maps::apply::networks_of;
    use crate::maps::fake::FakeStore;
    use crate::maps::store::Store;
    use crate::policy::{PolicySource, parse, to_address};
    use vs_common::id::Epoch;
    use vs_common::policy_entry::ContextKey;

    const POLICY: &str = concat!(
        "[context.web]\nxid = 100\naddresses = [\"192.0.2.10\", \"192.0.2.16/28\", \"2001:db8::10\"]\n",
        "[context.cache]\nxid = 101\naddresses = []\n",
        "[context.mail]\nxid = 102\n",
    );

    /// The policy's rows in maps, with these listeners.
    fn store(listeners: Vec<ListenerKey>) -> (Rows, FakeStore) {
        let policy = parse(&[PolicySource::new("p", POLICY)]).unwrap();
        let entries = compile(&policy, &Known::NOTHING).unwrap();
        let mut store = FakeStore::new();
        store.epoch = Epoch(4);
        store.listeners = listeners;
        for (xid, network) in entries.networks() {
            // Of an epoch before there may be some left.
            for epoch in [Epoch(3), Epoch(4)] {
                store.put_network_rules(ContextKey { epoch, xid: *xid }, &network.rules).unwrap();
            }
            for prefix in &network.addresses {
                let key =
                    vs_common::network::AddressKey { epoch: Epoch(4), xid: *xid, address: prefix.address };
                store.put_address(key, prefix.length, *xid).unwrap();
            }
        }
        (entries.rows().clone(), store)
    }

    fn listener(xid: u32, port: u32, address: &str) -> ListenerKey {
        let address = if address == "*" { Address::NONE } else { to_address(address.parse().unwrap()) };
        ListenerKey { xid: Xid(xid), port, address }
    }

    #[test]
    fn addresses_and_listeners_by_context() {
        let (rows, store) = store(vec![
            listener(100, 443, "*"),
            listener(100, 443 + LISTENER_V6, "*"),
            listener(100, 80, "192.0.2.10"),
            listener(100, 80 + LISTENER_V6, "2001:db8::10"),
            listener(101, 6379, "127.0.101.1"),
        ]);
        let networks = networks_of(&store, Epoch(4)).unwrap();
        let answers = answers(&rows, &networks, &store.listeners().unwrap());
        let mut out = Vec::new();
        print(&answers, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                "\nCONTEXT LOOPBACK PRIMARY                 ADDRESSES                             LISTENERS\n",
                "web     private  192.0.2.10,2001:db8::10 192.0.2.10,192.0.2.16/28,2001:db8::10 192.0.2.10:80,[2001:db8::10]:80,*:443\n",
                "cache   private  -                       -                                     127.0.101.1:6379\n",
            )
        );
        assert_eq!(
            serde_json::to_string(&answers[1]).unwrap(),
            r#"{"name":"cache","xid":101,"addresses":[],"primary":[],"loopback":"private","grants":[],"listeners":["127.0.101.1:6379"]}"#
        );
    }

    #[test]
    fn without_addresses_there_is_no_table() {
        let mut out = Vec::new();
        print(&[], &mut out).unwrap();
        assert!(out.is_empty());
    }
}
