//! `vs reducecap`: a command with fewer capabilities, as with VServer's command of that name. It needs no policy and no kernel of a kind.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueHint};
use vs_common::capability::{CAPABILITIES, CapabilitySet};

use super::entry::before_the_command;
use super::{CommandResult, Failure, exit_code};
use crate::context::enter::capabilities::{Held, reduce};
use crate::policy::{capability_named, capability_names};

/// What `--secure` takes away, as VServer's does: `LINUX_IMMUTABLE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
/// SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME MKNOD`.
const INSECURE: CapabilitySet = 1 << 9
    | 1 << 11
    | 1 << 12
    | 1 << 13
    | 1 << 14
    | 1 << 15
    | 1 << 16
    | 1 << 17
    | 1 << 20
    | 1 << 21
    | 1 << 22
    | 1 << 23
    | 1 << 24
    | 1 << 25
    | 1 << 27;

/// The arguments of `vs reducecap`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Print the capabilities that are left, and execute nothing if no command is given.
    #[arg(long)]
    show: bool,
    /// Take away what reaches the machine itself: `linux_immutable`, `net_broadcast`, `net_admin`, `net_raw`, `ipc_lock`, `ipc_owner`,
    /// `sys_module`, `sys_rawio`, `sys_pacct`, `sys_admin`, `sys_boot`, `sys_nice`, `sys_resource`, `sys_time`, mknod.
    #[arg(long)]
    secure: bool,
    /// Take this capability away, such as `CAP_NET_RAW`; as an option of its own, `--CAP_NET_RAW`, it is the same.
    #[arg(long = "drop", value_name = "CAPABILITY", value_delimiter = ',', value_parser = parse)]
    dropped: Vec<u32>,
    /// The command and its arguments.
    #[arg(required_unless_present = "show", trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND",
        value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

fn parse(text: &str) -> Result<u32, String> {
    capability_named(text).ok_or_else(|| "not a capability; give a name such as CAP_NET_RAW".to_owned())
}

/// The words of a command line with VServer's options, `--CAP_NAME` each, as `--drop=NAME`; what follows the command's name is its own.
pub(super) fn modernize(words: Vec<OsString>) -> Vec<OsString> {
    let mut is_ours = true;
    let modern = |word: OsString| {
        let text = word.to_str().unwrap_or_default();
        is_ours &= text.starts_with("--") && text != "--";
        match text.strip_prefix("--").filter(|name| is_ours && name.to_ascii_uppercase().starts_with("CAP_"))
        {
            Some(name) => format!("--drop={name}").into(),
            None => word,
        }
    };
    words.into_iter().map(modern).collect()
}

/// Becomes the command.
pub(super) fn run(arguments: &Arguments) -> CommandResult {
    before_the_command(try_run(arguments))
}

fn try_run(arguments: &Arguments) -> CommandResult {
    let taken = arguments.dropped.iter().fold(0, |set, number| set | 1_u64 << number);
    let taken = if arguments.secure { taken | INSECURE } else { taken };
    if taken != 0 {
        reduce(!taken).context("cannot give up capabilities")?;
    }
    if arguments.show {
        show()?;
    }
    let Some((program, rest)) = arguments.command.split_first() else { return Ok(exit_code::SUCCESS) };
    let error = Command::new(program).args(rest).exec();
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => exit_code::RUN_NOT_FOUND,
        _ => exit_code::RUN_CANNOT_EXECUTE,
    };
    Err(Failure { code, error: anyhow!("{}: {error}", program.display()) })
}

/// Prints each set, by name.
fn show() -> Result<(), Failure> {
    let known = CapabilitySet::MAX >> (CapabilitySet::BITS as usize - CAPABILITIES.len());
    let mut out = std::io::stdout().lock();
    for Held { set, capabilities } in crate::context::enter::capabilities::own().context("cannot read")? {
        let names = match capabilities {
            0 => "none".to_owned(),
            every if every & known == known => "all".to_owned(),
            some => capability_names(some).join(" "),
        };
        writeln!(out, "{set:12}{names}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_old_are_options_up_to_the_command() {
        let modern = |words: &[&str]| {
            let words = modernize(words.iter().map(OsString::from).collect());
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            modern(&["--secure", "--CAP_NET_RAW", "--cap_mknod", "--", "ls", "--CAP_X"]),
            ["--secure", "--drop=CAP_NET_RAW", "--drop=cap_mknod", "--", "ls", "--CAP_X"]
        );
        assert_eq!(modern(&["ls", "--CAP_X"]), ["ls", "--CAP_X"]);
    }

    #[test]
    fn what_secure_takes_reaches_the_machine() {
        for kept in ["chown", "setuid", "sys_chroot", "sys_ptrace", "audit_write", "lease"] {
            assert_eq!(INSECURE >> capability_named(kept).unwrap() & 1, 0, "{kept}");
        }
        for taken in ["net_raw", "sys_admin", "mknod", "sys_time", "linux_immutable"] {
            assert_eq!(INSECURE >> capability_named(taken).unwrap() & 1, 1, "{taken}");
        }
        assert_eq!(INSECURE.count_ones(), 15);
    }
}
