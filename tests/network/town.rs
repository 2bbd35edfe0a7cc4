//! Who takes part: contexts with addresses, one without any, one that uses the host's, and the host, each with somebody who holds sockets.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::desk::Desk;
use vs_tests::peer::Peer;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::World;

/// Everybody: the name by which they are called, and the context's xid.
pub(crate) const EVERYBODY: [(&str, u32); 11] = [
    ("host", 0),
    ("net-a", 201),
    ("net-b", 202),
    ("net-lo", 203),
    ("net-shared", 204),
    ("net-grants", 205),
    ("net-none", 206),
    ("net-ping", 207),
    ("net-strict", 208),
    ("net-raw", 209),
    ("plain-a", 121),
];

/// What an order must come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// It goes through.
    Fine,
    /// It goes through and tells this.
    Tells(&'static str),
    /// It goes through and tells something that begins so: what comes after is a port that the kernel chose.
    Begins(&'static str),
    /// The kernel itself fails it.
    Fails(i32),
    /// A hook denies it, and there is a record.
    Denied(i32, Hook),
}

pub(crate) use Answer::{Begins, Denied, Fails, Fine, Tells};

/// The town.
#[derive(Debug)]
pub(crate) struct Town {
    people: Vec<(&'static str, u32)>,
    desks: BTreeMap<&'static str, Desk>,
    records: Vec<Expected>,
    /// Whether the first thing that does not hold is enough: what waits for it would wait in vain, step by step.
    is_hasty: bool,
}

impl Town {
    /// Puts everybody in place, and somebody on another machine if there is one.
    pub(crate) fn settle(peer: Option<&Peer>, is_hasty: bool) -> Result<Self> {
        let mut town = Self::of(&EVERYBODY, is_hasty)?;
        if let Some(peer) = peer {
            town.join("peer", 0, peer.desk()?);
        }
        Ok(town)
    }

    /// Puts these in place.
    pub(crate) fn of(people: &[(&'static str, u32)], is_hasty: bool) -> Result<Self> {
        let desks = people.iter().map(|(name, _)| anyhow::Ok((*name, Desk::start(name)?)));
        let desks = desks.collect::<Result<_>>()?;
        Ok(Self { people: people.to_vec(), desks, records: Vec::new(), is_hasty })
    }

    /// Somebody more comes.
    pub(crate) fn join(&mut self, name: &'static str, xid: u32, desk: Desk) {
        self.people.push((name, xid));
        self.desks.insert(name, desk);
    }

    /// Has somebody carry out an order, and checks how what it tells begins.
    pub(crate) fn comes(&mut self, checks: &mut Checks, who: &str, order: &str, begin: &str) -> Result<()> {
        let found = self.order(who, order)?;
        checks.check(found.as_ref().is_ok_and(|text| text.starts_with(begin)), || {
            format!("{who}: {order}: {found:?}, expected {begin:?}...")
        });
        Ok(())
    }

    /// Has somebody carry out an order, and checks what it comes to.
    pub(crate) fn say(&mut self, checks: &mut Checks, who: &str, order: &str, answer: Answer) -> Result<()> {
        let desk = self.desks.get_mut(who).with_context(|| format!("nobody is called {who}"))?;
        let found = desk.order(order)?;
        let holds = match (&found, answer) {
            (Ok(_), Fine) => true,
            (Ok(text), Tells(expected)) => text == expected,
            (Ok(text), Begins(expected)) => text.starts_with(expected),
            (Err(errno), Fails(expected) | Denied(expected, _)) => *errno == expected,
            _ => false,
        };
        checks.check(holds, || {
            let found = found.map_err(|errno| (errno, errno_name(errno)));
            format!("{who}: {order}: {found:?}, expected {answer:?}")
        });
        if self.is_hasty && !holds {
            bail!("that is enough");
        }
        if let Denied(errno, hook) = answer {
            let actor = self.people.iter().find(|(name, _)| *name == who).map_or(0, |(_, xid)| *xid);
            let errno = errno_name(errno);
            let expected =
                Expected { actor, pid: None, target: None, hook: hook.name(), errno, mode: "enforce" };
            // What one process is denied again within a second is counted, whatever errno it has.
            if !self.records.iter().any(|known| (known.actor, known.hook) == (actor, expected.hook)) {
                self.records.push(expected);
            }
        }
        Ok(())
    }

    /// Has somebody carry out an order that may come to anything.
    pub(crate) fn order(&mut self, who: &str, order: &str) -> Result<std::result::Result<String, i32>> {
        self.desks.get_mut(who).with_context(|| format!("nobody is called {who}"))?.order(order)
    }

    /// Has somebody receive, checks how what it tells begins, and gives what comes after: a port.
    pub(crate) fn port_of_sender(
        &mut self,
        checks: &mut Checks,
        who: &str,
        order: &str,
        begin: &str,
    ) -> Result<String> {
        let found = self.order(who, order)?;
        let port = found.as_ref().ok().and_then(|text| text.strip_prefix(begin)).map(str::to_owned);
        checks.check(port.is_some(), || format!("{who}: {order}: {found:?}, expected {begin:?}..."));
        // Nobody listens at port 1: what is sent there fails as well, and says so.
        Ok(port.unwrap_or_else(|| "1".to_owned()))
    }

    /// A line a step: who, order.
    pub(crate) fn script(&mut self, checks: &mut Checks, steps: &[(&str, &str, Answer)]) -> Result<()> {
        steps.iter().try_for_each(|(who, order, answer)| self.say(checks, who, order, *answer))
    }

    /// Every denial has a record.
    pub(crate) fn check_records(&mut self, world: &mut World, checks: &mut Checks) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        let missing = world.audit.missing(&records)?;
        checks.check(missing.is_empty(), || format!("no audit records: {missing:?}"));
        Ok(())
    }
}
