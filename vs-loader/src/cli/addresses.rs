//! The machine's addresses around a load and an unload: what is missing is added before, what is no longer wanted is removed after.

use vs_common::id::Xid;

use super::Failure;
use crate::compile::{ContextLabel, Networks, Rows};
use crate::host_network::rtnetlink::Rtnetlink;
use crate::host_network::{
    Addition, HostNetworkError, Interfaces, Leftover, Placement, Plan, claims_of, marked, plan, put,
    sources_of, take_away,
};
use crate::policy::Policy;

/// What a load adds and removes; nothing has been done yet.
#[derive(Debug)]
pub(super) struct Foreseen {
    kernel: Rtnetlink,
    plan: Plan,
}

/// What was added, and what is to be removed once the policy is in force.
#[derive(Debug)]
pub(super) struct Prepared {
    kernel: Rtnetlink,
    added: Vec<Placement>,
    obsolete: Vec<Placement>,
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
        let plan = plan(&claims_of(policy, rows, networks), &host).map_err(HostNetworkError::Flaws)?;
        Ok(Some(Self { kernel, plan }))
    }

    /// What a load would do, a line for each address.
    pub(super) fn lines(&self) -> Vec<String> {
        let added = self
            .plan
            .add
            .iter()
            .map(|addition| format!("{}: address {} is added", addition.context, addition.placement));
        let removed = self.plan.remove.iter().map(|placement| format!("address {placement} is removed"));
        added.chain(removed).collect()
    }

    /// Adds what is missing, all or nothing.
    ///
    /// # Errors
    /// The kernel refused one.
    pub(super) fn prepare(mut self) -> Result<Prepared, Failure> {
        match put(&mut self.kernel, &self.plan.add) {
            Ok(added) => {
                for warning in self.plan.add.iter().filter_map(Addition::warning) {
                    eprintln!("vs: {warning}");
                }
                Ok(Prepared { kernel: self.kernel, added, obsolete: self.plan.remove })
            }
            Err((error, left)) => {
                warn(&left);
                Err(error.into())
            }
        }
    }
}

impl Prepared {
    /// The policy is in force: what it does not want is removed.
    pub(super) fn finish(mut self) {
        warn(&take_away(&mut self.kernel, &self.obsolete));
    }

    /// The policy is not in force: what was added for it is removed.
    pub(super) fn undo(mut self) {
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

/// Nothing is in force: every address that a load put there is removed. Returns whether there was one.
pub(super) fn remove_all() -> bool {
    let found = Rtnetlink::open().and_then(|mut kernel| Ok((marked(&mut kernel)?, kernel)));
    match found {
        Ok((placements, mut kernel)) => {
            warn(&take_away(&mut kernel, &placements));
            !placements.is_empty()
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
