//! Every error by its exact text and place, all errors at once, and no bytes that make the reader panic.

use proptest::prelude::*;
use vs_common::id::Xid;
use vs_common::policy_entry::{Mode, ProcMode};

use super::*;

mod capabilities;
mod network;
mod wrong;
mod wrong_files;
mod wrong_network;

fn sources(files: &[(&str, &str)]) -> Vec<PolicySource> {
    files.iter().map(|(name, text)| PolicySource::new(*name, *text)).collect()
}

fn policy(text: &str) -> Policy {
    parse(&sources(&[("p", text)])).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The errors of some files, one a line.
fn errors(files: &[(&str, &str)]) -> Vec<String> {
    let errors = parse(&sources(files)).expect_err("the policy is wrong");
    errors.as_slice().iter().map(ToString::to_string).collect()
}

fn errors_of(text: &str) -> Vec<String> {
    errors(&[("p", text)])
}

#[test]
fn what_is_given_is_kept_with_its_place_and_the_rest_is_the_default() {
    let policy = policy(concat!(
        "[host]\nproc_lock = true\n",
        "[spectator]\nrecords_per_second = 7\ndescription = \"watches\"\n",
        "[context.db]\nxid = 0x65\nmode = \"observe\"\nproc = \"plain\"\nrecord_burst = 9\n",
        "[context.web]\nxid = 100\n",
    ));
    assert!(policy.proc_lock().value());
    assert_eq!(policy.proc_lock().place().unwrap().to_string(), "p:2:13");
    let spectator = policy.spectator().unwrap();
    assert_eq!((spectator.records_per_second().value(), spectator.record_burst().value()), (7, 400));
    assert_eq!(spectator.description(), Some("watches"));
    assert_eq!(spectator.place().to_string(), "p:3:2");
    let [web, db] = &policy.contexts().collect::<Vec<_>>()[..] else { panic!("two contexts") };
    assert_eq!((web.name().as_str(), web.xid().value()), ("web", Xid(100)));
    assert_eq!((web.mode().value(), web.mode().place()), (Mode::Enforce, None));
    assert_eq!((web.proc_mode().value(), web.proc_mode().place()), (ProcMode::Pidns, None));
    assert_eq!((web.records_per_second().value(), web.record_burst().value()), (100, 400));
    assert_eq!((db.name().as_str(), db.xid().value()), ("db", Xid(101)));
    assert_eq!((db.mode().value(), db.proc_mode().value()), (Mode::Observe, ProcMode::Plain));
    assert_eq!(
        (db.place().to_string(), db.mode().place().unwrap().to_string()),
        ("p:6:10".into(), "p:8:8".into())
    );
    assert_eq!(policy.context_named("db"), policy.context(Xid(101)));
    assert_eq!(policy.context_named("nobody"), None);
}

#[test]
fn every_form_of_table_that_toml_has_is_read() {
    let forms = [
        "[context.web]\nxid = 100\nmode = 'observe'\n",
        "[context]\nweb = { xid = 100, mode = \"observe\" }\n",
        "context.web.xid = 100\ncontext.web.mode = \"observe\"\n",
        "context = { web = { xid = 1_00, mode = \"\"\"observe\"\"\" } }\n",
        "\u{feff}[\"context\".'web']\r\nxid = +100\r\nmode = \"\\u006fbserve\"\r\n",
    ];
    for form in forms {
        let policy = policy(form);
        let web = policy.context_named("web").unwrap();
        assert_eq!((web.xid().value(), web.mode().value()), (Xid(100), Mode::Observe), "{form}");
    }
}

#[test]
fn the_digest_is_that_of_the_files_one_after_the_other() {
    let whole = policy("[context.web]\nxid = 100\n[context.db]\nxid = 101\n");
    let parts = parse(&sources(&[("a", "[context.web]\nxid = 100\n"), ("b", "[context.db]\nxid = 101\n")]));
    // printf '[context.web]\nxid = 100\n[context.db]\nxid = 101\n' | sha256sum
    let expected = "5d0b6481046f4a38758a638acd7db26797e05c62cbda9afc5eb1f17822f9422f";
    assert_eq!(whole.digest().to_string(), expected);
    assert_eq!(parts.unwrap().digest().to_string(), expected);
    let turned = parse(&sources(&[("b", "[context.db]\nxid = 101\n"), ("a", "[context.web]\nxid = 100\n")]));
    assert_ne!(turned.unwrap().digest(), whole.digest());
}

#[test]
fn each_error_names_its_place_and_its_cure() {
    for (text, expected) in wrong::WRONG.iter().chain(wrong_files::WRONG_FILES) {
        assert_eq!(errors_of(text), [*expected], "{text}");
    }
}

#[test]
fn a_table_that_is_given_often_points_to_the_one_before() {
    let found = errors_of("[context.a]\nxid = 2\n[context.a]\nxid = 3\n[context.b]\nxid = 4\n[context.a]\n");
    assert_eq!(
        found,
        [
            "p:3:10: \"a\" is given already, at p:1:10; keep one of them",
            "p:4:1: \"xid\" is given already, at p:2:1; keep one of them",
            "p:7:10: \"a\" is given already, at p:3:10; keep one of them",
        ]
    );
}

#[test]
fn bytes_that_are_no_text_are_pointed_at() {
    let found = parse(&[PolicySource::new("p", b"[host]\n\xff".as_slice())]).unwrap_err();
    assert_eq!(
        found.to_string(),
        "the policy has an error\np:2:1: this is not UTF-8; TOML is UTF-8 text, so save the file as such"
    );
}

#[test]
fn the_files_are_checked_against_each_other() {
    let web = "[host]\n[spectator]\n[context.web]\nxid = 100\n";
    let again = "[context.web]\nxid = 101\n[context.db]\nxid = 100\n[host]\n[spectator]\n";
    assert_eq!(
        errors(&[("web.toml", web), ("again.toml", again)]),
        [
            "again.toml:1:10: context \"web\" is defined already, at web.toml:3:10; keep one of them",
            "again.toml:4:7: context \"db\": xid 100 is that of context \"web\" already, at web.toml:4:7; give each context a number of its own",
            "again.toml:5:2: [host] is defined already, at web.toml:1:2; keep one of them",
            "again.toml:6:2: [spectator] is defined already, at web.toml:2:2; keep one of them",
        ]
    );
    let same = errors(&[("web.toml", web), ("web.toml", web)]);
    assert_eq!(same.len(), 4, "{same:?}");
}

#[test]
fn a_file_with_nothing_in_it_may_stand_beside_others() {
    let both = parse(&sources(&[("empty", "# later\n"), ("p", "[spectator]\n")])).unwrap();
    assert!(both.spectator().is_some() && both.contexts().len() == 0);
}

#[test]
fn all_errors_of_all_files_come_at_once_by_file_and_line() {
    let found = errors(&[
        ("b.toml", "[context.web]\nxid = 0\nmode = 1\nprocs = \"plain\"\n[context.DB]\nmode = \"off\"\n"),
        ("a.toml", "[context.x]\nxid = 5\nmode = \"observe\nproc = \"non\"\nrecord_burst = 0\n"),
    ]);
    let places: Vec<_> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    let expected = [
        "b.toml:2:7",
        "b.toml:3:8",
        "b.toml:4:1",
        "b.toml:5:10",
        "b.toml:5:10",
        "b.toml:6:8",
        "a.toml:3:16",
        "a.toml:4:8",
        "a.toml:5:16",
    ];
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn what_the_parser_guessed_after_an_error_is_not_reported_as_the_operators() {
    // Without its bracket the header and what it heads are lost: neither "xid is missing" nor "no context" is true.
    let found = errors_of("[context.web\nxid = 100\nmode = \"observe\"\n");
    assert!(found.iter().all(|error| error.contains("TOML syntax")), "{found:?}");
    // The parser takes an unquoted word for a boolean.
    let found = errors_of("[context.web]\nxid = 100\nmode = fast\nproc = plain\n");
    assert!(found.iter().all(|error| error.contains("TOML syntax")), "{found:?}");
}

#[test]
fn a_message_is_short_whatever_the_file_holds() {
    let long = "x".repeat(100_000);
    let found =
        errors_of(&format!("[context.web]\nxid = {}\n{long} = 1\nmode = \"{long}\"\n", "9".repeat(100_000)));
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|error| error.len() < 480), "{found:?}");
    let many = (0..500).map(|n| format!("k{n} = 1\n")).collect::<Vec<_>>().concat();
    let shown = parse(&sources(&[("p", &many)])).unwrap_err().to_string();
    assert_eq!(shown.lines().count(), 102);
    assert!(shown.starts_with("the policy has 500 errors\n"), "{shown}");
    assert!(shown.ends_with("\nand 400 more; cure these first"), "{shown}");
}

#[test]
fn there_are_as_many_contexts_as_the_maps_hold() {
    let table = |n: u32| format!("[context.c{n:04}]\nxid = {}\n", n + 2);
    let text = |count: u32| (0..count).map(table).collect::<Vec<_>>().concat();
    assert_eq!(policy(&text(4096)).contexts().len(), 4096);
    assert_eq!(
        errors_of(&text(4098)),
        ["p:8193:10: this is context number 4097, and there can be 4096; remove some"]
    );
}

#[test]
fn names_are_those_of_the_maps() {
    for good in ["a", "0", "web", "a.b-c_d", &"z".repeat(32)] {
        let name: ContextName = good.parse().unwrap();
        let padded = name.to_padded();
        assert_eq!(&padded[..good.len()], good.as_bytes());
        assert!(padded[good.len()..].iter().all(|byte| *byte == 0));
    }
    for bad in ["", "A", "-a", ".", "..", "a b", "a/b", "ä", "host", "spectator", "unknown", &"z".repeat(33)]
    {
        assert!(bad.parse::<ContextName>().is_err(), "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(contents in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(errors) = parse(&[PolicySource::new("p", contents)]) {
            prop_assert!(!errors.as_slice().is_empty());
            _ = errors.to_string();
        }
    }

    /// What looks like a policy gets deeper than arbitrary bytes do.
    #[test]
    fn no_pieces_of_a_policy_make_it_panic(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)) {
        if let Err(errors) = parse(&[PolicySource::new("p", pieces.concat())]) {
            for error in errors.as_slice() {
                prop_assert!(error.place.line() >= 1 && error.place.column() >= 1);
                prop_assert!(!error.to_string().chars().any(char::is_control));
            }
        }
    }

    /// A valid policy comes out as it went in, in whatever order its contexts stand.
    #[test]
    fn what_goes_in_comes_out(
        contexts in proptest::collection::btree_map(2u32..=49151, (any::<bool>(), 0usize..3, 1u32..=10_000, 1u32..=2184), 1..20),
        turn in 0usize..20,
    ) {
        let mut tables: Vec<_> = contexts.iter().map(|(xid, (is_observe, proc, rate, burst))| {
            let mode = if *is_observe { "observe" } else { "enforce" };
            let proc = ["pidns", "hidepid", "plain"][*proc];
            format!("[context.c{xid}]\nproc = \"{proc}\"\nxid = {xid}\nrecord_burst = {burst}\nmode = \"{mode}\"\nrecords_per_second = {rate}\n")
        }).collect();
        let count = tables.len();
        tables.rotate_left(turn % count);
        let policy = policy(&tables.concat());
        prop_assert_eq!(policy.contexts().len(), count);
        for (xid, (is_observe, proc, rate, burst)) in contexts {
            let context = policy.context(Xid(xid)).unwrap();
            prop_assert_eq!(context.name().as_str(), format!("c{xid}"));
            prop_assert_eq!(context.mode().value() == Mode::Observe, is_observe);
            prop_assert_eq!(context.proc_mode().value() as usize, proc);
            prop_assert_eq!(context.records_per_second().value(), rate);
            prop_assert_eq!(context.record_burst().value(), burst);
        }
    }
}

/// What policies are made of, right and wrong.
const PIECES: &[&str] = &[
    "[host]\n",
    "[spectator]\n",
    "[context.web]\n",
    "[context.db]\n",
    "[[context.web]]\n",
    "[context]\n",
    "[context",
    "xid = 100\n",
    "xid = 1\n",
    "xid = \n",
    "xid=\"",
    "mode = \"observe\"\n",
    "mode = 'x'\n",
    "proc = plain\n",
    "proc_lock = true\n",
    "web.xid = 5\n",
    "web = { xid = 6",
    ", ",
    "}",
    "]",
    "\n",
    "\r",
    "\"",
    "'''",
    "\u{feff}",
    "\u{0}",
    "ä€",
    "description = \"\\u0007\"\n",
    "records_per_second = 99999999999999999999999\n",
    "record_burst = -0\n",
    "# c\n",
    "a.b.c.d = [[{x=1}]]\n",
    "= 3\n",
    "\\",
    "1979-05-27T07:32:00Z\n",
    "nan\n",
    "addresses = [\"192.0.2.10\", \"2001:db8::/64\"]\n",
    "addresses = [",
    "primary = \"192.0.2.10\"\n",
    "loopback = \"none\"\n",
    "multicast = true\n",
];
