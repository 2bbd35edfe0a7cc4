//! `vs audit follow`: records as they come.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use vs_common::hook::Hook;

use super::super::output::Output;
use super::super::{CommandResult, Failure, exit_code};
use super::{asked_to_stop, busy, directory, runtime, source};
use crate::audit::control::Role;
use crate::audit::directory::{Directory, OwnError, Ownership};
use crate::audit::follow::{Filter, Frame, Greeting};
use crate::audit::json;
use crate::audit::keeper::Keeper;
use crate::audit::printable::Printable;
use crate::audit::stream::client::{AttachError, Client};
use crate::audit::stream::{TICK, listen, serve};
use crate::audit::text;
use crate::audit::time::{BootId, Now, parse_since};

/// How long a collector may take from taking the ring to listening.
const COLLECTOR_PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `vs audit follow`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// Only records of this context, as the one who acted or the one acted on: its name or its xid.
    ///
    /// Records that say that the audit lacks something are shown whatever the context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Only records of this hook.
    #[arg(long, value_name = "HOOK", value_parser = hook_named)]
    hook: Option<String>,
    /// Begin with what the collector remembers since then: 10m, 22:00, 2026-11-21, RFC 3339.
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    since: Option<String>,
    /// Begin with the last N records.
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: usize,
}

/// A name or, of a hook that only the collector's version knows, a number.
fn hook_named(name: &str) -> Result<String, String> {
    let is_known = Hook::ALL.iter().any(|hook| hook.name() == name) || name.parse::<u16>().is_ok();
    is_known.then(|| name.to_owned()).ok_or_else(|| format!("there is no hook {name}; vs status lists them"))
}

/// Follows until it is asked to stop, or the collector ends.
pub(super) fn run(arguments: Arguments, output: Output) -> CommandResult {
    let zone = TimeZone::system();
    let since = arguments.since.as_deref().map(|text| parse_since(text, Now::read().wall, &zone));
    let since = since.transpose().map_err(|error| Failure::new(exit_code::USAGE, error))?;
    let last = if since.is_some() { usize::MAX } else { arguments.last };
    let filter = Filter { context: arguments.context, hook: arguments.hook, since };
    let directory = directory()?;
    let mut view = View { filter, is_json: output.is_json, zone, day: None, out: io::stdout().lock() };
    runtime()?.block_on(async {
        match attach_or_own(&directory, last).await? {
            Door::Collector(client, greeting) => {
                view.warn_of_the_unremembered(&greeting);
                let stop = asked_to_stop()?;
                tokio::select! {
                    () = stop => Ok(exit_code::SUCCESS),
                    shown = view.show(client) => shown,
                }
            }
            Door::Ring(ownership) => hold(&directory, ownership, last, &mut view).await,
        }
    })
}

/// How to come by the records.
enum Door {
    /// Through whoever owns the ring.
    Collector(Client, Greeting),
    /// By owning the ring.
    Ring(Ownership),
}

/// A collector that has just begun owns the ring and does not listen yet; one that just ended, the other way round.
async fn attach_or_own(directory: &Directory, last: usize) -> Result<Door, Failure> {
    let deadline = tokio::time::Instant::now() + COLLECTOR_PATIENCE;
    loop {
        match Client::attach(&directory.socket(), last).await {
            Ok((client, greeting)) => return Ok(Door::Collector(client, greeting)),
            Err(AttachError::NoCollector { .. }) => {}
            Err(error) => return Err(anyhow::Error::from(error).into()),
        }
        match directory.own(Role::Hold) {
            Ok(ownership) => return Ok(Door::Ring(ownership)),
            Err(OwnError::Busy { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(busy(error)),
        }
    }
}

/// Owns the ring for as long as this runs, and follows itself: another follower may attach as well.
async fn hold(directory: &Directory, _: Ownership, last: usize, view: &mut View<'_>) -> CommandResult {
    eprintln!(
        "vs: no collector runs: the kernel's records are read here until this ends, and left to the next collector; \
         none can start meanwhile"
    );
    let boot = BootId::read().context("cannot read the boot id; is /proc mounted?")?;
    let keeper = Keeper::new(directory.clone(), Role::Hold, boot, Vec::new(), "/proc");
    let asked = asked_to_stop()?;
    let listener =
        listen(directory).with_context(|| format!("cannot listen at {}", directory.socket().display()))?;
    let stop = Notify::new();
    let serving = serve(source(), keeper, Role::Hold, listener, TICK, stop.notified(), |_| {});
    let following = async {
        let shown = tokio::select! {
            () = asked => Ok(exit_code::SUCCESS),
            shown = async {
                let (client, _) = Client::attach(&directory.socket(), last).await.map_err(anyhow::Error::from)?;
                view.show(client).await
            } => shown,
        };
        stop.notify_one();
        shown
    };
    tokio::join!(serving, following).1
}

/// What is shown, and how.
struct View<'a> {
    filter: Filter,
    is_json: bool,
    zone: TimeZone,
    /// The heading printed last.
    day: Option<String>,
    out: io::StdoutLock<'a>,
}

impl View<'_> {
    fn warn_of_the_unremembered(&self, greeting: &Greeting) {
        let Some((since, oldest)) = self.filter.since.zip(greeting.oldest) else { return };
        if since < oldest {
            eprintln!(
                "vs: the collector remembers {} records, since {oldest}; older ones are in its file (vs audit summary)",
                greeting.remembered
            );
        }
    }

    /// Shows what comes until the other side ends or nobody reads it any more.
    async fn show(&mut self, mut client: Client) -> CommandResult {
        loop {
            let shown = match client.next().await.map_err(anyhow::Error::from)? {
                Some(Frame::Record(raw)) => self.record(&raw),
                Some(Frame::Cut(cut)) => {
                    return Err(anyhow!(
                        "this was too slow for the collector, and {} records are not shown; they are in its file",
                        cut.missed
                    )
                    .into());
                }
                Some(Frame::Greeting(_) | Frame::Settled {} | Frame::Refused(_)) => {
                    return Err(anyhow!("the collector began anew in the middle of its answer").into());
                }
                None => return Err(anyhow!("the collector ended").into()),
            };
            match shown {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(exit_code::SUCCESS),
                shown => shown?,
            }
        }
    }

    /// A record that this version cannot read is shown as it came: what it is about cannot be told, so no filter holds it back.
    fn record(&mut self, raw: &RawValue) -> io::Result<()> {
        let record = match json::parse(raw.get()) {
            Ok(record) if !self.filter.shows(&record) => return Ok(()),
            record => record,
        };
        match record {
            _ if self.is_json => writeln!(self.out, "{}", raw.get())?,
            Ok(record) => {
                let day = text::day(record.time, &self.zone);
                if self.day.as_ref() != Some(&day) {
                    writeln!(self.out, "{day}")?;
                    self.day = Some(day);
                }
                writeln!(self.out, "{}", text::line(&record, &self.zone))?;
            }
            Err(error) => writeln!(self.out, "{} ({error})", Printable::from_escaped(raw.get()))?,
        }
        self.out.flush()
    }
}
