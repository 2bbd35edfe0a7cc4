//! `vs chbind`: a command that has some of the host's addresses and is the host's in all else, as with VServer's command of that name.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::anyhow;
use clap::{Args, ValueHint};
use vs_common::policy_entry::{Mode, ProcMode, context_flag};

use super::context::dynamic;
use super::context::network::Addresses;
use super::entry::before_the_command;
use super::ground::require_root;
use super::{CommandResult, Failure, exit_code};
use crate::context::create::Wish;
use crate::context::host_tree;
use crate::context::join::join;
use crate::context::registry::{self, Context, Selector};
use crate::context::syscall::SingleThreaded;
use crate::host_network::Interfaces as _;
use crate::host_network::rtnetlink::Rtnetlink;
use crate::kernel::attach::Session;
use crate::lock::{Lock, PATIENCE};

/// The arguments of `vs chbind`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// In the context of this name, which policy gives confine = "network".
    #[arg(long, value_name = "NAME", conflicts_with_all = ["ip", "bcast", "nid", "loopback"])]
    context: Option<String>,
    /// Give the command this address of the host's, or the first of each family of this interface, and none but those given.
    ///
    /// May be repeated; the first of each family is what ANY is, and the source of what goes out. A length after it is let pass.
    #[arg(long, value_name = "ADDRESS[/LENGTH]|INTERFACE", required_unless_present_any = ["context", "nid"])]
    ip: Vec<String>,
    /// Let it send to the broadcast address; which that is the interface says.
    #[arg(long, value_name = "ADDRESS")]
    bcast: Option<IpAddr>,
    /// Join the context with this number, which an earlier `vs chbind` made or policy gives confine = "network".
    #[arg(long, value_name = "XID", conflicts_with_all = ["ip", "bcast", "loopback"])]
    nid: Option<u32>,
    /// What loopback is to it: the host's (shared, the default), one of its own (private), or none.
    #[arg(long, value_name = "WORD", value_parser = ["shared", "private", "none"])]
    loopback: Option<String>,
    /// Don't say which addresses and context it got.
    #[arg(long)]
    silent: bool,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND",
        value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// Becomes the command.
pub(super) fn run(arguments: &Arguments) -> CommandResult {
    before_the_command(try_run(arguments))
}

fn try_run(arguments: &Arguments) -> CommandResult {
    require_root()?;
    let token = SingleThreaded::check()?;
    let origin = host_tree::join(token)?;
    {
        let _lock = Lock::exclusive(PATIENCE)?;
        let mut session = dynamic::open()?;
        dynamic::remove_abandoned(&mut session)?;
        let context = arguments.context(&mut session)?;
        join(&mut session.store, &context, token)?;
    }
    // A unit of systemd's may have a mount tree of its own, and the command belongs there.
    if let Some(origin) = origin {
        origin.restore(token)?;
    }
    let (program, rest) = arguments.command.split_first().ok_or_else(|| anyhow!("no command"))?;
    let error = Command::new(program).args(rest).exec();
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => exit_code::RUN_NOT_FOUND,
        _ => exit_code::RUN_CANNOT_EXECUTE,
    };
    Err(Failure { code, error: anyhow!("{}: {error}", program.display()) })
}

impl Arguments {
    /// The context that there is, or a new one.
    fn context(&self, session: &mut Session<'_>) -> Result<Context, Failure> {
        if let Some(name) = &self.context {
            return Ok(registry::find(&session.store, &Selector::Name(name.clone()))?);
        }
        if let Some(nid) = self.nid {
            return Ok(registry::find(&session.store, &Selector::Xid(vs_common::id::Xid(nid)))?);
        }
        let mut addresses = Vec::new();
        for text in &self.ip {
            addresses.extend(addresses_of(text)?);
        }
        let loopback = Some(self.loopback.clone().unwrap_or_else(|| "shared".to_owned()));
        let grants: &[&str] = if self.bcast.is_some() { &["broadcast"] } else { &[] };
        let network = Addresses { addresses: addresses.clone(), loopback }.with(grants)?;
        let wish = Wish {
            name: None,
            mode: Mode::Enforce,
            proc_mode: ProcMode::Pidns,
            flags: context_flag::NETWORK_ONLY,
        };
        let context = dynamic::create_locked(session, &wish, Some(&network))?;
        if !self.silent {
            eprintln!("ipv4root is now {}", addresses.join(" "));
            eprintln!("New network context is {}", context.xid);
        }
        Ok(context)
    }
}

/// What one `--ip` gives: an address without its length, or those of an interface.
fn addresses_of(text: &str) -> Result<Vec<String>, Failure> {
    let plain = text.split_once('/').map_or(text, |(address, _)| address);
    if plain.parse::<IpAddr>().is_ok() {
        return Ok(vec![plain.to_owned()]);
    }
    let host = Rtnetlink::open()?.list()?;
    let usage = |text: String| Failure { code: exit_code::USAGE, error: anyhow!(text) };
    let Some(link) = host.link_named(text) else {
        return Err(usage(format!("--ip {text}: neither an address nor an interface of this machine")));
    };
    let is_usable = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    let all =
        || host.addresses.iter().filter(|at| at.link == link.index).map(|at| at.address).filter(is_usable);
    let first = [all().find(IpAddr::is_ipv4), all().find(IpAddr::is_ipv6)];
    let found: Vec<_> = first.into_iter().flatten().map(|address| address.to_string()).collect();
    if found.is_empty() {
        return Err(usage(format!("--ip {text}: the interface has no address")));
    }
    Ok(found)
}
