//! What is really enforced now: for each hook whether its program is attached where it belongs, how often it ran, what it missed.

use std::collections::BTreeMap;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use vs_common::hook::Hook;
use vs_common::id::Epoch;

use super::attach::{LinkState, link_state};
use super::btf::KernelTypes;
use super::pins::Pins;

/// A hook's link under an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookWatch {
    /// Whether its program is attached, and to this hook.
    pub state: State,
    /// Calls that the kernel skipped to avoid recursion: holes.
    pub missed: u64,
    /// Calls while they were counted; `None`: they were not.
    pub calls: Option<u64>,
}

/// What is at a link's pin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// The program is attached.
    Attached,
    /// There is no link.
    Detached,
    /// There is something that is not attached to this hook.
    Elsewhere,
    /// The kernel does not tell.
    Unknown(String),
}

/// Looks at every hook's link of an epoch. With `counting`, the kernel counts calls for so long (`BPF_ENABLE_STATS`), which costs
/// every BPF program on this machine some instructions meanwhile.
///
/// # Errors
/// The kernel does not count.
pub fn watch(
    pins: &Pins,
    types: &KernelTypes,
    epoch: Epoch,
    counting: Option<Duration>,
) -> io::Result<BTreeMap<Hook, HookWatch>> {
    let look = || Hook::ALL.iter().map(|hook| (*hook, link_state(pins, types, epoch, *hook)));
    let Some(counting) = counting else {
        return Ok(look().map(|(hook, state)| (hook, HookWatch::of(state, None))).collect());
    };
    let statistics = aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.io_error)?;
    let before: BTreeMap<_, _> = look().map(|(hook, state)| (hook, calls(&state))).collect();
    sleep(counting);
    let after = look().map(|(hook, state)| {
        let counted = calls(&state).zip(before.get(&hook).copied().flatten());
        (hook, HookWatch::of(state, counted.map(|(after, before)| after.saturating_sub(before))))
    });
    let watched = after.collect();
    drop(statistics);
    Ok(watched)
}

fn calls(state: &io::Result<LinkState>) -> Option<u64> {
    match state {
        Ok(LinkState::Attached(facts)) => Some(facts.calls),
        _ => None,
    }
}

impl HookWatch {
    fn of(state: io::Result<LinkState>, calls: Option<u64>) -> Self {
        let (state, missed) = match state {
            Ok(LinkState::Attached(facts)) => (State::Attached, facts.missed),
            Ok(LinkState::Missing) => (State::Detached, 0),
            Ok(LinkState::Elsewhere) => (State::Elsewhere, 0),
            Err(error) => (State::Unknown(error.to_string()), 0),
        };
        Self { state, missed, calls }
    }
}
