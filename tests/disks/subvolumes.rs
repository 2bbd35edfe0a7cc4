//! Subvolumes and snapshots of btrfs: they are whose their place is, and nobody has others' by numbers that come twice.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::report::errno_name;
use vs_tests::world::{actor_command, vs};

use super::{A, B, DISKS, POLICY, Trial, furnish_all, vs_ok};

const ROOT: &str = "/srv/disks/btrfs";
/// A policy with a directory in a subvolume.
const TWINS: &str = "/tmp/twins.toml";

fn btrfs(words: &[&str]) -> Result<()> {
    let output = Command::new("btrfs").args(words).current_dir(ROOT).output()?;
    ensure!(output.status.success(), "btrfs {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(super) fn run(trial: &mut Trial<'_>) -> Result<()> {
    by_requests(trial)?;
    twins(trial)
}

/// What contexts make, and delete.
fn by_requests(trial: &mut Trial<'_>) -> Result<()> {
    let at = |words: &str| words.replace('@', ROOT);
    furnish_all(ROOT)?;
    for words in [
        "subvolume @/a own",
        "create @/a/own/new",
        "snapshot @/a/own @/a copy",
        "open write @/a/copy/new",
        "set-received @/a/own",
        "delete-subvolume @/a copy",
        // All that the disk has, once more; the host's own is nobody's to write to, and can be read.
        "snapshot @ @/a all",
        "open write @/a/all/shared/file",
    ] {
        trial.may(&A, &at(words))?;
    }
    trial.checks.check(!Path::new(&at("@/a/copy")).exists(), || "the snapshot is not deleted".to_owned());
    trial.checks.check(Path::new(&at("@/a/all/b/file")).exists(), || "there is no snapshot".to_owned());
    for (words, hook, target) in [
        ("subvolume @/b own", Hook::FileOpen, 242),
        ("subvolume @/shared own", Hook::FileRequest, 0),
        ("snapshot @/a/own @/b copy", Hook::FileOpen, 242),
        ("snapshot @/a/own @/shared copy", Hook::FileRequest, 0),
        ("set-received @", Hook::FileRequest, 0),
        ("open read @/a/all/b/file", Hook::FileOpen, 242),
        ("open read @/a/all/h/file", Hook::FileOpen, 0),
        ("open read @/a/all/a/inner/file", Hook::FileOpen, 242),
    ] {
        trial.may_not(&A, &at(words), hook, target)?;
    }
    for (words, hook) in [
        ("open read @/a/own/new", Hook::FileOpen),
        ("open read @/a/all/shared/file", Hook::FileOpen),
        ("snapshot @/a/own @/b copy", Hook::FileOpen),
        ("delete-subvolume @/a own", Hook::FileOpen),
    ] {
        trial.may_not(&B, &at(words), hook, 241)?;
    }
    trial.may(&A, &at("delete-subvolume @/a own"))?;
    btrfs(&["subvolume", "delete", "a/all"])
}

/// Directories of two subvolumes that were made in one transaction have the same numbers: that is noticed before one of them is given to
/// anybody, and in a directory that is made then it does not come again.
fn twins(trial: &mut Trial<'_>) -> Result<()> {
    fs::write(
        TWINS,
        format!("[context.disk-c]\nxid = 243\nproc = \"plain\"\ndirectories = [\"{ROOT}/one/files\"]\n"),
    )?;
    let twins = ["one", "two", "three"];
    twins.iter().try_for_each(|name| btrfs(&["subvolume", "create", name]))?;
    for name in twins {
        fs::create_dir(format!("{ROOT}/{name}/files"))?;
        fs::write(format!("{ROOT}/{name}/files/file"), "contents")?;
    }
    let policies = ["load", POLICY, DISKS, TWINS];
    let output = vs(&policies)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_told = output.status.code() == Some(18) && said.contains("another subvolume");
    trial.checks.check(is_told, || format!("twins: {:?}, {said}", output.status));
    // As the message says.
    fs::create_dir(format!("{ROOT}/one/anew"))?;
    fs::rename(format!("{ROOT}/one/files/file"), format!("{ROOT}/one/anew/file"))?;
    fs::remove_dir(format!("{ROOT}/one/files"))?;
    fs::rename(format!("{ROOT}/one/anew"), format!("{ROOT}/one/files"))?;
    vs_ok(&policies)?;
    let mut c = Actor::start(actor_command("disk-c", "d-c"), "d-c")?;
    // Made since, and as many as could get the number of the one that was given.
    for number in 0..20 {
        fs::create_dir(format!("{ROOT}/two/later-{number}"))?;
    }
    btrfs(&["subvolume", "snapshot", "one", "snapshot"])?;
    vs_ok(&policies)?;
    let mut order = |words: &str, expected: i32| -> Result<()> {
        let answer = c.order(&format!("do {}", words.replace('@', ROOT)))?;
        trial.checks.equal(words, &errno_name(answer.errno), &errno_name(expected));
        Ok(())
    };
    order("open write @/one/files/file", 0)?;
    // A snapshot of a directory is whose the directory is.
    order("open write @/snapshot/files/file", 0)?;
    for other in ["two", "three"] {
        order(&format!("open write @/{other}/files/file"), libc::EACCES)?;
    }
    for number in 0..20 {
        order(&format!("create @/two/later-{number}/new"), libc::EACCES)?;
    }
    drop(c);
    vs_ok(&["load", POLICY, DISKS])?;
    ["snapshot", "one", "two", "three"].iter().try_for_each(|name| btrfs(&["subvolume", "delete", name]))
}
