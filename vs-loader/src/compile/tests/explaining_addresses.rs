//! Explanations of acts on sockets and addresses: that the answer is the decision's, and that what is said beside it is so.

use vs_common::hook::Hook;
use vs_common::network::{BindChoice, DestinationChoice, Reach, decide_bind, decide_destination};
use vs_common::verdict::{Errno, Reason, Verdict};

use super::super::act::SOCKET_KINDS;
use super::super::explain::{Effect, Explanation, Question, QuestionError, explain};
use super::*;
use crate::compile::network::to_address;

const POLICY: &str = concat!(
    "[spectator]\n",
    "[context.web]\nxid = 100\naddresses = [\"192.0.2.10\", \"192.0.2.16/28\", \"2001:db8::10\"]\n",
    "[context.six]\nxid = 101\naddresses = [\"2001:db8::20\"]\nshow_any = true\nbroadcast = true\n",
    "[context.own]\nxid = 102\naddresses = []\n",
    "[context.bare]\nxid = 103\naddresses = []\nloopback = \"none\"\nmode = \"observe\"\n",
    "[context.lab]\nxid = 104\naddresses = [\"192.0.2.40\"]\nloopback = \"shared\"\nmulticast = true\n",
    "[context.plain]\nxid = 105\n",
);

const ADDRESSES: [&str; 14] = [
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "127.0.0.1",
    "127.0.0.53",
    "::1",
    "192.0.2.10",
    "::ffff:192.0.2.31",
    "192.0.2.32",
    "2001:db8::20",
    "2001:db8::99",
    "224.0.0.251",
    "ff02::1",
    "255.255.255.255",
];

fn ask(text: &str, question: &Question) -> Result<Explanation, QuestionError> {
    explain(&policy(text), &entries(text), question)
}

fn question(actor: &str, act: &str) -> Question {
    Question { actor: actor.into(), act: act.into(), ..Question::default() }
}

fn on(actor: &str, act: &str, address: &str) -> Question {
    Question { address: Some(address.parse().unwrap()), ..question(actor, act) }
}

fn answer(question: &Question) -> Explanation {
    ask(POLICY, question).unwrap()
}

/// What becomes of an address, in short.
fn outcome(question: &Question) -> String {
    let answer = answer(question);
    match (answer.outcome, answer.verdict) {
        (Some(outcome), _) => {
            let source = outcome.source.map(|source| format!(" from {source}")).unwrap_or_default();
            format!("{:?} {} shown {}{source}", outcome.how, outcome.address, outcome.shown)
        }
        (None, verdict) => format!("{verdict:?}"),
    }
}

#[test]
fn the_answer_is_the_decisions_own() {
    let entries = entries(POLICY);
    for (xid, network) in entries.networks() {
        let actor = ["web", "six", "own", "bare", "lab"][xid.0 as usize - 100];
        for text in ADDRESSES {
            let ip: std::net::IpAddr = text.parse().unwrap();
            let address = to_address(ip);
            let is_listed = network.addresses.iter().any(|prefix| prefix.contains(address));
            let reach = if ip.is_ipv4() { Reach::V4 } else { Reach::Both };
            let expected = match decide_bind(&network.rules, &address, reach, is_listed) {
                BindChoice::Refused(errno, reason) => Verdict::Deny(errno, reason),
                _ => Verdict::Allow,
            };
            assert_eq!(answer(&on(actor, "bind", text)).verdict, expected, "{actor} {text}");
            let expected = match decide_destination(&network.rules, &address) {
                DestinationChoice::Refused(errno, reason) => Verdict::Deny(errno, reason),
                _ => Verdict::Allow,
            };
            for act in ["connect", "send"] {
                assert_eq!(answer(&on(actor, act, text)).verdict, expected, "{actor} {text}");
            }
        }
    }
}

#[test]
fn what_a_socket_that_is_bound_gets() {
    let bound = |actor, address| outcome(&on(actor, "bind", address));
    assert_eq!(bound("web", "0.0.0.0"), "Primary 192.0.2.10 shown 192.0.2.10");
    assert_eq!(bound("web", "::"), "Primary 192.0.2.10 shown 192.0.2.10");
    let v6_only = Question { is_v6_only: true, ..on("web", "bind", "::") };
    assert_eq!(outcome(&v6_only), "Primary 2001:db8::10 shown 2001:db8::10");
    assert_eq!(bound("six", "::"), "Primary 2001:db8::20 shown ::");
    assert_eq!(bound("six", "0.0.0.0"), "OwnLoopback 127.0.101.1 shown 127.0.0.1");
    assert_eq!(bound("own", "::"), "OwnLoopback fd56:7365:7276::66:1 shown ::1");
    assert_eq!(bound("own", "127.0.0.53"), "OwnLoopback 127.0.102.53 shown 127.0.0.53");
    assert_eq!(bound("lab", "127.0.0.53"), "SharedLoopback 127.0.0.53 shown 127.0.0.53");
    assert_eq!(bound("web", "::ffff:192.0.2.31"), "AsAsked ::ffff:192.0.2.31 shown ::ffff:192.0.2.31");
    let refused = format!("{:?}", Verdict::Deny(Errno::Eaddrnotavail, Reason::ForeignAddress));
    assert_eq!(bound("web", "192.0.2.32"), refused);
    assert_eq!(bound("web", "2001:db8::20"), refused);
    for actor in ["host", "spectator", "plain", "unknown"] {
        assert_eq!(bound(actor, "0.0.0.0"), "AsAsked 0.0.0.0 shown 0.0.0.0");
    }
}

#[test]
fn where_packets_go_and_from_where() {
    let sent = |actor, address| outcome(&on(actor, "send", address));
    assert_eq!(sent("web", "198.51.100.7"), "AsAsked 198.51.100.7 shown 198.51.100.7 from 192.0.2.10");
    assert_eq!(sent("web", "2001:db8::7"), "AsAsked 2001:db8::7 shown 2001:db8::7 from 2001:db8::10");
    assert_eq!(sent("web", "127.0.0.53"), "OwnLoopback 127.0.100.53 shown 127.0.0.53 from 127.0.100.1");
    assert_eq!(sent("web", "0.0.0.0"), "OwnLoopback 127.0.100.1 shown 127.0.0.1 from 127.0.100.1");
    assert_eq!(sent("own", "::1"), "OwnLoopback fd56:7365:7276::66:1 shown ::1 from fd56:7365:7276::66:1");
    assert_eq!(sent("lab", "127.0.0.1"), "SharedLoopback 127.0.0.1 shown 127.0.0.1");
    let unreachable = format!("{:?}", Verdict::Deny(Errno::Enetunreach, Reason::UnreachableAddress));
    assert_eq!(sent("six", "198.51.100.7"), unreachable);
    // Even in mode observe: there is nothing to send from.
    assert_eq!(sent("bare", "127.0.0.1"), unreachable);
    assert_eq!(answer(&on("bare", "connect", "127.0.0.1")).effect, Effect::Denied);
}

#[test]
fn mode_observe_lets_foreign_addresses_pass_as_they_are() {
    let observed = answer(&on("bare", "bind", "192.0.2.10"));
    assert_eq!(observed.effect, Effect::Observed);
    assert_eq!(observed.outcome.unwrap().address.to_string(), "192.0.2.10");
    assert_eq!(answer(&question("bare", "listen-unbound")).effect, Effect::Observed);
    assert_eq!(answer(&question("bare", "join-group")).effect, Effect::Denied);
    assert_eq!(answer(&question("bare", "change-by-netlink")).effect, Effect::Denied);
}

#[test]
fn the_hook_goes_by_the_family_of_the_socket() {
    for (act, hook4, hook6) in [
        ("bind", Hook::Bind4, Hook::Bind6),
        ("connect", Hook::Connect4, Hook::Connect6),
        ("send", Hook::Sendmsg4, Hook::Sendmsg6),
    ] {
        assert_eq!(answer(&on("web", act, "192.0.2.10")).hook, hook4);
        assert_eq!(answer(&on("web", act, "::ffff:192.0.2.10")).hook, hook6);
        assert_eq!(answer(&on("web", act, "2001:db8::10")).hook, hook6);
    }
}

#[test]
fn sockets_by_kind() {
    let errno = |actor: &str, kind: &str| {
        let question = Question { socket: Some(kind.into()), ..question(actor, "create-socket") };
        match answer(&question).verdict {
            Verdict::Allow => None,
            Verdict::Deny(errno, _) => Some(errno),
        }
    };
    for kind in ["unix", "tcp", "udp", "udplite", "netlink-route"] {
        assert_eq!((errno("web", kind), errno("unknown", kind)), (None, Some(Errno::Eacces)), "{kind}");
    }
    let expected = [
        ("ping", Errno::Eacces),
        ("raw", Errno::Eperm),
        ("raw6", Errno::Eperm),
        ("raw-headers", Errno::Eperm),
        ("sctp", Errno::Eprotonosupport),
        ("netlink-generic", Errno::Eprotonosupport),
        ("packet", Errno::Eafnosupport),
    ];
    for (kind, expected) in expected {
        assert_eq!(errno("web", kind), Some(expected), "{kind}");
    }
    for kind in SOCKET_KINDS {
        for actor in ["host", "spectator", "plain"] {
            assert_eq!(errno(actor, kind.name), None, "{actor} {}", kind.name);
        }
    }
}

#[test]
fn what_is_granted_by_policy() {
    let effect = |actor, act| answer(&question(actor, act)).effect;
    assert_eq!((effect("web", "join-group"), effect("lab", "join-group")), (Effect::Denied, Effect::Allowed));
    assert_eq!(
        (effect("web", "set-broadcast"), effect("six", "set-broadcast")),
        (Effect::Denied, Effect::Allowed)
    );
    for act in ["bind-to-device", "set-source-route", "change-by-netlink", "listen-unbound"] {
        assert_eq!((effect("lab", act), effect("plain", act)), (Effect::Denied, Effect::Allowed), "{act}");
    }
    assert_eq!(effect("web", "ask-netlink"), Effect::Allowed);
}

#[test]
fn an_answer_names_the_lines_it_rests_on() {
    let rules = |question: &Question| {
        let lines =
            answer(question).rules.into_iter().filter(|line| !["actor", "mode", "hook"].contains(&line.part));
        let place = |place: Option<_>| {
            place.map_or("default".to_owned(), |place: crate::policy::Place| place.to_string())
        };
        lines.map(|line| format!("{} at {}", line.text, place(line.place))).collect::<Vec<_>>()
    };
    let all = "addresses = [\"192.0.2.10\", \"192.0.2.16/28\", \"2001:db8::10\"] at p:4:13";
    assert_eq!(rules(&on("web", "bind", "192.0.2.17")), ["\"192.0.2.16/28\" in addresses at p:4:28"]);
    assert_eq!(rules(&on("web", "bind", "192.0.2.99")), [all]);
    assert_eq!(rules(&on("web", "bind", "0.0.0.0")), ["primary = \"192.0.2.10\" at default"]);
    assert_eq!(rules(&on("own", "bind", "::")), ["loopback = \"private\" at default"]);
    assert_eq!(rules(&on("bare", "bind", "::")).len(), 2);
    assert_eq!(rules(&on("lab", "connect", "0.0.0.0")), ["loopback = \"shared\" at p:21:12"]);
    assert_eq!(rules(&on("six", "connect", "192.0.2.1")), ["addresses = [\"2001:db8::20\"] at p:7:13"]);
    assert_eq!(rules(&on("lab", "bind", "224.0.0.1")), ["multicast = true at p:22:13"]);
    assert_eq!(rules(&question("web", "join-group")), ["multicast = false at default"]);
    assert_eq!(rules(&question("web", "bind-to-device")), [all]);
    assert!(rules(&on("plain", "bind", "192.0.2.99")).is_empty());
}

#[test]
fn a_question_that_does_not_fit_is_refused() {
    let refused = |question: &Question| ask(POLICY, question).unwrap_err().to_string();
    assert_eq!(refused(&question("web", "bind")), "the act bind needs --address, which address");
    assert_eq!(
        refused(&on("web", "listen-unbound", "::")),
        "the act listen-unbound has no use for --address; leave it out"
    );
    let v4 = Question { is_v6_only: true, ..on("web", "bind", "0.0.0.0") };
    assert_eq!(refused(&v4), "the act bind has no use for --v6-only; leave it out");
    let socket = Question { socket: Some("tpc".into()), ..question("web", "create-socket") };
    assert_eq!(refused(&socket), "there is no kind of socket \"tpc\"; see --list-acts");
}
