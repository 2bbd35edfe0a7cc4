//! What `vs run` and `vs enter` have in common: as whom, where and with what a command runs, and how its end is told.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueHint};
use rustix::process::Pid;

use super::ground::{Ground, audit_name};
use super::{CommandResult, Failure, exit_code};
use crate::audit::control::Enter;
use crate::audit::{Announcement, announce};
use crate::compile::files::root_of;
use crate::context::Witness;
use crate::context::enter::environment::{Environment, Setting};
use crate::context::enter::user::User;
use crate::context::enter::{self, Directory, Ending, FailureKind, Request};
use crate::context::registry::Context;
use crate::maps::apply::files_of;
use crate::maps::store::Store as _;

/// The options.
#[derive(Args, Debug)]
pub(super) struct EntryOptions {
    /// Run as this user of /etc/passwd, with its groups.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["uid", "gid"], value_hint = ValueHint::Username)]
    user: Option<String>,
    /// Run as the user with this number; 0 by default.
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
    /// Run with this group; by default the user's.
    #[arg(long, value_name = "GID")]
    gid: Option<u32>,
    /// Start here; by default in the caller's directory, or in / where the context has none of that name.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cwd: Option<PathBuf>,
    /// Set a variable, or with its name alone hand the caller's on. May be repeated.
    ///
    /// Of the caller's environment only PATH, TERM, TZ, LANG, LANGUAGE and LC_* go in.
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    settings: Vec<OsString>,
}

/// Tells the administrator, and the audit.
struct Announcer<'a> {
    context: &'a Context,
    command: &'a [CString],
}

impl Witness for Announcer<'_> {
    fn notice(&mut self, text: &str) {
        eprintln!("vs: {text}");
    }

    fn entering(&mut self, pid: Pid) {
        let command = self.command.first().map_or(&b""[..], |command| command.as_bytes());
        let entry = Enter::new(audit_name(self.context), pid.as_raw_nonzero().get().unsigned_abs(), command);
        if let Err(error) = announce(Announcement::Enter(entry)) {
            eprintln!("vs: {error}");
        }
    }
}

impl EntryOptions {
    /// The user, of the context's own tree if it has one.
    fn user(&self, ground: &Ground, context: &Context) -> Result<User, Failure> {
        let files = files_of(&ground.store, ground.store.epoch()?)?;
        let root = root_of(&files, context.xid).map_or_else(|| "/".to_owned(), |(_, path)| path);
        match &self.user {
            Some(name) => Ok(User::named(Path::new(&root), name)?),
            None => Ok(User::numbered(Path::new(&root), self.uid.unwrap_or(0), self.gid)),
        }
    }

    /// Runs a command in a context to its end, and tells it like a shell.
    ///
    /// # Errors
    /// The command did not run.
    pub(super) fn run(
        &self,
        ground: &mut Ground,
        context: &Context,
        command: Vec<OsString>,
    ) -> CommandResult {
        let command = command
            .into_iter()
            .map(|argument| CString::new(argument.into_vec()))
            .collect::<Result<Vec<_>, _>>()
            .context("an argument holds a zero byte")?;
        let settings = self
            .settings
            .iter()
            .map(|text| Setting::parse(text))
            .collect::<Result<Vec<_>, _>>()
            .context("--env")?;
        let user = self.user(ground, context)?;
        let directory = match &self.cwd {
            Some(path) => Directory::Given(path.clone()),
            None => Directory::Preferred(ground.directory.clone()),
        };
        if self.cwd.as_ref().is_some_and(|path| !path.as_os_str().as_bytes().starts_with(b"/")) {
            return Err(anyhow!("--cwd takes a path that begins with /: it is looked up inside").into());
        }
        let environment = Environment::new(std::env::vars_os(), &user, &settings);
        let request = Request { command, user, directory, environment };
        let mut witness = Announcer { context, command: &request.command };
        let entered = enter::enter(
            &mut ground.store,
            &ground.state,
            ground.origin.as_ref(),
            context,
            &request,
            &mut witness,
        )?;
        match entered.wait()? {
            Ending::Exited(status) => Ok(status),
            Ending::Killed(signal) => Ok(128_u8.saturating_add(signal)),
            Ending::NotExecuted { kind, reason } => {
                let code = match kind {
                    FailureKind::Setup => exit_code::RUN_FAILED,
                    FailureKind::CannotExecute => exit_code::RUN_CANNOT_EXECUTE,
                    FailureKind::NotFound => exit_code::RUN_NOT_FOUND,
                };
                Err(Failure { code, error: anyhow!(reason) })
            }
        }
    }
}

/// A failure before the command ran has one code, whatever it was: the others are the command's own.
pub(super) fn before_the_command(result: CommandResult) -> CommandResult {
    result.map_err(|failure| match failure.code {
        exit_code::RUN_CANNOT_EXECUTE | exit_code::RUN_NOT_FOUND => failure,
        _ => Failure { code: exit_code::RUN_FAILED, ..failure },
    })
}
