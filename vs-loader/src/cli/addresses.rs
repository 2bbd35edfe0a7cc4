//! The machine's addresses around a load and an unload: what is missing is added before, what is no longer wanted is removed after.

use std::collections::BTreeSet;

use vs_common::id::Xid;

use super::Failure;
use crate::compile::{ContextLabel, Networks, Rows};
use crate::host_network::ping::{
    Entry, PingPlan, Remnant, has_pings, marked_entries, plan_pings, put_entries, take_entries,
};
use crate::host_network::rtnetlink::Rtnetlink;
use crate::host_network::{
    Addition, HostNetwork, HostNetworkError, Interfaces, Leftover, Placement, Plan, claims_of, marked, plan,
    put, sources_of, take_away,
};
use crate::policy::Policy;

/// What a load adds and removes; nothing has been done yet.
#[derive(Debug)]
pub(super) struct Foreseen {
    kernel: Rtnetlink,
    plan: Plan,
    pings: PingPlan,
}

/// What was added, and what is to be removed once the policy is in force.
#[derive(Debug)]
pub(super) struct Prepared {
    kernel: Rtnetlink,
    added: Vec<Placement>,
    obsolete: Vec<Placement>,
    added_entries: Vec<Entry>,
    obsolete_entries: Vec<Entry>,
}

impl Foreseen {
    /// Looks at the machine. `None`: no context has addresses, and the machine's cannot be looked at, of which a warning is printed.
    ///
    /// # Errors
    /// The machine lacks what contexts need and policy does not have assigned, or it cannot be looked at.
    pub(super) fn of(
        policy: Option<&Policy>,
        rows: &Rows,
        networks: &Networks,
    ) -> Result<Option<Self>, HostNetworkError> {
        let looked = Rtnetlink::open().and_then(|mut kernel| Ok((kernel.list()?, kernel)));
        let (host, kernel) = match looked {
            Ok(looked) => looked,
            Err(error) if networks.is_empty() => {
                eprintln!(
                    "vs: {error}; should an earlier load have put addresses there, `ip address show proto 0x56` lists them"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut kernel = kernel;
        let plan = plan(&claims_of(policy, rows, networks), &host).map_err(HostNetworkError::Flaws)?;
        let pings = pings(&mut kernel, rows, networks, &host)?;
        Ok(Some(Self { kernel, plan, pings }))
    }

    /// What a load would do, a line for each address.
    pub(super) fn lines(&self) -> Vec<String> {
        let added = self
            .plan
            .add
            .iter()
            .map(|addition| format!("{}: address {} is added", addition.context, addition.placement));
        let removed = self.plan.remove.iter().map(|placement| format!("address {placement} is removed"));
        let tables = |entries: &[Entry]| {
            let rules = entries.iter().filter_map(|entry| match entry {
                Entry::Rule(rule) => rule.table.map(|_| (rule.is_v4, rule.mark)),
                Entry::Route(_) => None,
            });
            rules.collect::<BTreeSet<_>>()
        };
        let (after, before) = (tables(&self.pings.add), tables(&self.pings.remove));
        let line = |(is_v4, mark): &(bool, u32), what: &str| {
            let family = if *is_v4 { "IPv4" } else { "IPv6" };
            format!("{family} routes for the mark {mark:#x} are {what}")
        };
        let new = after.difference(&before).map(|table| line(table, "added"));
        let old = before.difference(&after).map(|table| line(table, "removed"));
        added.chain(removed).chain(new).chain(old).collect()
    }

    /// Adds what is missing, all or nothing.
    ///
    /// # Errors
    /// The kernel refused one.
    pub(super) fn prepare(mut self) -> Result<Prepared, Failure> {
        let added = put(&mut self.kernel, &self.plan.add).map_err(|(error, left)| {
            warn(&left);
            error
        })?;
        for warning in self.plan.add.iter().filter_map(Addition::warning) {
            eprintln!("vs: {warning}");
        }
        // Routes name sources that have to be there.
        match put_entries(&mut self.kernel, &self.pings.add) {
            Ok(added_entries) => Ok(Prepared {
                kernel: self.kernel,
                added,
                obsolete: self.plan.remove,
                added_entries,
                obsolete_entries: self.pings.remove,
            }),
            Err((error, left)) => {
                warn_entries(&left);
                warn(&take_away(&mut self.kernel, &added));
                Err(error.into())
            }
        }
    }
}

/// What the contexts that may ping need, and what was there for others.
fn pings(
    kernel: &mut Rtnetlink,
    rows: &Rows,
    networks: &Networks,
    host: &HostNetwork,
) -> Result<PingPlan, HostNetworkError> {
    let marked = marked_entries(kernel)?;
    if !has_pings(networks) && marked.is_empty() {
        return Ok(PingPlan::default());
    }
    let routes = kernel.routes()?;
    plan_pings(rows, networks, host, &routes, marked)
}

impl Prepared {
    /// The policy is in force: what it does not want is removed.
    pub(super) fn finish(mut self) {
        warn_entries(&take_entries(&mut self.kernel, &self.obsolete_entries));
        warn(&take_away(&mut self.kernel, &self.obsolete));
    }

    /// The policy is not in force: what was added for it is removed.
    pub(super) fn undo(mut self) {
        warn_entries(&take_entries(&mut self.kernel, &self.added_entries));
        warn(&take_away(&mut self.kernel, &self.added));
    }
}

/// Says where each context's packets come from by the machine's routes as they are now.
///
/// # Errors
/// The machine's routes cannot be listed, or there are too many that differ for a context.
pub(super) fn add_sources(rows: &Rows, networks: &mut Networks) -> Result<(), HostNetworkError> {
    if networks.keys().all(|xid| *xid == Xid::HOST) {
        return Ok(());
    }
    let mut kernel = Rtnetlink::open()?;
    let (host, routes) = (kernel.list()?, kernel.routes()?);
    for (xid, network) in networks.iter_mut().filter(|(xid, _)| **xid != Xid::HOST) {
        let context = rows.get(xid).map_or_else(ContextLabel::host, |rules| ContextLabel::of(*xid, rules));
        let sources = sources_of(&context, network, &host, &routes)?;
        network.set_sources(sources);
    }
    Ok(())
}

/// Nothing is in force: every address, rule and route that a load put there is removed. Returns whether there was one.
pub(super) fn remove_all() -> bool {
    let found = Rtnetlink::open()
        .and_then(|mut kernel| Ok((marked(&mut kernel)?, marked_entries(&mut kernel)?, kernel)));
    match found {
        Ok((placements, entries, mut kernel)) => {
            warn_entries(&take_entries(&mut kernel, &entries));
            warn(&take_away(&mut kernel, &placements));
            !placements.is_empty() || !entries.is_empty()
        }
        Err(error) => {
            eprintln!(
                "vs: {error}; should a load have put addresses there, `ip address show proto 0x56` lists them"
            );
            false
        }
    }
}

fn warn(left: &[Leftover]) {
    for leftover in left {
        eprintln!("vs: {leftover}");
    }
}

fn warn_entries(left: &[Remnant]) {
    for remnant in left {
        eprintln!("vs: {remnant}");
    }
}
