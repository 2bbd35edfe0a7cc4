//! The file sink: rotation, damage, files that go away.

use super::*;
use crate::audit::json;
use crate::audit::samples;
use std::sync::Arc;

fn line() -> Arc<Line> {
    Line::new(samples::all().remove(0))
}

/// How many lines are in a file, all of which are the sample.
fn count(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    for line in text.lines() {
        assert_eq!(json::parse(line).unwrap(), self::line().record);
    }
    text.lines().count()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const NEVER: Rotation = Rotation { bytes: 0, keep: 0 };

#[test]
fn files_are_rotated_before_they_grow_too_large_and_the_oldest_goes() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("log/audit.jsonl");
    let two = 2 * (line().json.len() as u64 + 1);
    let mut sink = FileSink::open(&path, Rotation { bytes: two, keep: 2 }).unwrap();
    for _ in 0..7 {
        sink.write(&line()).unwrap();
    }
    // 7 records at two a file: the first two are gone with the file that would have been .3.
    assert_eq!(names(path.parent().unwrap()), ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
    assert_eq!(count(&path), 1);
    assert_eq!(count(&FileSink::rotated(&path, 1)), 2);
    assert_eq!(count(&FileSink::rotated(&path, 2)), 2);
    assert_eq!(sink.trouble(), None);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_record_larger_than_the_limit_has_a_file_to_itself() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("audit.jsonl");
    let mut sink = FileSink::open(&path, Rotation { bytes: 10, keep: 1 }).unwrap();
    sink.write(&line()).unwrap();
    sink.write(&line()).unwrap();
    assert_eq!((count(&path), count(&FileSink::rotated(&path, 1))), (1, 1));
}

#[test]
fn keeping_none_begins_anew() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("audit.jsonl");
    let mut sink = FileSink::open(&path, Rotation { bytes: 10, keep: 0 }).unwrap();
    sink.write(&line()).unwrap();
    sink.write(&line()).unwrap();
    assert_eq!(names(root.path()), ["audit.jsonl"]);
    assert_eq!(count(&path), 1);
}

#[test]
fn a_rotation_that_fails_is_told_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("audit.jsonl");
    // A directory that is not empty stands where the file is to be renamed to.
    std::fs::create_dir_all(FileSink::rotated(&path, 1).join("x")).unwrap();
    let mut sink = FileSink::open(&path, Rotation { bytes: 10, keep: 1 }).unwrap();
    for _ in 0..3 {
        sink.write(&line()).unwrap();
    }
    assert!(sink.trouble().unwrap().starts_with("cannot rotate"), "{:?}", sink.trouble());
    assert_eq!(count(&path), 3);
    std::fs::remove_dir_all(FileSink::rotated(&path, 1)).unwrap();
    sink.write(&line()).unwrap();
    assert_eq!(sink.trouble(), None);
    assert_eq!((count(&path), count(&FileSink::rotated(&path, 1))), (1, 3));
}

#[test]
fn a_restart_appends_and_does_not_glue_to_a_torn_line() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("audit.jsonl");
    FileSink::open(&path, NEVER).unwrap().write(&line()).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"torn").unwrap();
    FileSink::open(&path, NEVER).unwrap().write(&line()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, [line().json.as_str(), "{\"torn", line().json.as_str()]);
}

#[test]
fn a_file_moved_away_is_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("audit.jsonl");
    let moved = root.path().join("moved");
    let mut sink = FileSink::open(&path, NEVER).unwrap();
    sink.write(&line()).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    sink.write(&line()).unwrap();
    sink.sync().unwrap();
    sink.write(&line()).unwrap();
    assert_eq!((count(&moved), count(&path)), (2, 1));
}

/// A limit on the size of files stands for a full disk: the same short write, then the same refusal. It binds a whole process, so
/// the test runs itself once more, with the signal that goes with the limit ignored.
#[test]
fn a_full_disk_leaves_whole_lines() {
    const CHILD: &str = "VS_TEST_FULL_DISK";
    if std::env::var_os(CHILD).is_some() {
        return fill_disk();
    }
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "audit::file::tests::a_full_disk_leaves_whole_lines"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn fill_disk() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("audit.jsonl");
    let mut sink = FileSink::open(&path, NEVER).unwrap();
    sink.write(&line()).unwrap();
    let whole = std::fs::metadata(&path).unwrap().len();
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(whole + 10), ..before }).unwrap();
    let failed = sink.write(&line());
    setrlimit(Resource::Fsize, before).unwrap();
    assert!(failed.is_err());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
    sink.write(&line()).unwrap();
    assert_eq!(count(&path), 2);
}

#[test]
fn what_is_no_file_is_refused() {
    let error = FileSink::open("/dev/null", NEVER).err().unwrap().to_string();
    assert!(error.contains("not a regular file"), "{error}");
    let root = tempfile::tempdir().unwrap();
    assert!(FileSink::open(root.path(), NEVER).is_err());
}
