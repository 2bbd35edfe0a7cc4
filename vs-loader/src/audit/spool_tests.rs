//! The spool, and being killed at every step of it.

use super::*;
use std::process::Command;

fn spool(root: &tempfile::TempDir) -> Spool {
    Spool::of(&Directory::at(root.path()))
}

fn texts(taken: &Taken) -> Vec<&str> {
    taken.lines.iter().map(|line| std::str::from_utf8(line).unwrap()).collect()
}

#[test]
fn what_was_appended_is_taken_once() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    assert!(spool.is_empty() && spool.take().unwrap().is_none());
    spool.append("one").unwrap();
    spool.append("two").unwrap();
    assert!(!spool.is_empty());
    let taken = spool.take().unwrap().unwrap();
    assert_eq!(texts(&taken), ["one", "two"]);
    taken.finish().unwrap();
    assert!(spool.is_empty() && spool.take().unwrap().is_none());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_collector_killed_before_it_finished_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    spool.append("one").unwrap();
    drop(spool.take().unwrap());
    // Commands go on meanwhile; the next collector first gets what the last one had taken, then the rest.
    spool.append("two").unwrap();
    assert!(!spool.is_empty());
    let again = spool.take().unwrap().unwrap();
    assert_eq!(texts(&again), ["one"]);
    again.finish().unwrap();
    let rest = spool.take().unwrap().unwrap();
    assert_eq!(texts(&rest), ["two"]);
}

#[test]
fn a_collector_killed_between_its_two_renames_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool { limit: 4, ..spool(&root) };
    spool.append("one").unwrap();
    spool.append("two").unwrap_err();
    std::fs::rename(spool.beside("lost"), spool.beside("taken-lost")).unwrap();
    let taken = spool.take().unwrap().unwrap();
    assert_eq!((taken.lines.len(), taken.lost), (0, 1));
    taken.finish().unwrap();
    assert_eq!(texts(&spool.take().unwrap().unwrap()), ["one"]);
}

#[test]
fn what_does_not_fit_is_counted_and_the_rest_stays_whole() {
    let root = tempfile::tempdir().unwrap();
    let spool = Spool { limit: 10, ..spool(&root) };
    spool.append("12345678").unwrap();
    for _ in 0..3 {
        assert!(matches!(spool.append("9"), Err(SpoolError::Full { limit: 10, .. })));
    }
    let taken = spool.take().unwrap().unwrap();
    assert_eq!((texts(&taken), taken.lost), (vec!["12345678"], 3));
    taken.finish().unwrap();
    spool.append("9").unwrap();
    let taken = spool.take().unwrap().unwrap();
    assert_eq!((texts(&taken), taken.lost), (vec!["9"], 0));
}

#[test]
fn a_part_of_a_line_does_not_spoil_the_next() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    std::fs::write(&spool.path, "{\"torn").unwrap();
    spool.append("whole").unwrap();
    assert_eq!(texts(&spool.take().unwrap().unwrap()), ["{\"torn", "whole"]);
}

#[test]
fn a_line_that_no_reader_would_take_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    assert!(matches!(spool.append(&"x".repeat(MAX_LINE)), Err(SpoolError::TooLong { .. })));
    assert!(spool.is_empty());
}

#[test]
fn a_link_or_a_pipe_in_its_place_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    let elsewhere = root.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &spool.path).unwrap();
    assert!(spool.append("one").is_err());
    assert_eq!(std::fs::metadata(&elsewhere).unwrap().len(), 0);
    std::fs::remove_file(&spool.path).unwrap();
    assert!(Command::new("mkfifo").arg(&spool.path).status().unwrap().success());
    assert!(spool.append("one").is_err());
}

#[test]
fn reading_along_does_not_take() {
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    spool.append("before").unwrap();
    let mut position = spool.end();
    assert!(spool.read_from(&mut position).unwrap().is_empty());
    spool.append("one").unwrap();
    assert_eq!(spool.read_from(&mut position).unwrap(), [b"one"]);
    // Half a line is not read until it is whole.
    std::fs::OpenOptions::new().append(true).open(&spool.path).unwrap().write_all(b"tw").unwrap();
    assert!(spool.read_from(&mut position).unwrap().is_empty());
    std::fs::OpenOptions::new().append(true).open(&spool.path).unwrap().write_all(b"o\n").unwrap();
    assert_eq!(spool.read_from(&mut position).unwrap(), [b"two"]);
    assert_eq!(texts(&spool.take().unwrap().unwrap()), ["before", "one", "two"]);
}

#[test]
fn writers_and_a_taker_at_once_lose_and_repeat_nothing() {
    const WRITERS: usize = 4;
    const LINES: usize = 250;
    let root = tempfile::tempdir().unwrap();
    let spool = spool(&root);
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let spool = spool.clone();
                scope.spawn(move || {
                    (0..LINES).for_each(|line| spool.append(&format!("{writer}:{line}")).unwrap());
                })
            })
            .collect();
        while seen.len() < WRITERS * LINES {
            let is_done = writers.iter().all(std::thread::ScopedJoinHandle::is_finished);
            let Some(taken) = spool.take().unwrap() else {
                assert!(!is_done || seen.len() == WRITERS * LINES, "{} of them are lost", seen.len());
                continue;
            };
            seen.extend(taken.lines.iter().map(|line| String::from_utf8(line.clone()).unwrap()));
            taken.finish().unwrap();
        }
    });
    for writer in 0..WRITERS {
        let own: Vec<_> =
            seen.iter().filter(|line| line.starts_with(&format!("{writer}:"))).cloned().collect();
        let expected: Vec<_> = (0..LINES).map(|line| format!("{writer}:{line}")).collect();
        assert_eq!(own, expected);
    }
}
