//! Explanations: that every hook has its act, that the answer is the decision's, and what is said beside it.

use std::collections::BTreeSet;

use vs_common::context::{Access, Identity, Tag, decide_interaction};
use vs_common::hook::Hook;
use vs_common::verdict::{Errno, Reason, Verdict};

use super::super::act::{ACTS, Act, FILE_KINDS, FileKind, Operand, capability_number};
use super::super::explain::{Effect, Explanation, Question, QuestionError, RuleLine, Standing, explain};
use super::*;

const POLICY: &str = concat!(
    "[spectator]\n",
    "[context.web]\nxid = 100\n",
    "[context.test]\nxid = 101\nmode = \"observe\"\nproc = \"hidepid\"\n",
    "[context.old]\nxid = 102\nproc = \"plain\"\n",
    "[context.lab]\nxid = 103\nmode = \"observe\"\nproc = \"plain\"\n",
);

/// Only contexts with mount namespaces of their own.
const APART: &str = "[context.web]\nxid = 100\n[context.db]\nxid = 101\n";

fn ask(text: &str, question: &Question) -> Result<Explanation, QuestionError> {
    explain(&policy(text), &entries(text), question)
}

fn question(actor: &str, act: &str) -> Question {
    Question { actor: actor.into(), act: act.into(), ..Question::default() }
}

fn on(actor: &str, act: &str, target: &str) -> Question {
    Question { target: Some(target.into()), ..question(actor, act) }
}

fn file(actor: &str, act: &str, kind: &str) -> Question {
    Question { file: Some(kind.into()), ..question(actor, act) }
}

#[test]
fn every_hook_that_decides_has_an_act_and_no_word_is_there_twice() {
    // These keep tags and owners; what they may deny is want of memory, which no policy is about.
    let silent = [
        Hook::BprmCommittedCreds,
        Hook::FileFcntl,
        Hook::FileIoctl,
        Hook::FileIoctlCompat,
        Hook::FileSetFowner,
        Hook::TaskToInode,
        Hook::SocketPostCreate,
        // Of ping and raw sockets only, whose addresses are no question yet.
        Hook::SocketBind,
        Hook::SocketSendmsg,
        // Of the host's users, about whom no question is.
        Hook::BprmCredsFromFile,
    ];
    // These show addresses and find sockets, and can deny nothing; what is received is no act of a context's.
    let showing =
        |hook: &Hook| !hook.is_lsm() && ACTS.iter().all(|act| act.hooks().all(|asked| asked != *hook));
    let deciding: BTreeSet<_> = ACTS.iter().flat_map(Act::hooks).collect();
    let all: BTreeSet<_> = deciding.iter().copied().chain(silent).collect();
    assert_eq!(deciding.len() + silent.len(), all.len());
    let others: Vec<_> = Hook::ALL.iter().copied().filter(|hook| !all.contains(hook)).collect();
    assert!(others.iter().all(showing), "{others:?}");
    assert_eq!(others.len(), 11, "{others:?}");
    let names: BTreeSet<_> = ACTS.iter().map(|act| act.name).collect();
    assert_eq!(names.len(), ACTS.len());
    let kinds: BTreeSet<_> = FILE_KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(kinds.len(), FILE_KINDS.len());
    for act in ACTS {
        assert_eq!(Act::named(act.name), Some(act));
    }
    for kind in FILE_KINDS {
        assert_eq!(FileKind::named(kind.name), Some(kind));
    }
}

#[test]
fn acts_on_processes_look_or_change_as_their_names_say() {
    let read = ["read-process", "getpgid", "getsid", "get-scheduler", "get-io-priority"];
    for act in ACTS.iter().filter(|act| act.operand == Operand::Process) {
        // Of all decisions only reading tells the spectator from a guest.
        let verdict = ask(POLICY, &on("spectator", act.name, "web")).unwrap().verdict;
        let is_read = read.contains(&act.name) || act.name.ends_with("-proc");
        assert_eq!(verdict == Verdict::Allow, is_read, "{}", act.name);
    }
}

#[test]
fn the_answer_is_the_decisions_own() {
    let tag = |xid, generation| {
        Identity::Member(Tag { xid: Xid(xid), lifecycle: 0, generation: Generation(generation) })
    };
    let parties = [
        ("host", Identity::Host),
        ("unknown", Identity::Unknown),
        ("spectator", tag(1, 1)),
        ("web", tag(100, 2)),
        ("test", tag(101, 3)),
        ("old", tag(102, 4)),
    ];
    for (actor, actor_identity) in parties {
        for (target, target_identity) in parties {
            for (act, access) in [("signal", Access::Change), ("getsid", Access::Read)] {
                let answer = ask(POLICY, &on(actor, act, target)).unwrap();
                let expected = decide_interaction(actor_identity, target_identity, access);
                assert_eq!(answer.verdict, expected, "{actor} {act} {target}");
            }
        }
    }
}

#[test]
fn standings_of_a_target_have_their_reasons() {
    let stood = |standing| {
        let question = Question { standing, ..on("web", "signal", "web") };
        ask(POLICY, &question).unwrap().verdict
    };
    assert_eq!(stood(Standing::Member), Verdict::Allow);
    assert_eq!(stood(Standing::Entering), Verdict::Deny(Errno::Eperm, Reason::EnteringTarget));
    assert_eq!(stood(Standing::Stale), Verdict::Deny(Errno::Eperm, Reason::StaleTarget));
}

#[test]
fn only_what_is_between_contexts_follows_the_mode() {
    let effect = |question: &Question| ask(POLICY, question).unwrap().effect;
    assert_eq!(effect(&on("web", "signal", "test")), Effect::Denied);
    assert_eq!(effect(&on("test", "signal", "web")), Effect::Observed);
    assert_eq!(effect(&on("lab", "stat-proc", "host")), Effect::Observed);
    let proc_file = |actor: &str, target: &str| Question {
        target: Some(target.into()),
        ..file(actor, "open", "proc-pid")
    };
    assert_eq!(effect(&proc_file("lab", "host")), Effect::Observed);
    assert_eq!(effect(&proc_file("old", "host")), Effect::Denied);
    let entering = Question { standing: Standing::Entering, ..on("test", "trace", "test") };
    assert_eq!(effect(&entering), Effect::Denied);
    let stale = Question { standing: Standing::Stale, ..on("test", "trace", "test") };
    assert_eq!(effect(&stale), Effect::Observed);
    assert_eq!(effect(&on("test", "signal", "test")), Effect::Allowed);
    assert_eq!(effect(&question("test", "bpf")), Effect::Denied);
    assert_eq!(effect(&question("test", "fork")), Effect::Allowed);
    assert_eq!(effect(&question("test", "fork-while-stopping")), Effect::Denied);
    assert_eq!(effect(&file("lab", "open", "bpffs")), Effect::Denied);
    assert_eq!(effect(&on("spectator", "signal", "web")), Effect::Denied);
    assert_eq!(effect(&on("unknown", "signal", "web")), Effect::Denied);
    assert_eq!(effect(&on("host", "signal", "web")), Effect::Allowed);
    let capability = |number| Question { capability: Some(number), ..question("web", "use-capability") };
    assert_eq!(effect(&capability(0)), Effect::Allowed);
    assert_eq!(effect(&capability(21)), Effect::Denied);
}

#[test]
fn a_hook_that_is_not_attached_is_not_asked() {
    let answer = ask(APART, &file("unknown", "open", "bpffs")).unwrap();
    assert_eq!(answer.verdict, Verdict::Deny(Errno::Eacces, Reason::Enforcement));
    assert_eq!((answer.effect, answer.is_attached), (Effect::NotAsked, false));
    assert_eq!(answer.notes.len(), 1, "{:?}", answer.notes);
    // One context in the host's tree, and it is asked of all.
    let answer = ask(POLICY, &file("old", "open", "bpffs")).unwrap();
    assert_eq!((answer.effect, answer.is_attached), (Effect::Denied, true));
}

#[test]
fn what_a_mount_namespace_keeps_away_is_said_where_the_hook_lets_it_pass() {
    for text in [APART, POLICY] {
        let answer = ask(text, &file("web", "open", "bpffs")).unwrap();
        assert_eq!((answer.effect, answer.notes.len()), (Effect::LeftToNamespace, 1), "{:?}", answer.notes);
        let answer = ask(text, &file("web", "open", "ordinary")).unwrap();
        assert_eq!((answer.effect, answer.notes.len()), (Effect::Allowed, 0), "{:?}", answer.notes);
    }
}

/// The lines that an answer rests on.
fn rule_lines(text: &str, question: &Question) -> Vec<String> {
    let answer = ask(text, question).unwrap();
    let place = |line: &RuleLine| line.place.as_ref().map_or_else(|| "default".into(), ToString::to_string);
    answer.rules.iter().map(|line| format!("{}: {} at {}", line.part, line.text, place(line))).collect()
}

#[test]
fn an_answer_names_the_lines_it_rests_on() {
    assert_eq!(
        rule_lines(POLICY, &on("test", "signal", "web")),
        [
            "actor: [context.test] xid = 101 at p:4:10",
            "target: [context.web] xid = 100 at p:2:10",
            "mode: mode = \"observe\" at p:6:8",
        ]
    );
    assert_eq!(
        rule_lines(POLICY, &on("web", "signal", "host")),
        ["actor: [context.web] xid = 100 at p:2:10", "mode: mode = \"enforce\" at default"]
    );
    assert_eq!(
        rule_lines(POLICY, &file("spectator", "unlink", "bpffs")),
        ["actor: [spectator] at p:1:2", "hook: [spectator] at p:1:2"]
    );
    assert_eq!(
        rule_lines(POLICY, &on("old", "stat-proc", "host")),
        [
            "actor: [context.old] xid = 102 at p:8:10",
            "mode: mode = \"enforce\" at default",
            "hook: [context.old] proc = \"plain\" at p:10:8",
        ]
    );
    let locked = format!("[host]\nproc_lock = true\n{APART}");
    assert_eq!(
        rule_lines(&locked, &file("web", "mkdir", "cgroup2")),
        ["actor: [context.web] xid = 100 at p:3:10", "hook: [host] proc_lock = true at p:2:13"]
    );
}

#[test]
fn a_question_that_does_not_fit_is_refused() {
    let refused = |question: &Question| ask(APART, question).unwrap_err().to_string();
    assert_eq!(
        refused(&on("wbe", "signal", "host")),
        "the policy has no context \"wbe\", did you mean \"web\"?; it has: host, web, db"
    );
    assert_eq!(
        refused(&on("spectator", "signal", "host")),
        "the policy has no spectator; add a table [spectator]"
    );
    assert_eq!(refused(&on("web", "poke", "db")), "there is no act \"poke\"; see --list-acts");
    assert_eq!(refused(&question("web", "signal")), "the act signal needs --target, whose process");
    assert_eq!(refused(&question("web", "open")), "the act open needs --file, the kind of file, or --path");
    assert_eq!(refused(&file("web", "open", "proc-pid")), "the act open needs --target, whose process");
    assert_eq!(
        refused(&file("web", "open", "floppy")),
        "there is no kind of file \"floppy\"; see --list-acts"
    );
    assert_eq!(refused(&on("web", "fork", "db")), "the act fork has no use for --target; leave it out");
    assert_eq!(refused(&file("web", "bpf", "bpffs")), "the act bpf has no use for --file; leave it out");
    let entering = Question { standing: Standing::Entering, ..question("web", "bpf") };
    assert_eq!(refused(&entering), "the act bpf has no use for --standing; leave it out");
    assert_eq!(
        refused(&question("web", "use-capability")),
        "the act use-capability needs --capability, which capability"
    );
}

#[test]
fn capabilities_go_by_the_numbers_of_the_kernel() {
    for (text, number) in
        [("sys_admin", 21), ("CAP_SYS_ADMIN", 21), ("cap_chown", 0), ("checkpoint_restore", 40), ("63", 63)]
    {
        assert_eq!(capability_number(text), Some(number), "{text}");
    }
    assert_eq!(capability_number("root"), None);
}
