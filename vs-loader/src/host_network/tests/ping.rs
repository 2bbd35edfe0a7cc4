//! Rules and routes for echo requests: what contexts get, what is left of others, and every byte of it.

use super::super::ping::message as bytes_of;
use super::super::ping::*;
use super::source::route;
use super::*;

/// What contexts of a policy need on a machine with these routes, and what is there.
fn plan_of(text: &str, routes: &[&str], marked: Vec<Entry>) -> PingPlan {
    let policy = policy::parse(&[PolicySource::new("p", text)]).unwrap();
    let entries = compile(&policy, &Known::NOTHING).unwrap();
    let routes: Vec<_> = routes.iter().map(|text| route(text)).collect();
    plan_pings(entries.rows(), entries.networks(), &machine(&[]), &routes, marked).unwrap()
}

/// As `ip rule` and `ip route` would show them.
fn shown(entries: &[Entry]) -> Vec<String> {
    let line = |entry: &Entry| match entry {
        Entry::Rule(Rule { is_v4, mark, mask, priority, table }) => {
            let family = if *is_v4 { 4 } else { 6 };
            let end = table.map_or("unreachable".to_owned(), |table| format!("lookup {table:#x}"));
            format!("{priority}: {family} {mark:#x}/{mask:#x} {end}")
        }
        Entry::Route(TableRoute { table, destination, link, gateway, is_on_link, source }) => {
            let gateway = gateway.map_or_else(String::new, |gateway| format!(" via {gateway}"));
            let source = source.map_or_else(String::new, |source| format!(" src {source}"));
            let flag = if *is_on_link { " onlink" } else { "" };
            format!("{table:#x}: {destination}{gateway} dev {link}{source}{flag}")
        }
    };
    entries.iter().map(line).collect()
}

const WEB: &str = "[context.web]\nxid = 100\naddresses = [\"192.0.2.10\", \"198.51.100.10\"]\nping = true\n";

#[test]
fn the_machine_s_routes_lead_from_the_context() {
    let routes = [
        "0.0.0.0/0 via 192.0.2.254 dev 2 onlink",
        "192.0.2.0/24 dev 2 src 192.0.2.1",
        "198.51.100.0/24 dev 3 src 198.51.100.10",
        "127.0.0.0/8 dev 1",
        "::/0 via fe80::1 dev 2",
    ];
    let plan = plan_of(WEB, &routes, Vec::new());
    assert_eq!(
        shown(&plan.add),
        [
            "87: 4 0x56000000/0xff000000 unreachable",
            "86: 4 0x56000064/0xffffffff lookup 0x56000064",
            "0x56000064: 192.0.2.0/24 dev 2 src 192.0.2.10",
            "0x56000064: 198.51.100.0/24 dev 3 src 198.51.100.10",
            "0x56000064: 0.0.0.0/0 via 192.0.2.254 dev 2 src 192.0.2.10 onlink",
        ]
    );
    assert_eq!(plan.remove, []);
    // Without the grant there is nothing.
    assert_eq!(plan_of(&WEB.replace("true", "false"), &routes, Vec::new()), PingPlan::default());
    let raw = WEB.replace("ping = true", "raw = [\"icmp\"]");
    assert_eq!(plan_of(&raw, &routes, Vec::new()), plan_of(WEB, &routes, Vec::new()));
}

#[test]
fn a_load_makes_tables_beside_those_that_are_there() {
    let first = plan_of(WEB, &["192.0.2.0/24 dev 2"], Vec::new()).add;
    let second = plan_of(WEB, &["192.0.2.0/24 dev 3"], first.clone());
    assert_eq!(
        shown(&second.add),
        ["86: 4 0x56000064/0xffffffff lookup 0x56010064", "0x56010064: 192.0.2.0/24 dev 3 src 192.0.2.10",]
    );
    assert_eq!(second.remove, first[1..]);
    // What ends the search stays.
    let last = plan_of("[context.web]\nxid = 100\n", &[], first.clone());
    assert_eq!(last, PingPlan { add: Vec::new(), remove: first[1..].to_vec() });
}

#[test]
fn both_families_are_the_contexts_own() {
    let both = "[context.web]\nxid = 100\naddresses = [\"192.0.2.10\", \"2001:db8::10\"]\nping = true\n";
    let lines = shown(&plan_of(both, &["2001:db8::/64 dev 2"], Vec::new()).add);
    assert_eq!(
        lines[2..],
        [
            "87: 6 0x56000000/0xff000000 unreachable",
            "86: 6 0x56000064/0xffffffff lookup 0x56000064",
            "0x56000064: 2001:db8::/64 dev 2 src 2001:db8::10",
        ]
    );
}

/// Rules and routes in memory.
#[derive(Default)]
struct Fake {
    entries: Vec<Entry>,
    /// How many can be added.
    room: usize,
    /// The errno of what is refused.
    errno: i32,
}

impl Routing for Fake {
    fn marked_rules(&mut self) -> Result<Vec<Rule>, HostNetworkError> {
        let rule = |entry: &Entry| match entry {
            Entry::Rule(rule) => Some(rule.clone()),
            Entry::Route(_) => None,
        };
        Ok(self.entries.iter().filter_map(rule).collect())
    }

    fn marked_routes(&mut self) -> Result<Vec<TableRoute>, HostNetworkError> {
        let route = |entry: &Entry| match entry {
            Entry::Rule(_) => None,
            Entry::Route(route) => Some(route.clone()),
        };
        Ok(self.entries.iter().filter_map(route).collect())
    }

    fn add_entry(&mut self, entry: &Entry) -> io::Result<()> {
        if self.entries.len() == self.room {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        self.entries.push(entry.clone());
        Ok(())
    }

    fn remove_entry(&mut self, entry: &Entry) -> io::Result<()> {
        match self.entries.iter().position(|known| known == entry) {
            Some(at) => {
                self.entries.remove(at);
                Ok(())
            }
            None => Err(io::Error::from_raw_os_error(self.errno)),
        }
    }
}

#[test]
fn all_entries_or_none() {
    let wanted = plan_of(WEB, &["192.0.2.0/24 dev 2", "198.51.100.0/24 dev 3"], Vec::new()).add;
    let mut fake = Fake { room: wanted.len(), ..Fake::default() };
    let added = put_entries(&mut fake, &wanted).unwrap();
    assert!(wanted.iter().all(|entry| added.contains(entry)));
    assert_eq!(marked_entries(&mut fake).unwrap().len(), wanted.len());
    assert!(take_entries(&mut fake, &added).is_empty());
    assert_eq!(marked_entries(&mut fake).unwrap(), []);
    let mut full = Fake { room: wanted.len() - 1, errno: libc::EINVAL, ..Fake::default() };
    let (error, left) = put_entries(&mut full, &wanted).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot add the route to 198.51.100.0/24 of table 0x56000064: Invalid argument (os error 22)"
    );
    assert!(left.is_empty() && full.entries.is_empty());
}

#[test]
fn what_is_gone_is_removed_and_what_stays_is_told() {
    let gone = plan_of(WEB, &["192.0.2.0/24 dev 2"], Vec::new()).add;
    for errno in [libc::ENOENT, libc::ESRCH, libc::ENODEV] {
        assert!(take_entries(&mut Fake { errno, ..Fake::default() }, &gone).is_empty());
    }
    let left = take_entries(&mut Fake { errno: libc::EPERM, ..Fake::default() }, &gone);
    assert_eq!(left.len(), gone.len());
    assert_eq!(
        left[1].to_string(),
        "cannot remove the IPv4 rule for the mark 0x56000064/0xffffffff, table 0x56000064: Operation not permitted (os error 1); the next vs load or vs unload does"
    );
}

/// What is written is what would be read.
#[test]
fn messages_say_what_entries_are() {
    let both = "[context.web]\nxid = 100\naddresses = [\"192.0.2.10\", \"2001:db8::10\"]\nping = true\n";
    let routes = [
        "0.0.0.0/0 via 192.0.2.254 dev 2 onlink",
        "192.0.2.0/25 dev 2",
        "2001:db8::/64 dev 2",
        "::/0 via fe80::1 dev 2",
    ];
    for entry in plan_of(both, &routes, Vec::new()).add {
        let bytes = bytes_of::add(&entry, 7);
        // NLM_F_REQUEST, ACK, EXCL, CREATE.
        assert_eq!(u16::from_ne_bytes([bytes[6], bytes[7]]), 0x605, "{entry}");
        let read = match entry {
            Entry::Rule(_) => bytes_of::rule(&bytes[16..]).unwrap().map(Entry::Rule),
            Entry::Route(_) => bytes_of::route(&bytes[16..]).unwrap().map(Entry::Route),
        };
        assert_eq!(read.as_ref(), Some(&entry));
        let mut theirs = bytes_of::remove(&entry, 7);
        assert_eq!(u16::from_ne_bytes([theirs[6], theirs[7]]), 5, "{entry}");
        // Whose it is, is an attribute of a rule (FRA_PROTOCOL, of one byte), and a byte of a route's header.
        let at = match entry {
            Entry::Rule(_) => 4 + theirs.windows(4).position(|bytes| bytes == [5, 0, 21, 0]).unwrap(),
            Entry::Route(_) => 16 + 5,
        };
        assert_eq!(theirs[at], MARK, "{entry}");
        theirs[at] = 3;
        let is_ours = match entry {
            Entry::Rule(_) => bytes_of::rule(&theirs[16..]).unwrap().is_some(),
            Entry::Route(_) => bytes_of::route(&theirs[16..]).unwrap().is_some(),
        };
        assert!(!is_ours, "{entry}");
    }
}

#[test]
fn what_leads_elsewhere_is_not_copied() {
    let odd = Route { is_plain: false, ..route("203.0.113.0/24 dev 2") };
    let policy = policy::parse(&[PolicySource::new("p", WEB)]).unwrap();
    let entries = compile(&policy, &Known::NOTHING).unwrap();
    let plan = plan_pings(entries.rows(), entries.networks(), &machine(&[]), &[odd], Vec::new()).unwrap();
    assert!(plan.add.iter().all(|entry| matches!(entry, Entry::Rule(_))));
}
