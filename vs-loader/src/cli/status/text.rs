//! The answer of `vs status` for people.

use std::io::{self, Write};

use super::{Answer, addresses, directories};

pub(super) fn print(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    for alarm in &answer.alarms {
        writeln!(out, "ALARM: {alarm}")?;
    }
    if let Some(policy) = &answer.policy {
        write!(out, "policy {}, loaded {} by uid {}", &policy.digest[..12], policy.loaded_at, policy.uid)?;
        match policy.loginuid {
            Some(loginuid) => writeln!(out, " (logged in as {loginuid})")?,
            None => writeln!(out)?,
        }
    }
    let needed = answer.hooks.iter().filter(|hook| hook.needed);
    let attached = needed.clone().filter(|hook| hook.state == "attached").count();
    writeln!(out, "epoch {}, {attached} of {} needed programs attached", answer.epoch, needed.count())?;
    hooks(answer, out)?;
    contexts(answer, out)?;
    addresses::print(&answer.addresses, out)?;
    directories::print(&answer.directories, out)?;
    if answer.steered == Some(false) {
        writeln!(
            out,
            "vs steer is not running: for datagrams * is the primary address and the context's own loopback"
        )?;
    }
    Ok(())
}

fn hooks(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let is_counted = answer.hooks.iter().any(|hook| hook.calls.is_some());
    if answer.steered == Some(false) {
        writeln!(
            out,
            "vs steer is not running: for datagrams * is the primary address and the context's own loopback"
        )?;
    }
    let heading = if is_counted { "CALLS" } else { "" };
    writeln!(
        out,
        "\n{:<22} {:<9} {:>8} {:>8} {:>8} {:>5} {heading:>10}",
        "HOOK", "STATE", "DENIALS", "OBSERVED", "FAILURES", "LOST"
    )?;
    // What is not needed and not there is of no interest.
    for hook in answer.hooks.iter().filter(|hook| hook.needed || hook.state != "detached") {
        let calls = hook.calls.map_or_else(String::new, |calls| calls.to_string());
        let line = format!(
            "{:<22} {:<9} {:>8} {:>8} {:>8} {:>5} {calls:>10}",
            hook.hook, hook.state, hook.denials, hook.observed, hook.failures, hook.lost
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn contexts(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let width = answer.contexts.iter().map(|context| context.name.chars().count()).max().unwrap_or(0).max(7);
    writeln!(
        out,
        "\n{:<width$} {:>5} {:<8} {:<8} {:>9} {:>10} {:>5} FLAGS",
        "CONTEXT", "XID", "MODE", "PROC", "PROCESSES", "SUPPRESSED", "LOST"
    )?;
    for context in &answer.contexts {
        let dying = context.dying.then(|| "dying".to_owned());
        let flags = context.flags.iter().cloned().chain(dying).collect::<Vec<_>>().join(",");
        let line = format!(
            "{:<width$} {:>5} {:<8} {:<8} {:>9} {:>10} {:>5} {flags}",
            context.name,
            context.xid,
            context.mode,
            context.proc,
            context.processes,
            context.suppressed,
            context.lost
        );
        writeln!(out, "{}", line.trim_end())?;
        if let Some(sets) = &context.sets {
            writeln!(out, "  capabilities {sets}")?;
        }
    }
    Ok(())
}
