//! `vs policy` as operators see it: what it prints, where to, and the exit code, against golden files.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test -p vs-loader --test policy_command`, and read the difference.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs `vs` with these words from the top of the tree, in an empty environment.
fn vs(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vs"))
        .args(words)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vs can be run");
    // A command that reads no input has closed it before.
    _ = child.stdin.take().expect("a pipe was asked for").write_all(input.as_bytes());
    child.wait_with_output().expect("vs ends")
}

/// A session of commands, one a line, as it looks on a terminal.
fn session(commands: &str) -> String {
    let commands = commands.lines().map(str::trim).filter(|command| !command.is_empty());
    commands.map(shown).collect::<Vec<_>>().concat()
}

/// A command and what came of it.
fn shown(command: &str) -> String {
    let words: Vec<_> = command.split_whitespace().collect();
    let output = vs(&words, "[context.piped]\nxid = 7\n");
    let stream = |name, bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).expect("vs prints UTF-8");
        if text.is_empty() { text } else { format!("--- {name}\n{text}") }
    };
    let (stdout, stderr) = (stream("stdout", output.stdout), stream("stderr", output.stderr));
    let code = output.status.code().expect("no signal ended vs");
    format!("$ vs {command}\n{stdout}{stderr}--- exit code {code}\n\n")
}

/// Compares a session with its golden file.
fn golden(name: &str, commands: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, session(commands)));
}

#[test]
fn check() {
    golden(
        "policy-check",
        "policy check examples/web-and-db.toml
         policy check examples/every-key.toml examples/observe-first.toml
         policy check --json examples/web-and-db.toml
         policy check vs-loader/tests/golden/policies/folder
         policy check -
         policy check - -
         policy check examples/none.toml examples
         policy check vs-loader/src
         policy check /dev/zero
         policy check",
    );
}

#[test]
fn check_reports_every_error() {
    golden(
        "policy-errors",
        "policy check vs-loader/tests/golden/policies/wrong-web.toml vs-loader/tests/golden/policies/wrong-more.toml
         policy check vs-loader/tests/golden/policies/wrong-syntax.toml
         policy check --json vs-loader/tests/golden/policies/wrong-more.toml -
         policy show vs-loader/tests/golden/policies/wrong-more.toml
         policy check examples/web-and-db.toml examples/web-and-db.toml",
    );
}

#[test]
fn show() {
    golden(
        "policy-show",
        "policy show examples/web-and-db.toml
         policy show examples/every-key.toml examples/observe-first.toml
         policy show vs-loader/tests/golden/policies/after.toml
         policy show vs-loader/tests/golden/policies/folder
         policy show --json -",
    );
}

#[test]
fn diff() {
    golden(
        "policy-diff",
        "policy diff vs-loader/tests/golden/policies/before.toml vs-loader/tests/golden/policies/after.toml
         policy diff vs-loader/tests/golden/policies/after.toml vs-loader/tests/golden/policies/before.toml
         policy diff examples/every-key.toml examples/every-key.toml
         policy diff --json examples/every-key.toml -
         policy diff examples/every-key.toml vs-loader/tests/golden/policies/wrong-syntax.toml
         policy diff - -",
    );
}

#[test]
fn explain() {
    golden(
        "policy-explain",
        "policy explain examples/web-and-db.toml --actor web --act signal --target db
         policy explain examples/web-and-db.toml --actor web --act signal --target web
         policy explain examples/web-and-db.toml --actor web --act signal --target web --standing entering
         policy explain examples/web-and-db.toml --actor spectator --act read-process --target host
         policy explain examples/web-and-db.toml --actor spectator --act signal --target web
         policy explain examples/web-and-db.toml --actor unknown --act getpgid --target unknown
         policy explain examples/web-and-db.toml --actor host --act bpf
         policy explain examples/web-and-db.toml --actor web --act bpf
         policy explain examples/web-and-db.toml --actor web --act open-for-writing --file proc
         policy explain vs-loader/tests/golden/policies/folder --actor a --act open --file disk
         policy explain examples/observe-first.toml --actor mail --act open --file proc-pid --target host
         policy explain examples/observe-first.toml --actor mail --act trace --target host
         policy explain examples/observe-first.toml --actor mail --act use-capability --capability CAP_SYS_ADMIN
         policy explain vs-loader/tests/golden/policies/after.toml --actor web --act stat-proc --target new
         policy explain --json examples/observe-first.toml --actor mail --act signal --target host
         policy explain --json - --actor piped --act use-capability --capability 0",
    );
}

#[test]
fn explain_directories() {
    golden(
        "policy-explain-directories",
        "policy show vs-loader/tests/golden/policies/directories.toml
         policy explain vs-loader/tests/golden/policies/directories.toml --actor web --act open-for-writing --path /etc/passwd
         policy explain vs-loader/tests/golden/policies/directories.toml --actor web --act open --path /etc/passwd
         policy explain vs-loader/tests/golden/policies/directories.toml --actor web --act rename --path /srv/web/index.html
         policy explain vs-loader/tests/golden/policies/directories.toml --actor web --act open --path /srv/web/shared/x
         policy explain vs-loader/tests/golden/policies/directories.toml --actor db --act set-flags --path /srv/db
         policy explain vs-loader/tests/golden/policies/directories.toml --actor db --act unlink --path /srv/dbx
         policy explain vs-loader/tests/golden/policies/directories.toml --actor free --act open --path /srv/db/x
         policy explain vs-loader/tests/golden/policies/directories.toml --actor free --act create --path /tmp/x
         policy explain vs-loader/tests/golden/policies/directories.toml --actor spectator --act open --path /etc/ssl/private/key
         policy explain vs-loader/tests/golden/policies/directories.toml --actor spectator --act set-attribute --path /srv/db/x
         policy explain vs-loader/tests/golden/policies/directories.toml --actor host --act open-for-writing --path /etc/ssl/private/key
         policy explain vs-loader/tests/golden/policies/directories.toml --actor web --act open --path /x --file proc
         policy explain vs-loader/tests/golden/policies/directories.toml --actor web --act bpf --path /x",
    );
}

#[test]
fn explain_addresses() {
    golden(
        "policy-explain-addresses",
        "policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address 0.0.0.0
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address ::
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address :: --v6-only
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address 127.0.0.53
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address 192.0.2.20
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address 192.0.2.99
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor test --act bind --address 192.0.2.99
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor test --act bind --address ::1
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act connect --address 198.51.100.7
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor test --act connect --address 2001:db8::7
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act send --address 127.0.0.1
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor test --act send --address 224.0.0.251
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor plain --act bind --address 0.0.0.0
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor unknown --act create-socket --socket tcp
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act create-socket --socket raw
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act listen-unbound
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor test --act join-group
         policy explain vs-loader/tests/golden/policies/addresses.toml --actor web --act change-by-netlink
         policy explain examples/web-and-db.toml --actor web --act connect --address 198.51.100.7
         policy explain examples/web-and-db.toml --actor unknown --act create-socket --socket tcp
         policy explain --json vs-loader/tests/golden/policies/addresses.toml --actor web --act connect --address ::1
         policy explain --json vs-loader/tests/golden/policies/addresses.toml --actor web --act bind --address 192.0.2.99
         policy explain --json vs-loader/tests/golden/policies/addresses.toml --actor web --act create-socket --socket packet",
    );
}

#[test]
fn explain_refuses_what_it_cannot_answer() {
    golden(
        "policy-explain-refusals",
        "policy explain examples/web-and-db.toml --actor wbe --act signal --target host
         policy explain examples/observe-first.toml --actor mail --act signal --target spectator
         policy explain examples/web-and-db.toml --actor web --act signall --target host
         policy explain examples/web-and-db.toml --actor web --act signal
         policy explain examples/web-and-db.toml --actor web --act open --file proc-pid
         policy explain examples/web-and-db.toml --actor web --act open --file flopy
         policy explain examples/web-and-db.toml --actor web --act fork --target db
         policy explain examples/web-and-db.toml --actor web --act use-capability --capability root
         policy explain examples/web-and-db.toml --actor web --act bind
         policy explain examples/web-and-db.toml --actor web --act bind --address eth0
         policy explain examples/web-and-db.toml --actor web --act connect --address :: --v6-only
         policy explain examples/web-and-db.toml --actor web --act create-socket
         policy explain examples/web-and-db.toml --actor web --act create-socket --socket tpc
         policy explain examples/web-and-db.toml",
    );
}

#[test]
fn vocabulary() {
    golden("policy-acts", "policy explain --list-acts\n policy explain --list-acts --json");
}

#[test]
fn help() {
    golden(
        "policy-help",
        "policy --help
         policy check --help
         policy show --help
         policy diff --help
         policy explain --help",
    );
}

/// What we show to operators is right.
#[test]
fn every_example_is_a_policy() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 2, "{files:?}");
    for file in files {
        let output = vs(&["policy", "check", file.to_str().unwrap()], "");
        assert!(output.status.success(), "{}: {output:?}", file.display());
    }
}

/// A reader that has seen enough is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vs"))
        .args(["policy", "explain", "--list-acts"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, b"");
}
