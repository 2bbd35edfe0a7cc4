//! A record as one line for people.
//!
//! The time is the time of day in the reader's zone; [`day`] is the heading to print when the date changes. All that processes had a
//! say in is [`super::printable`], so a line is one line and moves no cursor.

use std::fmt::{self, Write};

use jiff::tz::TimeZone;

use super::control::{Caller, Role};
use super::detail::{Detail, Numbered};
use super::network::nobodys;
use super::record::{
    Actor, AuditRecord, ContextName, Counted, Event, Lost, Repeated, RepeatedActor, Target, ViolationEvent,
};
use super::time::Time;
use super::word::Word;

/// The record's line, without a line break.
pub fn line(record: &AuditRecord, zone: &TimeZone) -> String {
    let mut out = String::with_capacity(160);
    // Writing to a `String` cannot fail.
    let _ = write!(out, "{} ", time_of_day(record.time, zone));
    let _ = event(&mut out, &record.event, zone);
    out
}

/// The line without its time, for a sink that stamps lines itself. Times inside are UTC.
pub fn message(record: &AuditRecord) -> String {
    let mut out = String::with_capacity(160);
    // As above.
    let _ = event(&mut out, &record.event, &TimeZone::UTC);
    out
}

/// The date of a record with the zone's offset, to print once before its records.
pub fn day(time: Time, zone: &TimeZone) -> String {
    time.in_zone(zone).strftime("%Y-%m-%d (UTC%:z)").to_string()
}

fn time_of_day(time: Time, zone: &TimeZone) -> String {
    time.in_zone(zone).strftime("%H:%M:%S%.3f").to_string()
}

fn event(out: &mut String, event: &Event, zone: &TimeZone) -> fmt::Result {
    match event {
        Event::Violation(event) => violation(out, event),
        Event::Repeated(event) => repeated(out, event, zone),
        Event::Suppressed(counted) => {
            count(out, counted, "not recorded: the context used up its records per second")
        }
        Event::Lost(lost) => lost_records(out, lost),
        Event::Unreadable(event) => write!(out, "{} records cannot be read: {}", event.count, event.error),
        Event::Load(load) if load.previous_epoch == 0 => {
            write!(out, "policy loaded: epoch {}, {} contexts", load.epoch, load.contexts)?;
            by(out, &load.by)
        }
        Event::Load(load) | Event::Reload(load) => {
            write!(
                out,
                "policy reloaded: epoch {} after {}, {} contexts",
                load.epoch, load.previous_epoch, load.contexts
            )?;
            by(out, &load.by)
        }
        Event::Unload(unload) => {
            write!(out, "policy unloaded: epoch {} was in force", unload.epoch)?;
            by(out, &unload.by)
        }
        Event::Enter(enter) => {
            write!(out, "{} entered by pid {}: {}", enter.context.label(), enter.pid, enter.command)?;
            by(out, &enter.by)
        }
        Event::ContextCreate(change) => {
            write!(out, "{} created", change.context.label())?;
            by(out, &change.by)
        }
        Event::ContextRemove(change) => {
            write!(out, "{} removed", change.context.label())?;
            by(out, &change.by)
        }
        Event::Mode(change) => {
            write!(out, "{} mode {} after {}", change.context.label(), change.to, change.from)?;
            by(out, &change.by)
        }
        Event::Capabilities(change) => {
            write!(out, "{} capabilities {} after {}", change.context.label(), change.to, change.from)?;
            by(out, &change.by)
        }
        Event::CollectorStart(start) => {
            write!(out, "collector started: {} (pid {}, vs {})", role(start.role), start.pid, start.version)
        }
        Event::CollectorStop(stop) => {
            write!(out, "collector stopped: pid {}, {} records passed on", stop.pid, stop.records)
        }
        Event::CollectorGap(gap) => {
            let how = if gap.clean { "was stopped" } else { "ended without a word" };
            write!(
                out,
                "no collector since {} {}: the last one {how}",
                day(gap.since, zone),
                time_of_day(gap.since, zone)
            )
        }
        Event::CollectorTrouble(trouble) => write!(out, "collector in trouble: {}", trouble.error),
        Event::SinkFailed(failed) => write!(out, "sink {} failed: {}", failed.sink, failed.error),
        Event::SinkRecovered(recovered) => write!(
            out,
            "sink {} works again: failed at {} ({}), {} records written late, {} lost in it",
            recovered.sink,
            time_of_day(recovered.since, zone),
            recovered.error,
            recovered.kept,
            recovered.lost
        ),
    }
}

fn violation(out: &mut String, event: &ViolationEvent) -> fmt::Result {
    actor(out, &event.actor)?;
    out.write_str(" -> ")?;
    target(out, &event.target)?;
    write!(out, ": {}", event.hook)?;
    if let Some(detail) = &event.detail
        && !matches!(event.target, Target::Capability(_))
    {
        out.write_char(' ')?;
        describe(out, detail)?;
    }
    outcome(out, Some(&event.mode), Some(&event.errno))?;
    write!(out, " ({})", event.reason)?;
    if event.repeated > 0 {
        write!(out, ", {} more before", event.repeated)?;
    }
    Ok(())
}

fn repeated(out: &mut String, event: &Repeated, zone: &TimeZone) -> fmt::Result {
    let RepeatedActor { context, tgid, comm } = &event.actor;
    write!(out, "{} pid {tgid}", context.label())?;
    if let Some(comm) = comm {
        write!(out, " {comm}")?;
    }
    let target = event.target.as_ref().map_or_else(|| nobodys(&event.hook).to_owned(), ContextName::label);
    write!(out, " -> {target}: {} {} more", event.hook, event.repeated)?;
    outcome(out, event.mode.as_ref(), event.errno.as_ref())?;
    write!(out, " ({}) since {}", event.reason, time_of_day(event.since, zone))
}

/// "denied EPERM" or "would be denied EPERM"; without a mode, which of the two is not known.
fn outcome(out: &mut String, mode: Option<&Word>, errno: Option<&Word>) -> fmt::Result {
    out.write_str(match mode {
        Some(mode) if mode.is("observe") => " would be denied",
        Some(mode) if mode.is("enforce") => " denied",
        _ => " denied or observed",
    })?;
    errno.map_or(Ok(()), |errno| write!(out, " {errno}"))
}

fn actor(out: &mut String, actor: &Actor) -> fmt::Result {
    out.write_str(&actor.context.label())?;
    let Some(pid) = actor.pid else {
        return out.write_str(" (set up earlier)");
    };
    write!(out, " pid {pid}")?;
    if let Some(uid) = actor.uid {
        write!(out, " uid {uid}")?;
    }
    write!(out, " {}", actor.comm)?;
    if actor.entering {
        out.write_str(" (entering)")?;
    }
    Ok(())
}

fn target(out: &mut String, target: &Target) -> fmt::Result {
    match target {
        Target::Kernel {} => out.write_str("the kernel"),
        Target::Process { context, entering, pid, comm, .. } => {
            write!(out, "{} pid {pid} {comm}", context.label())?;
            if *entering { out.write_str(" (entering)") } else { Ok(()) }
        }
        Target::File { context, name, filesystem, device, inode } => {
            write!(out, "{} file \"{name}\" on {filesystem} ({device} inode {inode})", context.label())
        }
        Target::Capability(capability) => {
            out.write_str("capability ")?;
            numbered(out, capability)
        }
        Target::Address { family, protocol, address, port } => {
            match family {
                Word::Known(name) => write!(out, "{name}")?,
                Word::Number(number) => write!(out, "family {number}")?,
            }
            match protocol {
                Some(Word::Known(name)) => write!(out, " {name}")?,
                Some(Word::Number(number)) => write!(out, " protocol {number}")?,
                None => {}
            }
            match address {
                Some(address) => write!(out, " {address} port {port}"),
                None if *port == 0 => out.write_str(" socket"),
                None => write!(out, " socket on port {port}"),
            }
        }
        Target::Ipc { context, object, id } => {
            write!(out, "{} ipc object {id} of kind {object}", context.label())
        }
        Target::Other { context, number, .. } => {
            write!(out, "{} target of kind {number}", context.label())
        }
    }
}

fn describe(out: &mut String, detail: &Detail) -> fmt::Result {
    match detail {
        Detail::Signal(signal) => {
            write!(out, "signal {}", signal.number)?;
            signal.name.as_ref().map_or(Ok(()), |name| write!(out, " {name}"))
        }
        Detail::Ptrace { modes, .. } => words(out, modes),
        Detail::Mount { flags, .. } => words(out, flags),
        Detail::Capability(capability) => numbered(out, capability),
        Detail::BpfCommand(numbers) | Detail::SocketType(numbers) | Detail::NetlinkMessage(numbers) => {
            numbered(out, numbers)
        }
        Detail::SocketOption { level, option } => {
            numbered(out, level)?;
            out.write_char(' ')?;
            numbered(out, option)
        }
        Detail::Number { number } => write!(out, "{number}"),
    }
}

fn numbered(out: &mut String, numbered: &Numbered) -> fmt::Result {
    match &numbered.name {
        Some(name) => write!(out, "{name}"),
        None => write!(out, "{}", numbered.number),
    }
}

fn words(out: &mut String, words: &[Word]) -> fmt::Result {
    if words.is_empty() {
        return out.write_char('0');
    }
    for (index, word) in words.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{word}")?;
    }
    Ok(())
}

fn count(out: &mut String, counted: &Counted, what: &str) -> fmt::Result {
    write!(out, "{}: {} violations {what} ({} in all)", counted.context.label(), counted.count, counted.total)
}

fn lost_records(out: &mut String, lost: &Lost) -> fmt::Result {
    match lost {
        Lost::Ring(counted) => count(out, counted, "lost: the ring buffer was full"),
        Lost::RingHook { hook, count, total } => {
            write!(
                out,
                "unknown actors: {count} violations at {hook} lost: the ring buffer was full ({total} in all)"
            )
        }
        Lost::Spool { count } => write!(out, "{count} records lost: the spool was full or damaged"),
    }
}

fn by(out: &mut String, caller: &Caller) -> fmt::Result {
    write!(out, " (by uid {}", caller.uid)?;
    if let Some(loginuid) = caller.loginuid {
        write!(out, " logged in as {loginuid}")?;
    }
    write!(out, ", pid {})", caller.pid)
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::Collect => "collecting",
        Role::Hold => "holding records for the next collector",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;

    #[test]
    fn golden_text() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let lines: Vec<_> = samples::all().iter().map(|record| line(record, &zone)).collect();
        insta::assert_snapshot!("text_lines", lines.join("\n"));
    }

    #[test]
    fn the_day_says_its_offset() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let time = Time::from_nanoseconds(1_795_262_400_000_000_000);
        assert_eq!(day(time, &zone), "2026-11-21 (UTC+01:00)");
    }

    #[test]
    fn whatever_a_process_calls_itself_the_line_is_one_line() {
        for record in samples::hostile() {
            let text = line(&record, &TimeZone::UTC);
            assert!(text.chars().all(|character| !character.is_control()), "{text:?}");
        }
    }
}
