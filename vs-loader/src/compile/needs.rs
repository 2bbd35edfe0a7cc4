//! Which hooks some rows need: what no context needs stays detached and costs nothing.

use vs_common::hook::{Hook, Need};
use vs_common::id::{ContextKind, Xid};
use vs_common::policy_entry::{ContextRules, ProcMode, context_flag};

use super::entries::Rows;

/// Whether this row alone needs the hooks of that kind.
///
/// A number for which there is no word here was written by a newer loader; what it means cannot be told, so it needs all there is.
fn is_in_need(need: Need, xid: Xid, rules: &ContextRules) -> bool {
    let is_locked = rules.flags & context_flag::PROC_LOCK != 0;
    let has_network = rules.flags & context_flag::NETWORK != 0;
    let is_plain = rules.flags & context_flag::NETWORK_ONLY == 0
        && !matches!(ProcMode::from_number(rules.proc_mode), Some(ProcMode::Pidns | ProcMode::Hidepid));
    let is_spectator = matches!(xid.kind(), ContextKind::Spectator);
    let is_in_host_tree = is_plain || is_spectator || is_locked;
    let is_unheard_of = ProcMode::from_number(rules.proc_mode).is_none();
    let has_network = has_network || is_unheard_of;
    let has_files = rules.flags & (context_flag::FILES | context_flag::FILES_JUDGED) != 0 || is_unheard_of;
    match need {
        Need::Always => true,
        Need::HostTree => is_in_host_tree,
        // The spectator may see every process, so nothing is hidden from it.
        Need::HostProc => (is_plain && !is_spectator) || is_locked,
        Need::Network => has_network,
        Need::Ping => rules.flags & (context_flag::PING | context_flag::RAW) != 0 || is_unheard_of,
        Need::Receive => rules.flags & context_flag::RECEIVE != 0 || is_unheard_of,
        Need::Files => has_files,
        Need::Barriers => rules.flags & context_flag::BARRIERS != 0 || is_unheard_of,
        Need::HostTreeOrFiles => is_in_host_tree || has_files,
        Need::HostTreeNetworkOrFiles => is_in_host_tree || has_network || has_files,
    }
}

/// The contexts because of which the hooks of that kind are attached; for [`Need::Always`] all of them.
pub fn rows_in_need(need: Need, rows: &Rows) -> Vec<Xid> {
    rows.iter().filter(|(xid, rules)| is_in_need(need, **xid, rules)).map(|(xid, _)| *xid).collect()
}

/// The hooks that must be attached for these rows, in the order of their numbers.
///
/// Hooks of [`Need::Always`] are there without any row too: what is loaded keeps the enforcement out of reach.
pub fn needed_hooks(rows: &Rows) -> Vec<Hook> {
    let is_needed = |need| need == Need::Always || !rows_in_need(need, rows).is_empty();
    Hook::ALL.iter().copied().filter(|hook| is_needed(hook.info().need)).collect()
}
