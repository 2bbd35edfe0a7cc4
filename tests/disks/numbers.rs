//! Numbers that come again: of inodes that are made where others were, and of devices.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Result;
use vs_common::hook::Hook;

use super::disk::{KINDS, root_of};
use super::{A, B, DISKS, POLICY, Trial, furnish, furnish_all, is_alarmed, vs_ok};

/// How many files are made until a number has to have come again, where it does at all.
const ATTEMPTS: usize = 300;

pub(super) fn run(trial: &mut Trial<'_>, index: usize) -> Result<()> {
    let root = root_of(&KINDS[index]);
    // btrfs gives no number twice.
    if KINDS[index].name != "btrfs" {
        file_again(trial, &root)?;
        directory_again(trial, &root)?;
    }
    disk_again(trial, index)
}

/// Makes things of these names until one has the number.
fn until_again(number: u64, make: impl Fn(usize) -> Result<String>) -> Result<Option<String>> {
    for attempt in 0..ATTEMPTS {
        let path = make(attempt)?;
        if fs::symlink_metadata(&path)?.ino() == number {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Takes away what was made on the way.
fn clear(directory: &str) -> Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("again-") {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    Ok(())
}

/// A file that has the number of another's that is gone is whose its place is.
fn file_again(trial: &mut Trial<'_>, root: &str) -> Result<()> {
    furnish(&format!("{root}/a"))?;
    let old = format!("{root}/a/new");
    trial.may(&A, &format!("create {old}"))?;
    let number = fs::metadata(&old)?.ino();
    trial.may(&A, &format!("unlink {old}"))?;
    // File systems keep what is in one directory together.
    let path = until_again(number, |attempt| {
        let path = format!("{root}/a/again-{attempt}");
        fs::write(&path, "")?;
        Ok(path)
    })?;
    trial.checks.check(path.is_some(), || format!("{root}: no file has the number {number} again"));
    if let Some(path) = path {
        let moved = format!("{root}/b/again-0");
        fs::rename(&path, &moved)?;
        trial.may(&B, &format!("open write {moved}"))?;
        trial.may_not(&A, &format!("open read {moved}"), Hook::FileOpen, 242)?;
    }
    clear(&format!("{root}/a"))?;
    clear(&format!("{root}/b"))
}

/// The same with a directory that policy gave: what has its number then is whose its place is, in the very place of the old one, too, and
/// `vs status` says that the old one is gone.
fn directory_again(trial: &mut Trial<'_>, root: &str) -> Result<()> {
    let given = format!("{root}/a/inner");
    let number = fs::metadata(&given)?.ino();
    fs::remove_dir_all(&given)?;
    trial.alarmed(&given, true)?;
    let path = until_again(number, |attempt| {
        let path = format!("{root}/a/again-{attempt}");
        fs::create_dir(&path)?;
        Ok(path)
    })?;
    trial.checks.check(path.is_some(), || format!("{root}: no directory has the number {number} again"));
    if let Some(path) = path {
        for place in [path.as_str(), &given] {
            if place == given {
                fs::rename(&path, &given)?;
                trial.alarmed(&given, true)?;
            }
            trial.may(&A, &format!("create {place}/by-{}", A.name))?;
            fs::remove_file(format!("{place}/by-{}", A.name))?;
            trial.may_not(&B, &format!("list {place}"), Hook::FileOpen, 241)?;
        }
    }
    clear(&format!("{root}/a"))?;
    fs::create_dir_all(&given)?;
    vs_ok(&["load", POLICY, DISKS])?;
    trial.alarmed(&given, false)?;
    furnish(&given)?;
    trial.may(&B, &format!("open write {given}/file"))?;
    trial.may_not(&A, &format!("open read {given}/file"), Hook::FileOpen, 242)
}

/// A policy that gives a disk as a whole.
const WHOLE: &str = "/tmp/whole-disk.toml";

/// Another disk on the same device has nothing of what was given, also where its numbers are the same: a root's are on every ext4.
pub(super) fn other_disk(trial: &mut Trial<'_>, index: usize) -> Result<()> {
    let root = root_of(&KINDS[index]);
    let text = format!(
        "[context.disk-a]\nxid = 241\nproc = \"plain\"\ndirectories = [\"{root}\"]\n[context.disk-b]\nxid = 242\nproc = \"plain\"\ndirectories = []\n"
    );
    fs::write(WHOLE, text)?;
    vs_ok(&["load", POLICY, WHOLE])?;
    trial.may(&A, &format!("create {root}/new"))?;
    trial.may_not(&B, &format!("create {root}/newer"), Hook::InodeCreate, 241)?;
    trial.disks[index].replace()?;
    trial.may_not(&A, &format!("create {root}/new"), Hook::InodeCreate, 0)?;
    trial.may_not(&B, &format!("create {root}/newer"), Hook::InodeCreate, 0)?;
    vs_ok(&["load", POLICY, WHOLE])?;
    trial.may(&A, &format!("create {root}/new"))
}

/// A disk that is taken away and comes back: its directories are whose they were, or nobody's, and then `vs status` says so.
fn disk_again(trial: &mut Trial<'_>, index: usize) -> Result<()> {
    let root = root_of(&KINDS[index]);
    let given = format!("{root}/a");
    furnish_all(&root)?;
    rustix::mount::mount_remount(&root, rustix::mount::MountFlags::RDONLY, "")?;
    trial.expect(&A, &format!("create {given}/new"), libc::EROFS, None)?;
    rustix::mount::mount_remount(&root, rustix::mount::MountFlags::empty(), "")?;
    trial.may(&A, &format!("create {given}/new"))?;

    trial.disks[index].unmount()?;
    trial.alarmed(&given, true)?;
    trial.expect(&A, &format!("create {given}/other"), libc::ENOENT, None)?;
    // The next one without a device, such as btrfs has none, gets the number that is free.
    fs::create_dir_all("/srv/disks/bound")?;
    rustix::mount::mount("tmpfs", "/srv/disks/bound", "tmpfs", rustix::mount::MountFlags::empty(), None)?;
    fs::create_dir("/srv/disks/bound/a")?;
    trial.may_not(&A, "create /srv/disks/bound/a/new", Hook::InodeCreate, 0)?;
    trial.disks[index].mount()?;
    let expected = if is_alarmed(&given)? { libc::EACCES } else { 0 };
    trial.expect(&A, &format!("create {given}/other"), expected, None)?;
    trial.expect(&B, &format!("open write {given}/file"), libc::EACCES, None)?;
    rustix::mount::unmount("/srv/disks/bound", rustix::mount::UnmountFlags::empty())?;
    vs_ok(&["load", POLICY, DISKS])?;
    trial.alarmed(&given, false)?;
    furnish_all(&root)?;
    trial.may(&A, &format!("create {given}/new"))?;
    trial.may_not(&B, &format!("open read {given}/file"), Hook::FileOpen, 241)
}
