//! The table, as README has it.

use std::fmt::Write as _;

use crate::clock::Unit;
use crate::figure::Figure;
use crate::measure::{Crossings, Row, Scenario};
use crate::report::Report;

/// Head and figures of the table, what is promised, and where it all comes from.
pub(crate) fn table(report: &Report) -> String {
    let run = report.first();
    let mut text = format!(
        "{}, {} ({}), {}: {} per call. `{}`\n",
        report.origin.date,
        report.origin.machine,
        run.processor,
        run.kernel,
        run.unit.word(),
        report.origin.command
    );
    for scenario in &run.scenarios {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}\n\n{}", scenario.policy.title(), rows(scenario, run.unit));
    }
    let _ = writeln!(text, "\n{}", footnotes(run.unit));
    for check in &report.checks {
        let _ = writeln!(
            text,
            "- {}: {} (worst: {:.2}, {})",
            if check.holds { "PASS" } else { "OVER" },
            check.promise,
            check.figure,
            check.worst_row
        );
    }
    if report.runs.len() > 1 {
        let _ = writeln!(
            text,
            "- {} runs differ by at most {:.2} % in any figure ({:.2} % where processes are made)",
            report.runs.len(),
            report.spread.steady,
            report.spread.processes
        );
    }
    text
}

fn rows(scenario: &Scenario, unit: Unit) -> String {
    // Where nothing goes through a pair, there is no column for it.
    let has_veth = scenario.rows.iter().any(|row| row.veth.is_some());
    let [veth, line] = if has_veth { [" veth pair |", "--:|"] } else { [""; 2] };
    let mut text = format!(
        "| call | hooks crossed | bare | empty programs | host | guest |{veth} host above empty, per hook | guest in all, per hook | host/bare | guest/bare |\n\
         |---|---|--:|--:|--:|--:|{line}--:|--:|--:|--:|\n",
    );
    for row in &scenario.rows {
        let mut cells = vec![
            row.name.clone(),
            hooks(row),
            absolute(row.bare, unit),
            added(row, row.empty, unit),
            added(row, row.host, unit),
            added(row, row.guest, unit),
            row.host_above_empty().map_or_else(String::new, |figure| signed(figure, unit)),
            row.guest_in_all().map_or_else(String::new, |figure| signed(figure, unit)),
            format!("{:.2}", row.host.usual / row.bare.usual),
            format!("{:.2}", row.guest.usual / row.bare.usual),
        ];
        if has_veth {
            cells.insert(6, row.veth.map_or_else(String::new, |figure| added(row, figure, unit)));
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

fn footnotes(unit: Unit) -> String {
    let mut text = String::from(
        "*bare*: nothing attached; the others: what is added to it. *empty programs*: programs that only return, on the same hooks: the \
         kernel's own price of a hook. *host*, *guest*: with a policy in force, in a process of the host's and in one of a context's. \
         *veth pair*: nothing attached, the client in a network namespace, the server in the host's. ¹ a \
         guest is denied, and its figure holds the record of it. Where processes are made, something is kept for later, or addresses are looked up, \
         there is no figure per hook.",
    );
    if unit == Unit::Nanoseconds {
        text.push_str(" In brackets the least and the most of a batch.");
    }
    text
}

/// The hooks by the number of crossings; a guest's, if they are others, behind a stroke.
fn hooks(row: &Row) -> String {
    let note = if row.is_denied { "¹" } else { "" };
    let host = listed(&row.host_crossings);
    if row.guest_crossings == row.host_crossings {
        format!("{host}{note}")
    } else {
        format!("{host} / {}{note}", listed(&row.guest_crossings))
    }
}

fn listed(crossings: &Crossings) -> String {
    if crossings.is_empty() {
        return "none".to_owned();
    }
    let hook = |(name, count): (&String, &u64)| {
        if *count == 1 { format!("`{name}`") } else { format!("`{name}` ×{count}") }
    };
    crossings.iter().map(hook).collect::<Vec<_>>().join(", ")
}

fn absolute(figure: Figure, unit: Unit) -> String {
    match unit {
        Unit::Instructions => grouped(figure.usual),
        Unit::Nanoseconds => format!("{:.1} ({:.1}..{:.1})", figure.usual, figure.minimum, figure.maximum),
    }
}

fn added(row: &Row, figure: Figure, unit: Unit) -> String {
    let added = signed(figure.usual - row.bare.usual, unit);
    match unit {
        Unit::Instructions => added,
        Unit::Nanoseconds => format!("{added} ({:.1}..{:.1})", figure.minimum, figure.maximum),
    }
}

fn signed(figure: f64, unit: Unit) -> String {
    let rounded = match unit {
        Unit::Instructions => figure.round(),
        Unit::Nanoseconds => (10.0 * figure).round() / 10.0,
    };
    if rounded < 0.0 { format!("-{}", number(-rounded, unit)) } else { format!("+{}", number(rounded, unit)) }
}

fn number(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Instructions => grouped(figure),
        Unit::Nanoseconds => format!("{figure:.1}"),
    }
}

/// A whole number with a space before each three digits.
fn grouped(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Run;
    use crate::measure::samples::{row, run};
    use crate::report::Origin;

    fn report(runs: Vec<Run>) -> Report {
        let origin = Origin {
            machine: "QEMU".to_owned(),
            date: "2026-01-31".to_owned(),
            command: "cargo xtask bench".to_owned(),
        };
        Report::of(origin, runs).expect("a run")
    }

    fn sample() -> Run {
        let mut denied = row("bpf", &["bpf"], [606.5, 794.5, 818.5, 1761.5]);
        denied.is_denied = true;
        run(vec![
            row("kill", &["task_kill"], [1131.5, 1312.5, 1336.5, 1432.5]),
            denied,
            row("fork", &["task_alloc"], [193_083.5, 193_655.0, 192_971.0, 194_316.0]),
            row("getpid", &[], [357.5; 4]),
        ])
    }

    #[test]
    fn a_table_of_instructions() {
        insta::assert_snapshot!(table(&report(vec![sample(), sample()])));
    }

    #[test]
    fn a_table_of_time_has_its_spread_and_no_promises() {
        let mut run = sample();
        run.unit = Unit::Nanoseconds;
        insta::assert_snapshot!(table(&report(vec![run])));
    }

    #[test]
    fn a_veth_pair_has_a_column_where_something_goes_through_it() {
        let mut sent = row("send", &[], [1000.0; 4]);
        sent.veth = Some(Figure { usual: 1500.0, ..sent.bare });
        let run = run(vec![sent, row("open", &[], [1000.0; 4])]);
        let text = rows(&run.scenarios[0], run.unit);
        assert!(text.contains("| guest | veth pair | host above"), "{text}");
        assert!(text.contains("| send | none | 1 000 | +0 | +0 | +0 | +500 |  |"), "{text}");
        assert!(text.contains("| open | none | 1 000 | +0 | +0 | +0 |  |  |"), "{text}");
    }

    #[test]
    fn digits_come_in_threes() {
        for (figure, text) in [(0.0, "0"), (999.0, "999"), (1000.4, "1 000"), (1_234_567.0, "1 234 567")] {
            assert_eq!(grouped(figure), text);
        }
    }
}
