//! `vs load`: a policy is checked, compiled and put in force, all or nothing.

mod dry_run;
mod entered;
mod rows;
mod sockets;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueHint};
use serde::Serialize;
use vs_common::hook::Hook;
use vs_common::id::{Epoch, Xid};
use vs_common::policy_entry::{EpochInfo, Mode};

use sockets::SocketsAnswer;

use super::addresses::{Foreseen, Prepared, add_sources};
use super::output::Output;
use super::processes::{join_host, live_processes};
use super::{CommandResult, Failure, audit, exit_code, policy_files, services};
use crate::audit::control::{self, Caller, ModeChange};
use crate::audit::printable::Printable;
use crate::audit::record::ContextName;
use crate::audit::word::Word;
use crate::audit::{Announcement, announce};
use crate::compile::files::{Files, file_claims, kept_files, root_of};
use crate::compile::{
    Conflict, ConflictKind, ContextLabel, EpochRows, Rows, mode_name, name_of, needed_hooks, proc_mode_name,
};
use crate::host_files;
use crate::kernel::attach::{ProgramsError, Sabotage, Session, boot_clock};
use crate::kernel::object::{EMBEDDED, ObjectError};
use crate::kernel::support::Support;
use crate::lock::{Lock, PATIENCE};
use crate::maps::apply::{self, ApplyError, Wanted, files_of, networks_of, rows_of};
use crate::maps::store::Store;
use crate::policy::{Digest, Policy};

/// The arguments of `vs load`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct Arguments {
    /// Policy files, together one policy; `-` is standard input, a folder stands for the *.toml in it.
    #[arg(required = true, value_name = "POLICY", value_hint = ValueHint::AnyPath)]
    policies: Vec<PathBuf>,
    /// Record what contexts do to others, and let it pass: every guest in mode observe, whatever the policy says.
    ///
    /// The spectator stays one, and what protects the kernel and the enforcement is in force in every mode.
    #[arg(long)]
    observe: bool,
    /// Keep contexts that have processes and are missing or different in the policy as they are.
    #[arg(long, conflicts_with = "stop")]
    keep_orphans: bool,
    /// Stop contexts that have processes and are missing or different in the policy.
    #[arg(long)]
    stop: bool,
    /// End the sockets of contexts that are at addresses which the new policy takes from them.
    ///
    /// Without it they go on: a change of addresses is for the next bind, connect or datagram. Whoever uses such a socket gets
    /// ECONNABORTED; its port is free once he has closed it. Connections of the host's at such an address go on; of UDP sockets the kernel
    /// does not say whose they are, and those of the host's there get ECONNABORTED as well.
    #[arg(long, conflicts_with = "dry_run")]
    kill_sockets: bool,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// If the kernel refuses a program, print what its verifier said; the same as `VS_VERIFIER_LOG=1` in the environment.
    #[arg(long)]
    verifier_log: bool,
    /// For the test suite: leave the program of a hook out.
    #[arg(long, hide = true, value_name = "HOOK", value_parser = hook_named)]
    test_without: Vec<Hook>,
    /// For the test suite: failures that the programs act out.
    #[arg(long, hide = true, value_name = "BITS", default_value_t = 0)]
    test_inject: u32,
}

fn hook_named(name: &str) -> Result<Hook, String> {
    let found = Hook::ALL.iter().copied().find(|hook| hook.name() == name);
    found.ok_or_else(|| format!("there is no program for a hook {name}"))
}

/// What is in force after a load.
#[derive(Serialize, Debug)]
struct Answer {
    epoch: u32,
    previous_epoch: u32,
    digest: String,
    contexts: Vec<ContextAnswer>,
    hooks: Vec<&'static str>,
    /// Whose sockets `--kill-sockets` ended.
    sockets_killed: Vec<SocketsAnswer>,
}

#[derive(Serialize, Debug)]
struct ContextAnswer {
    name: String,
    xid: u32,
    mode: String,
    proc: String,
}

/// Loads a policy.
pub(super) fn run(arguments: &Arguments, output: Output) -> CommandResult {
    let policy = policy_files::load(&arguments.policies)?;
    let support = Support::probe();
    if let Some(refusal) = support.refusal() {
        return Err(refusal.into());
    }
    join_host(&support)?;
    if arguments.dry_run {
        return dry_run::run(arguments, &policy, &support, output);
    }
    let _lock = Lock::exclusive(PATIENCE)?;
    let sabotage = Sabotage { injected: arguments.test_inject, without: arguments.test_without.clone() };
    if sabotage != Sabotage::default() {
        eprintln!("vs: this load is for tests: some of what it promises is left out");
    }
    let mut session = Session::open(EMBEDDED, support, sabotage)?;
    if session.has_mounted {
        eprintln!("vs: mounted a bpf file system at /sys/fs/bpf");
    }
    let epoch = session.store.epoch()?;
    let old = rows_of(&session.store, epoch)?;
    let old_networks = networks_of(&session.store, epoch)?;
    let in_force = EpochRows { rows: &old, networks: &old_networks };
    let (rows, networks) = rows::wanted(arguments, &policy, in_force, &mut session.store)?;
    let info = epoch_info(policy.digest(), &rows)?;
    let hooks = needed_hooks(&rows);
    let mut wanted = Wanted { hooks, rows, networks, files: Files::new(), info };
    wanted.files =
        files(&policy, &wanted.rows, epoch, &mut session).inspect_err(|_| leave_nothing(epoch, &session))?;
    let addresses = prepare_addresses(&policy, &wanted).inspect_err(|_| leave_nothing(epoch, &session))?;
    // Once the machine has what it lacked: the routes are told by it.
    if let Err(error) = add_sources(&wanted.rows, &mut wanted.networks) {
        addresses.into_iter().for_each(Prepared::undo);
        leave_nothing(epoch, &session);
        return Err(error.into());
    }
    if epoch != Epoch(0) {
        audit::settle();
    }
    let loaded = apply::load(&mut session.store, &mut session.programs, &wanted, boot_clock());
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            print_verifier_log(arguments, &error);
            // Either may be in force then: the new policy's addresses stay with the old one's, and the next load or unload tells.
            if !matches!(error, ApplyError::Undecided(_)) {
                addresses.into_iter().for_each(Prepared::undo);
                leave_nothing(epoch, &session);
            }
            return Err(error.into());
        }
    };
    // While the addresses are the machine's, the other ends are told.
    let killed = if arguments.kill_sockets {
        let now = EpochRows { rows: &wanted.rows, networks: &wanted.networks };
        sockets::kill(&session.store, in_force, now)
    } else {
        Vec::new()
    };
    addresses.into_iter().for_each(Prepared::finish);
    if let Some(leftover) = loaded.leftover {
        eprintln!(
            "vs: the new policy is in force, and what is left of the old one is not: {leftover}; the next load removes it"
        );
    }
    announce_load(arguments, (epoch, loaded.epoch), &policy, &old, &wanted);
    output.answer(&answer(&wanted, epoch, loaded.epoch, policy.digest(), killed), print)?;
    services::warn(&wanted.networks);
    entered::warn(&session.store, &old, &wanted.rows)?;
    Ok(exit_code::SUCCESS)
}

/// After a failed load over nothing there is nothing: the maps that were made for it go, too.
fn leave_nothing(epoch: Epoch, session: &Session<'_>) {
    if epoch == Epoch(0)
        && let Err(leftover) = session.programs.pins().remove_maps()
    {
        eprintln!("vs: {leftover}; the next load or unload removes what is left");
    }
}

/// The directories that are somebody's then: those of the policy, and those of contexts that go on without being in it.
fn files(policy: &Policy, rows: &Rows, epoch: Epoch, session: &mut Session<'_>) -> Result<Files, Failure> {
    let before = files_of(&session.store, epoch)?;
    let kept = kept_files(&before, rows);
    let opened = host_files::open(file_claims(policy, rows))?;
    if opened.is_empty() {
        return Ok(kept);
    }
    let numbers = session.programs.file_numbers()?;
    let files = opened.rows(kept, &numbers, rows::label_of(rows))?;
    let is_elsewhere = |xid: &Xid| {
        let root = |files| root_of(files, *xid).map(|(key, _)| key);
        root(&before).is_some_and(|old| root(&files).is_some_and(|new| new != old))
    };
    let conflicts: Vec<_> = live_processes(&session.store)?
        .into_iter()
        .filter(|(xid, processes)| *processes > 0 && is_elsewhere(xid))
        .filter_map(|(xid, processes)| {
            let context = ContextLabel::of(xid, rows.get(&xid)?);
            Some(Conflict { context, processes, kind: ConflictKind::RootChanged })
        })
        .collect();
    if conflicts.is_empty() { Ok(files) } else { Err(rows::refused(&conflicts)) }
}

/// Puts the addresses there that the machine lacks; the policy is not in force yet.
fn prepare_addresses(policy: &Policy, wanted: &Wanted) -> Result<Option<Prepared>, Failure> {
    Foreseen::of(Some(policy), &wanted.rows, &wanted.networks)?.map(Foreseen::prepare).transpose()
}

fn answer(
    wanted: &Wanted,
    old: Epoch,
    new: Epoch,
    digest: Digest,
    sockets_killed: Vec<SocketsAnswer>,
) -> Answer {
    let contexts = wanted.rows.iter().map(|(xid, rules)| ContextAnswer {
        name: name_of(rules).into_owned(),
        xid: xid.0,
        mode: mode_name(rules.mode).into_owned(),
        proc: proc_mode_name(rules.proc_mode).into_owned(),
    });
    Answer {
        epoch: new.0,
        previous_epoch: old.0,
        digest: digest.to_string(),
        contexts: contexts.collect(),
        hooks: wanted.hooks.iter().map(|hook| hook.name()).collect(),
        sockets_killed,
    }
}

fn print(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "epoch {} is in force, with {} programs attached", answer.epoch, answer.hooks.len())?;
    for context in &answer.contexts {
        writeln!(out, "  {} (xid {}): {}, proc {}", context.name, context.xid, context.mode, context.proc)?;
    }
    for SocketsAnswer { name, xid, sockets } in &answer.sockets_killed {
        let plural = if *sockets == 1 { "" } else { "s" };
        writeln!(
            out,
            "ended {sockets} socket{plural} of {name} (xid {xid}) at addresses that it no longer has"
        )?;
    }
    Ok(())
}

/// Who loads what now.
fn epoch_info(digest: Digest, rows: &Rows) -> Result<EpochInfo, Failure> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = now.context("the clock stands before 1970")?.as_nanos();
    let caller = Caller::current();
    Ok(EpochInfo {
        loaded_at: u64::try_from(nanoseconds).context("the clock stands after 2554")?,
        digest: digest.0,
        uid: rustix::process::geteuid().as_raw(),
        loginuid: caller.loginuid.unwrap_or(u32::MAX),
        contexts: u32::try_from(rows.len()).context("counting contexts")?,
        reserved: 0,
    })
}

/// Prints what the verifier said, if it said something and somebody wants to know.
fn print_verifier_log(arguments: &Arguments, error: &ApplyError<ProgramsError>) {
    let is_asked = arguments.verifier_log || std::env::var_os("VS_VERIFIER_LOG") == Some(OsString::from("1"));
    let cause = match error {
        ApplyError::NotUndone { cause, .. } => cause,
        error => error,
    };
    if let ApplyError::Programs(ProgramsError::Object(ObjectError::Refused { verifier_log, .. })) = cause
        && is_asked
    {
        eprintln!("{verifier_log}");
    }
}

fn announce_load(
    arguments: &Arguments,
    (old, new): (Epoch, Epoch),
    policy: &Policy,
    before: &Rows,
    wanted: &Wanted,
) {
    let files = arguments.policies.iter().map(|path| path.as_os_str().as_bytes());
    let load = control::Load::new((old.0, new.0), wanted.info.contexts, &policy.digest().0, files);
    let changes = wanted.rows.iter().filter_map(|(xid, rules)| {
        let from =
            before.get(xid).filter(|old| old.generation == rules.generation && old.mode != rules.mode)?;
        let word = |number: u32| Word::new(Mode::from_number(number).map(Mode::name), number);
        Some(Announcement::Mode(ModeChange {
            context: ContextName {
                xid: Some(xid.0),
                context: Some(Printable::from_bytes(name_of(rules).as_bytes())),
                generation: rules.generation.0,
            },
            from: word(from.mode),
            to: word(rules.mode),
            by: Caller::current(),
        }))
    });
    for announcement in std::iter::once(Announcement::Load(load)).chain(changes) {
        if let Err(error) = announce(announcement) {
            eprintln!("vs: {error}");
        }
    }
}
