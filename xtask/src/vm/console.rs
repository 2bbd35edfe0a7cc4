//! What the kernel says on its console, and which of it means that the run is over.

use super::outcome::Outcome;

/// What a kernel's line announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Panic,
    Oops,
    Stall,
}

/// The kernel's own phrases. The first that fits counts: a soft lockup calls itself a BUG, too.
const PHRASES: [(&str, Trouble); 11] = [
    ("Kernel panic - not syncing", Trouble::Panic),
    ("soft lockup", Trouble::Stall),
    ("hard LOCKUP", Trouble::Stall),
    ("detected stalls on CPUs", Trouble::Stall),
    ("self-detected stall on CPU", Trouble::Stall),
    ("blocked for more than", Trouble::Stall),
    ("BUG: ", Trouble::Oops),
    ("kernel BUG at ", Trouble::Oops),
    ("Oops: ", Trouble::Oops),
    ("general protection fault", Trouble::Oops),
    ("invalid opcode: ", Trouble::Oops),
];

/// How much of the console is kept for a report.
const KEPT_LINES: usize = 200;

/// Reads the console line by line, keeps its end, and notices trouble.
#[derive(Debug, Default)]
pub(super) struct Console {
    lines: Vec<String>,
    unfinished: Vec<u8>,
    /// The first trouble and the line that announced it: what follows is mostly its consequence.
    trouble: Option<(Trouble, usize)>,
}

impl Console {
    /// Takes a piece of the console and gives the lines it completes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&self.unfinished).trim_end().to_owned();
                self.unfinished.clear();
                complete.push(line);
            }
        }
        for line in &complete {
            if self.trouble.is_none() {
                self.trouble = announced(line).map(|trouble| (trouble, self.lines.len()));
            }
            self.lines.push(line.clone());
        }
        complete
    }

    /// Whether the kernel has announced trouble.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// What the trouble makes of the run, if there is any. Best asked a moment after the first line, because the registers
    /// and the call trace follow it.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        let (trouble, first) = self.trouble?;
        let report = self.lines[first..].iter().take(KEPT_LINES).cloned().collect::<Vec<_>>().join("\n");
        Some(match trouble {
            Trouble::Panic => Outcome::Panic(report),
            Trouble::Oops => Outcome::Oops(report),
            Trouble::Stall => Outcome::Stall(report),
        })
    }

    /// The end of the console, with the line that isn't finished.
    pub(super) fn tail(&self) -> String {
        let start = self.lines.len().saturating_sub(KEPT_LINES);
        let mut tail = self.lines[start..].join("\n");
        if !self.unfinished.is_empty() {
            tail.push('\n');
            tail.push_str(&String::from_utf8_lossy(&self.unfinished));
        }
        tail
    }
}

/// The trouble a line announces. Only the kernel's own lines count, which begin with the time: a program may well write the
/// word "BUG:" to the console.
fn announced(line: &str) -> Option<Trouble> {
    let (time, message) = line.strip_prefix('[')?.split_once(']')?;
    time.trim().parse::<f64>().ok()?;
    PHRASES.iter().find(|(phrase, _)| message.contains(phrase)).map(|(_, trouble)| *trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> Console {
        let mut console = Console::default();
        console.push(text.as_bytes());
        console
    }

    #[test]
    fn each_kind_of_trouble_is_told_apart() {
        let oops = "[    2.1] BUG: kernel NULL pointer dereference, address: 0000000000000000\n[    2.1] Oops: 0000 [#1]\n\
                    [    2.2] Kernel panic - not syncing: Fatal exception\n";
        assert!(
            matches!(after(oops).outcome(), Some(Outcome::Oops(text)) if text.contains("Fatal exception"))
        );
        let panic = "[    1.0] quiet\n[    2.1] Kernel panic - not syncing: sysrq triggered crash\n";
        assert!(matches!(after(panic).outcome(), Some(Outcome::Panic(text)) if !text.contains("quiet")));
        for stall in [
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]",
            "INFO: task sh:77 blocked for more than 120 seconds.",
        ] {
            let console = after(&format!("[   33.004105] {stall}\n"));
            assert!(matches!(console.outcome(), Some(Outcome::Stall(_))), "{stall}");
        }
    }

    #[test]
    fn what_only_looks_like_trouble_is_none() {
        for line in [
            "[    0.01] ACPI BIOS Error (bug): A valid RSDP was not found",
            "BUG: a program wrote this",
            "[note] Oops: and this",
            "[    0.5] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 x+0x0/0x10",
        ] {
            assert!(!after(&format!("{line}\n")).is_in_trouble(), "{line}");
        }
    }

    #[test]
    fn lines_arrive_in_pieces_of_any_size() {
        let text = "[    1.0] one\r\n[    2.0] Oops: two\n";
        for size in 1..text.len() {
            let mut console = Console::default();
            let lines: Vec<String> =
                text.as_bytes().chunks(size).flat_map(|piece| console.push(piece)).collect();
            assert_eq!(lines, ["[    1.0] one", "[    2.0] Oops: two"]);
            assert!(console.is_in_trouble());
        }
    }
}
