//! Contexts that no policy file names: made and removed by a load of what is in force with one row more or less.

use anyhow::anyhow;
use clap::Args;
use clap::builder::PossibleValuesParser;
use vs_common::id::Generation;
use vs_common::id::Xid;
use vs_common::policy_entry::{ContextKey, ContextRules, Mode, ProcMode, context_flag};

use crate::audit::control::{Caller, ContextChange};
use crate::audit::{Announcement, announce};
use crate::cli::addresses::{Foreseen, Prepared, add_sources};
use crate::cli::ground::audit_name;
use crate::cli::processes::live_processes;
use crate::cli::{Failure, audit, exit_code};
use crate::compile::{CompileError, EpochRows, Network, Networks, Rows, taken_addresses};
use crate::context::create::{self, CreateError, Wish};
use crate::context::processes::{self, ProcessError};
use crate::context::reaper;
use crate::context::registry::{Context, RegistryError};
use crate::context::state::StateDirectory;
use crate::context::stop;
use crate::kernel::attach::{Session, boot_clock};
use crate::kernel::object::EMBEDDED;
use crate::kernel::support::Support;
use crate::lock::{Lock, PATIENCE};
use crate::maps::apply::{self, networks_of, rows_of};
use crate::maps::live::OpenError;
use crate::maps::store::Store;
use crate::policy::NetworkPolicy;

use super::network::Addresses;

/// What a new context is to be like.
#[derive(Args, Debug)]
pub(in crate::cli) struct Kind {
    /// How the new context sees processes; pidns by default.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["pidns", "hidepid", "plain"]))]
    proc: Option<String>,
    /// What becomes of the new context's denials; enforce by default.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["enforce", "observe"]))]
    mode: Option<String>,
    #[command(flatten)]
    network: Addresses,
}

impl Kind {
    /// Refuses options for a new context where none is made.
    ///
    /// # Errors
    /// One was given.
    pub(in crate::cli) fn refuse(&self, cure: &str) -> Result<(), Failure> {
        if self.proc.is_none() && self.mode.is_none() && self.network == Addresses::default() {
            return Ok(());
        }
        let error = anyhow!(
            "--proc, --mode, --address and --loopback are for a new context: give {cure}, or change the policy"
        );
        Err(Failure { code: exit_code::USAGE, error })
    }

    fn wish<'n>(&self, name: Option<&'n str>) -> Wish<'n> {
        let proc_mode = match self.proc.as_deref() {
            Some("hidepid") => ProcMode::Hidepid,
            Some("plain") => ProcMode::Plain,
            _ => ProcMode::Pidns,
        };
        let mode = match self.mode.as_deref() {
            Some("observe") => Mode::Observe,
            _ => Mode::Enforce,
        };
        Wish { name, mode, proc_mode, flags: 0 }
    }
}

/// Creates a context.
///
/// # Errors
/// No policy is loaded, the name is none or taken, no number is free, or the kernel refused.
pub(in crate::cli) fn create(name: Option<&str>, kind: &Kind) -> Result<Context, Failure> {
    let _lock = Lock::exclusive(PATIENCE)?;
    create_locked(&mut open()?, &kind.wish(name), kind.network.policy()?.as_ref())
}

/// Creates a context. The caller holds the exclusive lock.
///
/// # Errors
/// As [`create()`]; or another context has an address, or the machine lacks one.
pub(in crate::cli) fn create_locked(
    session: &mut Session<'_>,
    wish: &Wish<'_>,
    network: Option<&NetworkPolicy>,
) -> Result<Context, Failure> {
    let epoch = session.store.epoch()?;
    let mut rows = rows_of(&session.store, epoch)?;
    let mut networks = networks_of(&session.store, epoch)?;
    let own = network.map_or(0, |policy| Network::of(policy, Generation(0)).context_flags());
    let (xid, rules) = create::row(&rows, &Wish { flags: wish.flags | own, ..*wish })?;
    let mut written = rules;
    let mut network = network.map(|policy| Network::of(policy, rules.generation));
    if let Some(network) = &network {
        rows.insert(xid, rules);
        networks.insert(xid, network.clone());
        let taken = taken_addresses(EpochRows { rows: &rows, networks: &networks });
        if !taken.is_empty() {
            let code = exit_code::BAD_POLICY;
            return Err(Failure { code, error: CompileError::AddressesTaken(taken).into() });
        }
    }
    let addresses = Foreseen::of(None, &rows, &networks)?.map(Foreseen::prepare).transpose()?;
    let sources = add_sources(&rows, &mut networks);
    if let Err(error) = sources {
        addresses.into_iter().for_each(Prepared::undo);
        return Err(error.into());
    }
    if network.is_some() {
        network = networks.remove(&xid);
    }
    let changed = change(session, |rows, networks, generation| {
        // Not `..rules`: rustc 1.95 breaks off over an array field captured that way (ICE "broken MIR").
        written.generation = generation;
        rows.insert(xid, written);
        if let Some(mut network) = network.take() {
            network.rules.generation = generation;
            networks.insert(xid, network);
        }
    });
    match changed {
        Ok(()) => addresses.into_iter().for_each(Prepared::finish),
        Err(error) => {
            addresses.into_iter().for_each(Prepared::undo);
            return Err(error);
        }
    }
    let context = Context::from_row(ContextKey { epoch: session.store.epoch()?, xid }, &written)?;
    record(Announcement::ContextCreate(ContextChange {
        context: audit_name(&context),
        by: Caller::current(),
    }));
    Ok(context)
}

/// Removes a context, and ends its processes if that is wanted.
///
/// # Errors
/// It comes from a policy file, has processes that nobody wants to end, or the kernel refused.
pub(in crate::cli) fn remove(
    state: &StateDirectory,
    context: &Context,
    is_stop: bool,
) -> Result<(), Failure> {
    if !context.is_dynamic {
        return Err(CreateError::Static(context.name.clone()).into());
    }
    let _lock = Lock::exclusive(PATIENCE)?;
    let mut session = open()?;
    same(&session.store, context)?;
    let count = count_commands(&session.store, context)?;
    if count > 0 && !is_stop {
        let error = anyhow!(
            "the context {} has {count} live process{}; end them, or remove it with --stop",
            context.name,
            if count == 1 { "" } else { "es" }
        );
        return Err(Failure { code: exit_code::PROCESSES_ALIVE, error });
    }
    remove_locked(&mut session, state, context)
}

/// Removes a context whose last command has ended; one with processes left goes on.
///
/// # Errors
/// The kernel refused.
pub(in crate::cli) fn remove_if_empty(state: &StateDirectory, context: &Context) -> Result<(), Failure> {
    let _lock = Lock::exclusive(PATIENCE)?;
    let mut session = open()?;
    // Somebody else may have removed it meanwhile.
    if same(&session.store, context).is_err() {
        return Ok(());
    }
    match count_commands(&session.store, context)? {
        0 => remove_locked(&mut session, state, context),
        count => {
            eprintln!(
                "vs: the context {0} goes on with {count} processes; `vs context remove --stop {0}` ends it",
                context.name
            );
            Ok(())
        }
    }
}

fn remove_locked(
    session: &mut Session<'_>,
    state: &StateDirectory,
    context: &Context,
) -> Result<(), Failure> {
    stop::stop(&mut session.store, state, context.xid, Some(&context.name), stop::PATIENCE)?;
    audit::settle();
    change(session, |rows, _, _| {
        rows.remove(&context.xid);
    })?;
    remove_addresses(session)?;
    record(Announcement::ContextRemove(ContextChange {
        context: audit_name(context),
        by: Caller::current(),
    }));
    Ok(())
}

/// Takes the addresses from the machine that were put there for contexts that are gone.
fn remove_addresses(session: &Session<'_>) -> Result<(), Failure> {
    let epoch = session.store.epoch()?;
    let (rows, networks) = (rows_of(&session.store, epoch)?, networks_of(&session.store, epoch)?);
    if let Some(foreseen) = Foreseen::of(None, &rows, &networks)? {
        foreseen.prepare()?.finish();
    }
    Ok(())
}

/// Removes the contexts that `vs chbind` made and that have no process left: it became the command, so nobody waited for its end. The
/// caller holds the exclusive lock.
///
/// # Errors
/// The kernel refused.
pub(in crate::cli) fn remove_abandoned(session: &mut Session<'_>) -> Result<(), Failure> {
    let live = live_processes(&session.store)?;
    let is_abandoned = |xid: &Xid, rules: &ContextRules| {
        let both = context_flag::DYNAMIC | context_flag::NETWORK_ONLY;
        rules.flags & both == both && !live.contains_key(xid)
    };
    let rows = rows_of(&session.store, session.store.epoch()?)?;
    if !rows.iter().any(|(xid, rules)| is_abandoned(xid, rules)) {
        return Ok(());
    }
    change(session, |rows, _, _| rows.retain(|xid, rules| !is_abandoned(xid, rules)))?;
    remove_addresses(session)
}

pub(in crate::cli) fn open() -> Result<Session<'static>, Failure> {
    let session = Session::open_existing(EMBEDDED, Support::probe())?;
    let session = session.ok_or(OpenError::NotLoaded)?;
    if session.store.epoch()?.0 == 0 { Err(OpenError::NotLoaded.into()) } else { Ok(session) }
}

fn change(
    session: &mut Session<'_>,
    change: impl FnOnce(&mut Rows, &mut Networks, Generation),
) -> Result<(), Failure> {
    let loaded = apply::change_rows(&mut session.store, &mut session.programs, change, boot_clock())?;
    if let Some(leftover) = loaded.leftover {
        eprintln!(
            "vs: done, and what is left of the old rows is not in force: {leftover}; the next load removes it"
        );
    }
    Ok(())
}

/// Whether the context is still the one that was found before the lock was taken.
///
/// # Errors
/// It is another, or the maps cannot be read.
pub(super) fn same(store: &dyn Store, context: &Context) -> Result<(), Failure> {
    let epoch = store.epoch()?;
    let rules = store.context_rules(ContextKey { epoch, xid: context.xid })?;
    if rules.is_some_and(|rules| rules.generation == context.generation) {
        return Ok(());
    }
    Err(RegistryError::Changed(context.name.clone()).into())
}

/// How many processes a context has besides its reaper, of whatever generation.
fn count_commands(store: &dyn Store, context: &Context) -> Result<usize, ProcessError> {
    let mut count = 0;
    processes::for_each_member(store, |member| {
        let is_other = member.tag.xid == context.xid && !reaper::is_reaper(&member, context)?;
        count += usize::from(is_other);
        Ok::<_, ProcessError>(())
    })?;
    Ok(count)
}

pub(super) fn record(announcement: Announcement) {
    if let Err(error) = announce(announcement) {
        eprintln!("vs: {error}");
    }
}
