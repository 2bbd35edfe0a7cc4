//! `vs policy show`: the rules of every context, and the hooks that are attached for them.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use vs_common::capability::DEFAULT_SET;
use vs_common::hook::{Hook, Need};
use vs_common::id::Xid;
use vs_common::policy_entry::{ContextRules, context_flag};

use super::network::NetworkAnswer;
use super::{PlaceAnswer, compile_first, contexts_text, write_wrapped};
use crate::cli::output::Output;
use crate::cli::{CommandResult, exit_code, policy_files};
use crate::compile::explain::{RuleLine, cause};
use crate::compile::{MapEntries, flag_names, mode_name, name_of, proc_mode_name};
use crate::policy::{
    ContextPolicy, FilesPolicy, Place, Policy, SpectatorPolicy, capabilities_text, capability_names,
};

/// The answer.
#[derive(Serialize, Debug)]
struct ShowAnswer {
    /// SHA-256 over the files in the order given.
    digest: String,
    contexts: Vec<ContextAnswer>,
    hooks: Vec<HookAnswer>,
    #[serde(skip)]
    groups: Vec<Group>,
}

/// One row.
#[derive(Serialize, Debug)]
struct ContextAnswer {
    xid: u32,
    name: String,
    mode: String,
    proc: String,
    proc_lock: bool,
    records_per_second: u32,
    record_burst: u32,
    /// `None`: it uses the host's addresses.
    network: Option<NetworkAnswer>,
    /// Where its mount tree begins; `None`: where the host's does.
    root: Option<String>,
    /// Where it changes files; `None`: as the host's permissions let it.
    directories: Option<Vec<String>>,
    /// Whether no guest passes the directory above its root.
    barrier: bool,
    /// Whether it changes files that are nobody's, too.
    shared_write: bool,
    capabilities: Vec<String>,
    capabilities_max: Vec<String>,
    /// VServer's context capabilities.
    context_capabilities: Vec<&'static str>,
    /// The lines about these for people.
    #[serde(skip)]
    sets: Vec<String>,
    description: Option<String>,
    defined_at: Option<PlaceAnswer>,
    /// The same for people.
    #[serde(skip)]
    place: String,
}

/// One hook.
#[derive(Serialize, Debug)]
struct HookAnswer {
    name: &'static str,
    guarantee: &'static str,
    is_attached: bool,
    /// The rule because of which it is attached; `None`: every policy has it attached, or none of these contexts needs it.
    because: Option<String>,
}

/// Hooks that are attached for the same reason, or not attached.
#[derive(Debug)]
struct Group {
    title: String,
    names: Vec<&'static str>,
}

pub(super) fn run(files: &[PathBuf], output: Output) -> CommandResult {
    let policy = policy_files::load(files)?;
    let entries = compile_first(&policy)?;
    let attached = entries.needed_hooks();
    let because = |need| cause(&policy, &entries, need);
    let hooks = Hook::ALL.iter().map(|hook| {
        let info = hook.info();
        let is_attached = attached.contains(hook);
        let because = because(info.need).as_ref().map(rule_text).filter(|_| is_attached);
        HookAnswer { name: info.name, guarantee: info.guarantee, is_attached, because }
    });
    let answer = ShowAnswer {
        digest: policy.digest().to_string(),
        contexts: entries.rows().iter().map(|(xid, rules)| context(&policy, &entries, *xid, rules)).collect(),
        hooks: hooks.collect(),
        groups: groups(&policy, &entries),
    };
    output.answer(&answer, print)?;
    Ok(exit_code::SUCCESS)
}

fn context(policy: &Policy, entries: &MapEntries, xid: Xid, rules: &ContextRules) -> ContextAnswer {
    let spectator = policy.spectator().filter(|_| xid == Xid::SPECTATOR);
    let named = policy.context(xid);
    let place = spectator.map(SpectatorPolicy::place).or(named.map(ContextPolicy::place));
    let description =
        spectator.and_then(|table| table.description()).or(named.and_then(|context| context.description()));
    let files = named.and_then(ContextPolicy::files);
    ContextAnswer {
        xid: xid.0,
        name: name_of(rules).into_owned(),
        mode: mode_name(rules.mode).into_owned(),
        proc: proc_mode_name(rules.proc_mode).into_owned(),
        proc_lock: flag_names(rules.flags).iter().any(|name| name == "proc_lock"),
        records_per_second: rules.records_per_second,
        record_burst: rules.record_burst,
        network: named.and_then(|context| NetworkAnswer::of(context, entries)),
        barrier: files.is_some_and(|files| files.barrier().is_some()),
        root: files.and_then(FilesPolicy::root).map(|root| root.path().to_owned()),
        directories: files
            .map(|files| files.directories().iter().map(|directory| directory.path().to_owned()).collect()),
        shared_write: files.is_none_or(|files| files.shared_write().value()),
        capabilities: capability_names(rules.capabilities),
        capabilities_max: capability_names(rules.capabilities_max),
        context_capabilities: grants(rules),
        sets: sets(rules),
        description: description.map(str::to_owned),
        defined_at: place.map(PlaceAnswer::of),
        place: place.map(Place::to_string).unwrap_or_default(),
    }
}

fn grants(rules: &ContextRules) -> Vec<&'static str> {
    let is_granted = rules.flags & context_flag::SET_UTSNAME != 0;
    if is_granted { vec!["set_utsname"] } else { Vec::new() }
}

/// What is not as it is by default.
fn sets(rules: &ContextRules) -> Vec<String> {
    let (current, max) = (rules.capabilities, rules.capabilities_max);
    let mut lines = Vec::new();
    if current != DEFAULT_SET {
        lines.push(format!("capabilities {}", capabilities_text(current)));
    }
    if max != current {
        lines.push(format!("capabilities_max {}", capabilities_text(max)));
    }
    let grants = grants(rules);
    if !grants.is_empty() {
        lines.push(format!("context_capabilities {}", grants.join(", ")));
    }
    lines
}

/// A rule and where it is.
fn rule_text(line: &RuleLine) -> String {
    match &line.place {
        Some(place) => format!("{} at {place}", line.text),
        None => line.text.clone(),
    }
}

/// The hooks by why they are attached.
fn groups(policy: &Policy, entries: &MapEntries) -> Vec<Group> {
    let attached = entries.needed_hooks();
    let mut groups: Vec<Group> = Vec::new();
    for need in [
        Need::Always,
        Need::HostTreeNetworkOrFiles,
        Need::HostTreeOrFiles,
        Need::Files,
        Need::Barriers,
        Need::HostTree,
        Need::HostProc,
        Need::Network,
        Need::Ping,
        Need::Receive,
    ] {
        let hooks: Vec<_> = Hook::ALL.iter().filter(|hook| hook.info().need == need).collect();
        let is_attached = hooks.iter().all(|hook| attached.contains(hook));
        let title = match cause(policy, entries, need) {
            Some(line) => format!("attached because of {}", rule_text(&line)),
            None if is_attached => "attached with every policy".to_owned(),
            None => "not attached, because no context here needs them".to_owned(),
        };
        let names = hooks.iter().map(|hook| hook.name());
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.names.extend(names),
            None => groups.push(Group { title, names: names.collect() }),
        }
    }
    groups
}

fn print(answer: &ShowAnswer, out: &mut dyn Write) -> io::Result<()> {
    let contexts = answer.contexts.iter().filter(|context| context.xid != Xid::SPECTATOR.0).count();
    let spectator = if contexts < answer.contexts.len() { " and the spectator" } else { "" };
    writeln!(out, "{}{spectator}; sha256 {}\n", contexts_text(contexts), answer.digest)?;
    let name = answer.contexts.iter().map(|context| context.name.len()).max().unwrap_or_default().max(4);
    let place =
        answer.contexts.iter().map(|context| context.place.chars().count()).max().unwrap_or_default().max(10);
    writeln!(
        out,
        "{:>5}  {:name$}  {:7}  {:7}  {:9}  {:>9}  {:>5}  {:place$}  DESCRIPTION",
        "XID", "NAME", "MODE", "PROC", "PROC_LOCK", "RECORDS/S", "BURST", "DEFINED AT"
    )?;
    for context in &answer.contexts {
        let line = format!(
            "{:>5}  {:name$}  {:7}  {:7}  {:9}  {:>9}  {:>5}  {:place$}  {}",
            context.xid,
            context.name,
            context.mode,
            context.proc,
            if context.proc_lock { "on" } else { "off" },
            context.records_per_second,
            context.record_burst,
            context.place,
            context.description.as_deref().unwrap_or_default(),
        );
        writeln!(out, "{}", line.trim_end())?;
        if let Some(network) = &context.network {
            write_wrapped(out, "       ", &network.line)?;
        }
        if let Some(root) = &context.root {
            let barrier = if context.barrier { ", with a barrier above" } else { "" };
            write_wrapped(out, "       ", &format!("root {root}{barrier}"))?;
        }
        if let Some(directories) = &context.directories {
            let list = if directories.is_empty() { "none".to_owned() } else { directories.join(", ") };
            let beyond = if context.shared_write { "; and what is nobody's" } else { "" };
            write_wrapped(out, "       ", &format!("directories {list}{beyond}"))?;
        }
        for line in &context.sets {
            write_wrapped(out, "       ", line)?;
        }
    }
    for group in &answer.groups {
        writeln!(out, "\n{} of {} hooks {}:", group.names.len(), Hook::COUNT, group.title)?;
        write_wrapped(out, "  ", &group.names.join(", "))?;
    }
    Ok(())
}
