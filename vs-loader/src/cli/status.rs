//! `vs status`: what is enforced now, who loaded it, what it denied, and whether something is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use vs_common::capability::DEFAULT_SET;
use vs_common::hook::Hook;
use vs_common::id::Xid;
use vs_common::map_name::LAYOUT_VERSION;
use vs_common::policy_entry::{ContextRules, ContextState, EpochInfo};

use self::addresses::AddressesAnswer;
use self::directories::DirectoryAnswer;
use super::output::Output;
use super::processes::{join_host, live_processes};
use super::{CommandResult, Failure, exit_code};
use crate::audit::time::Time;
use crate::compile::{Rows, flag_names, mode_name, name_of, needed_hooks, proc_mode_name};
use crate::kernel::pins::Pins;
use crate::kernel::support::{Refusal, Support};
use crate::kernel::watch::{HookWatch, State, watch};
use crate::lock::{Lock, PATIENCE};
use crate::maps::apply::{files_of, networks_of, rows_of};
use crate::maps::live::{LiveStore, OpenError};
use crate::maps::store::Store;
use crate::policy::{capabilities_text, capability_names};

mod addresses;
mod directories;
mod text;

/// The arguments of `vs status`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Have the kernel count every program's calls for so many seconds; meanwhile each costs a little more.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    calls: Option<u64>,
}

/// The answer.
#[derive(Serialize, Debug)]
struct Answer {
    /// What is wrong; empty: nothing.
    alarms: Vec<String>,
    epoch: u32,
    layout: u32,
    policy: Option<PolicyAnswer>,
    hooks: Vec<HookAnswer>,
    contexts: Vec<ContextAnswer>,
    /// Of those contexts that have addresses of their own.
    addresses: Vec<AddressesAnswer>,
    /// Directories that are somebody's.
    directories: Vec<DirectoryAnswer>,
    /// Whether somebody runs `vs steer`; null: no context has addresses.
    steered: Option<bool>,
}

/// Who loaded what.
#[derive(Serialize, Debug)]
struct PolicyAnswer {
    /// SHA-256 over the files, in hexadecimal.
    digest: String,
    /// RFC 3339, UTC.
    loaded_at: Time,
    uid: u32,
    /// Who had logged in; null: nobody.
    loginuid: Option<u32>,
}

#[derive(Serialize, Debug)]
struct HookAnswer {
    hook: &'static str,
    guarantee: &'static str,
    /// Whether the contexts in force need it.
    needed: bool,
    /// "attached", "detached", "elsewhere" or "unknown".
    state: &'static str,
    /// Counted for `--calls` seconds; null: not counted.
    calls: Option<u64>,
    denials: u64,
    observed: u64,
    failures: u64,
    lost: u64,
    missed: u64,
}

#[derive(Serialize, Debug)]
struct ContextAnswer {
    name: String,
    xid: u32,
    generation: u64,
    mode: String,
    proc: String,
    flags: Vec<String>,
    /// What its processes may use now.
    capabilities: Vec<String>,
    /// What they may ever use.
    capabilities_max: Vec<String>,
    /// Both for people, where they are not the default.
    #[serde(skip)]
    sets: Option<String>,
    processes: usize,
    /// Records that were not written for want of tokens.
    suppressed: u64,
    /// Records that found no room.
    lost: u64,
    /// Whether it is being stopped.
    dying: bool,
}

/// Shows what is enforced.
pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    let support = Support::probe();
    join_host(&support)?;
    // A load is waited for, so that rows, links and the word belong together; counting goes on without the lock.
    let lock = Lock::shared(PATIENCE)?;
    let store = LiveStore::open().map_err(not_loaded)?;
    let epoch = store.epoch()?;
    let rows = rows_of(&store, epoch)?;
    let live = live_processes(&store)?;
    let contexts = contexts(&store, &rows, &live)?;
    let addresses = addresses::answers(&rows, &networks_of(&store, epoch)?, &store.listeners()?);
    let directories = directories::answers(&rows, &files_of(&store, epoch)?);
    let policy = store.epoch_info(epoch)?.map(PolicyAnswer::of);
    let types = support.types.as_ref().map_err(|error| Refusal::Layout(error.clone()))?;
    let pins = Pins::default();
    let links = |counting| watch(&pins, types, epoch, counting);
    let mut watched = links(None)?;
    drop(lock);
    if let Some(seconds) = arguments.calls {
        watched = links(Some(Duration::from_secs(seconds)))?;
        if store.epoch()? != epoch {
            return Err(anyhow!("another policy was loaded while calls were counted; run it again").into());
        }
    }
    let wanted = support.expected(needed_hooks(&rows));
    let mut hooks = Vec::new();
    for (hook, link) in &watched {
        hooks.push(HookAnswer::of(*hook, link, wanted.contains(hook), &store)?);
    }
    let mut alarms = alarms(&support, &watched, &wanted, policy.is_some());
    for (xid, count) in live.iter().filter(|(xid, _)| !rows.contains_key(xid)) {
        alarms.push(format!("{count} processes carry xid {xid}, which no policy names; see vs ps"));
    }
    alarms.extend(directories::alarms(&directories));
    let steered = (!addresses.is_empty()).then(Lock::is_somebody_steering).transpose()?;
    let layout = LAYOUT_VERSION;
    let answer =
        Answer { alarms, epoch: epoch.0, layout, policy, hooks, contexts, addresses, directories, steered };
    output.answer(&answer, text::print)?;
    Ok(if answer.alarms.is_empty() { exit_code::SUCCESS } else { exit_code::ENFORCEMENT_INCOMPLETE })
}

/// Where nothing is in force, something may be left all the same, and cost the host its instructions.
fn not_loaded(error: OpenError) -> Failure {
    if !matches!(error, OpenError::NotLoaded) || !Pins::default().is_there() {
        return error.into();
    }
    let text = "no policy is loaded, and an interrupted command has left programs or maps that enforce nothing; vs unload removes them";
    Failure { code: exit_code::NOT_LOADED, error: anyhow!(text) }
}

/// What is wrong with what should be in force.
fn alarms(
    support: &Support,
    watched: &BTreeMap<Hook, HookWatch>,
    needed: &[Hook],
    is_author_known: bool,
) -> Vec<String> {
    let mut alarms = Vec::new();
    match support.is_active() {
        Some(true) => {}
        Some(false) => alarms.push("the kernel does not ask the BPF LSM: nothing is enforced".to_owned()),
        None => alarms.push("cannot tell whether the kernel asks the BPF LSM".to_owned()),
    }
    for (hook, watch) in watched {
        let name = hook.name();
        let guarantee = hook.info().guarantee;
        match &watch.state {
            State::Attached if watch.missed > 0 => {
                alarms.push(format!(
                    "{name} was not asked {} times, to avoid recursion ({guarantee})",
                    watch.missed
                ));
            }
            State::Attached => {}
            _ if !needed.contains(hook) => {}
            State::Detached => {
                alarms
                    .push(format!("{name} is not attached, which opens: {guarantee}; load the policy again"));
            }
            State::Elsewhere => {
                alarms.push(format!("the pin of {name} is not attached to that hook; load the policy again"));
            }
            State::Unknown(error) => alarms.push(format!("cannot tell whether {name} is attached: {error}")),
        }
    }
    if !is_author_known {
        alarms.push("nothing is recorded of who loaded the policy; load it again".to_owned());
    }
    alarms
}

impl PolicyAnswer {
    fn of(info: EpochInfo) -> Self {
        Self {
            digest: crate::policy::Digest(info.digest).to_string(),
            loaded_at: Time::from_nanoseconds(info.loaded_at.into()),
            uid: info.uid,
            loginuid: Some(info.loginuid).filter(|uid| *uid != u32::MAX),
        }
    }
}

impl HookAnswer {
    fn of(hook: Hook, watch: &HookWatch, needed: bool, store: &dyn Store) -> Result<Self, Failure> {
        let counters = store.hook_counters(hook)?;
        Ok(Self {
            hook: hook.name(),
            guarantee: hook.info().guarantee,
            needed,
            state: match watch.state {
                State::Attached => "attached",
                State::Detached => "detached",
                State::Elsewhere => "elsewhere",
                State::Unknown(_) => "unknown",
            },
            calls: watch.calls,
            denials: counters.denials,
            observed: counters.observed,
            failures: counters.failures,
            lost: counters.lost,
            missed: watch.missed,
        })
    }
}

/// What a context may use, if that is not the default.
fn sets_text(rules: &ContextRules) -> Option<String> {
    let (now, most) = (rules.capabilities, rules.capabilities_max);
    match (capabilities_text(now), capabilities_text(most)) {
        _ if now == DEFAULT_SET && most == DEFAULT_SET => None,
        (now, most) if now == most => Some(now),
        (now, most) => Some(format!("{now}, at most {most}")),
    }
}

fn contexts(
    store: &LiveStore,
    rows: &Rows,
    live: &BTreeMap<Xid, usize>,
) -> Result<Vec<ContextAnswer>, Failure> {
    let states: BTreeMap<Xid, ContextState> = store.context_states()?.into_iter().collect();
    let answer = |(xid, rules): (&Xid, &ContextRules)| {
        let state = states.get(xid).copied().unwrap_or_default();
        ContextAnswer {
            name: name_of(rules).into_owned(),
            xid: xid.0,
            generation: rules.generation.0,
            mode: mode_name(rules.mode).into_owned(),
            proc: proc_mode_name(rules.proc_mode).into_owned(),
            flags: flag_names(rules.flags).into_iter().map(Into::into).collect(),
            capabilities: capability_names(rules.capabilities),
            capabilities_max: capability_names(rules.capabilities_max),
            sets: sets_text(rules),
            processes: live.get(xid).copied().unwrap_or_default(),
            suppressed: state.suppressed,
            lost: state.lost,
            dying: state.is_dying != 0,
        }
    };
    Ok(rows.iter().map(answer).collect())
}
