use std::fs;
use std::os::unix::fs::symlink;

use vs_common::context::Tag;
use vs_common::id::Xid;

use super::*;
use crate::compile::files::paths_of;
use crate::policy::{Directory, PolicySource, parse};

fn directories(paths: &[String]) -> Vec<Directory> {
    let list: Vec<_> = paths.iter().map(|path| format!("{path:?}")).collect();
    let text = format!("[host]\ndirectories = [{}]\n[context.a]\nxid = 5\n", list.join(", "));
    let source = PolicySource { name: "test.toml".into(), contents: text.into_bytes() };
    parse(&[source]).unwrap().host_directories().to_vec()
}

fn claims(directories: &[Directory]) -> Vec<FileClaim<'_>> {
    directories.iter().map(|directory| FileClaim { directory, owner: Tag::default() }).collect()
}

/// What the kernel would tell of what is open, all on a file system of that magic.
fn numbers(opened: &Opened<'_>, magic: u64) -> Vec<FileNumbers> {
    let numbers = opened.0.iter().map(|(_, directory)| {
        let facts = rustix::fs::fstat(directory).unwrap();
        let descriptor = u32::try_from(directory.as_raw_fd()).unwrap();
        FileNumbers { descriptor, device: 1, inode: facts.st_ino, generation: 9, filesystem: 5, magic }
    });
    numbers.collect()
}

fn label(tag: &Tag) -> ContextLabel {
    ContextLabel { xid: tag.xid, name: "a".to_owned() }
}

#[test]
fn a_directory_is_known_by_its_numbers() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("a")).unwrap();
    let given = directories(&[path("a")]);
    let opened = open(claims(&given)).unwrap();
    let files = opened.rows(Files::new(), &numbers(&opened, 0xef53), label).unwrap();
    assert_eq!(paths_of(&files, Xid::HOST), [path("a")]);
    let key = files.keys().next().unwrap();
    assert_eq!((key.device, key.generation), (1, 9));
    // The kernel says nothing of it.
    assert!(matches!(opened.rows(Files::new(), &[], label), Err(HostFilesError::Untold(_))));
}

#[test]
fn what_is_no_directory_is_named_with_its_cure() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("a")).unwrap();
    fs::write(path("file"), "").unwrap();
    symlink(path("a"), path("link")).unwrap();
    let given = directories(&[path("a"), path("file"), path("link"), path("none")]);
    let text = open(claims(&given)).unwrap_err().to_string();
    let lines: Vec<_> = text.lines().map(|line| line.split_once("\" ").unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "is no directory; name the one that it is in",
            "has a symbolic link in it, which could lead elsewhere tomorrow; write where it leads",
            "is not there; make it, with the owner and permissions that its context needs",
        ]
    );
}

#[test]
fn the_same_directory_by_two_paths_and_unknown_file_systems_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("a")).unwrap();
    fs::create_dir(path("b")).unwrap();
    let given = directories(&[path("a"), path("b")]);
    let opened = open(claims(&given)).unwrap();
    let mut alike = numbers(&opened, 0xef53);
    alike[1].inode = alike[0].inode;
    let text = opened.rows(Files::new(), &alike, label).unwrap_err().to_string();
    assert!(text.contains("is the same directory as"), "{text}");
    for (magic, says) in [(0x794c_7630, "is on overlayfs,"), (0x7777, "a file system (magic 0x7777),")] {
        let text = opened.rows(Files::new(), &numbers(&opened, magic), label).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    }
}
