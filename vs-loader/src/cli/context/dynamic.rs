//! Contexts that no policy file names: made and removed by a load of what is in force with one row more or less.

use anyhow::anyhow;
use clap::Args;
use clap::builder::PossibleValuesParser;
use vs_common::id::Generation;
use vs_common::policy_entry::{ContextKey, Mode, ProcMode};

use crate::audit::control::{Caller, ContextChange};
use crate::audit::{Announcement, announce};
use crate::cli::ground::audit_name;
use crate::cli::{Failure, audit, exit_code};
use crate::compile::Rows;
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
use crate::maps::apply::{self, rows_of};
use crate::maps::live::OpenError;
use crate::maps::store::Store;

/// What a new context is to be like.
#[derive(Args, Debug)]
pub(in crate::cli) struct Kind {
    /// How the new context sees processes; pidns by default.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["pidns", "hidepid", "plain"]))]
    proc: Option<String>,
    /// What becomes of the new context's denials; enforce by default.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["enforce", "observe"]))]
    mode: Option<String>,
}

impl Kind {
    /// Refuses options for a new context where none is made.
    ///
    /// # Errors
    /// One was given.
    pub(in crate::cli) fn refuse(&self, cure: &str) -> Result<(), Failure> {
        if self.proc.is_none() && self.mode.is_none() {
            return Ok(());
        }
        let error = anyhow!("--proc and --mode are for a new context: give {cure}, or change the policy");
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
        Wish { name, mode, proc_mode }
    }
}

/// Creates a context.
///
/// # Errors
/// No policy is loaded, the name is none or taken, no number is free, or the kernel refused.
pub(in crate::cli) fn create(name: Option<&str>, kind: &Kind) -> Result<Context, Failure> {
    let _lock = Lock::exclusive(PATIENCE)?;
    let mut session = open()?;
    let rows = rows_of(&session.store, session.store.epoch()?)?;
    let (xid, rules) = create::row(&rows, &kind.wish(name))?;
    let mut written = rules;
    change(&mut session, |rows, generation| {
        // Not `..rules`: rustc 1.95 breaks off over an array field captured that way (ICE "broken MIR").
        written.generation = generation;
        rows.insert(xid, written);
    })?;
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
    change(session, |rows, _| {
        rows.remove(&context.xid);
    })?;
    record(Announcement::ContextRemove(ContextChange {
        context: audit_name(context),
        by: Caller::current(),
    }));
    Ok(())
}

fn open() -> Result<Session<'static>, Failure> {
    let session = Session::open_existing(EMBEDDED, Support::probe())?;
    let session = session.ok_or(OpenError::NotLoaded)?;
    if session.store.epoch()?.0 == 0 { Err(OpenError::NotLoaded.into()) } else { Ok(session) }
}

fn change(session: &mut Session<'_>, change: impl FnOnce(&mut Rows, Generation)) -> Result<(), Failure> {
    let loaded = apply::change_rows(&mut session.store, &mut session.programs, change, boot_clock())?;
    if let Some(leftover) = loaded.leftover {
        eprintln!(
            "vs: done, and what is left of the old rows is not in force: {leftover}; the next load removes it"
        );
    }
    Ok(())
}

/// Whether the context is still the one that was found before the lock was taken.
fn same(store: &dyn Store, context: &Context) -> Result<(), Failure> {
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

fn record(announcement: Announcement) {
    if let Err(error) = announce(announcement) {
        eprintln!("vs: {error}");
    }
}
