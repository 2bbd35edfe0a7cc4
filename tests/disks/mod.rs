//! Whose a file is on the file systems that disks have: what the suite tries in memory holds on ext4, xfs and btrfs, and what only these have
//! is held to it, too. Run in a machine with a Debian in it, whose programs make the file systems.

mod disk;
mod numbers;
mod overlays;
mod subvolumes;

use std::fs;
use std::path::Path;

use anyhow::Result;
use vs_common::hook::Hook;
use vs_tests::actor::Actor;
use vs_tests::audit::{Audit, Expected};
use vs_tests::disk_deed::handle_of;
use vs_tests::hooks;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{AUDIT, POLICY, actor_command, vs, vs_ok};

use self::disk::{Disk, KINDS, root_of};
use crate::files::{ACTS, Kind, LACKING, Party, furnish, hook_of, is_allowed, party, record};

/// Two contexts with directories on each disk. The host has one for itself there, too.
const DISKS: &str = "/tmp/disks.toml";
const A: Party = party("disk-a", 241, true);
const B: Party = party("disk-b", 242, true);

/// The directories on a disk, and whose each is; the last is the host's alone.
const PLACES: [(&str, u32); 5] = [("shared", 0), ("a", 241), ("a/inner", 242), ("b", 242), ("h", 0)];

/// What an act comes to where it is let through: what the file system has not, and an argument that is not there.
fn is_through(errno: i32) -> bool {
    errno == 0 || errno == libc::EFAULT || LACKING.contains(&errno)
}

/// The disks, who tries, and what is written down of it.
struct Trial<'c> {
    disks: Vec<Disk>,
    a: Actor,
    b: Actor,
    host: Actor,
    audit: Audit,
    records: Vec<Expected>,
    checks: &'c mut Checks,
}

/// Everything, on every kind of disk.
pub(crate) fn run(checks: &mut Checks) -> Result<()> {
    let disks = KINDS.iter().map(Disk::make).collect::<Result<Vec<_>>>()?;
    for disk in &disks {
        for (place, _) in PLACES {
            fs::create_dir_all(Path::new(&disk.root()).join(place))?;
        }
    }
    fs::write(DISKS, policy())?;
    vs_ok(&["load", POLICY, DISKS])?;
    let audit = Audit::start(Path::new(AUDIT))?;
    let [a, b, host] = [A, B, party("host", 0, false)].map(|party| actor(&party));
    let (a, b, host) = (a?, b?, host?);
    let mut trial = Trial { disks, a, b, host, audit, records: Vec::new(), checks };
    for (index, kind) in KINDS.iter().enumerate() {
        let (root, name) = (root_of(kind), kind.name);
        trial.matrix(&root).map_err(|error| error.context(name))?;
        trial.singles(&root).map_err(|error| error.context(name))?;
        trial.moved(&root).map_err(|error| error.context(name))?;
        numbers::run(&mut trial, index).map_err(|error| error.context(name))?;
    }
    subvolumes::run(&mut trial)?;
    overlays::run(&mut trial)?;
    numbers::other_disk(&mut trial, 0)?;
    let Trial { mut audit, records, checks, disks, a, b, host } = trial;
    drop((a, b, host));
    for missing in audit.missing(&records)? {
        checks.check(false, || format!("no audit record: {missing:?}"));
    }
    checks.held += u32::try_from(records.len()).unwrap_or(0);
    vs_ok(&["load", POLICY])?;
    disks.iter().try_for_each(Disk::unmount)
}

fn actor(party: &Party) -> Result<Actor> {
    let name = format!("d-{}", party.name.trim_start_matches("disk-"));
    Actor::start(actor_command(party.name, &name), &name)
}

/// The policy beside the suite's.
fn policy() -> String {
    let list = |places: &[&str]| {
        let of = |kind| places.iter().map(move |place| format!("\"{}/{place}\"", root_of(kind)));
        KINDS.iter().flat_map(of).collect::<Vec<_>>().join(", ")
    };
    let rates = "records_per_second = 10000\nrecord_burst = 2184";
    format!(
        "[host]\ndirectories = [{}]\n\
         [context.disk-a]\nxid = 241\nproc = \"plain\"\ndirectories = [{}]\n{rates}\n\
         [context.disk-b]\nxid = 242\nproc = \"plain\"\ndirectories = [{}]\n{rates}\n",
        list(&["h"]),
        list(&["a"]),
        list(&["a/inner", "b"]),
    )
}

impl Trial<'_> {
    /// Has somebody do something, and wants this of it; a refusal of ours has a record, which tells whose the thing is.
    fn expect(
        &mut self,
        who: &Party,
        words: &str,
        expected: i32,
        refusal: Option<(Hook, u32)>,
    ) -> Result<()> {
        let actor = match who.xid {
            241 => &mut self.a,
            242 => &mut self.b,
            _ => &mut self.host,
        };
        let answer = actor.order(&format!("do {words}"))?;
        let is_right = answer.errno == expected || (expected == 0 && is_through(answer.errno));
        self.checks.check(is_right, || {
            format!("{}: {words}: {}, expected {}", who.name, errno_name(answer.errno), errno_name(expected))
        });
        if let Some((hook, target)) = refusal {
            self.records.push(record(who, answer.pid, target, hook));
        }
        Ok(())
    }

    fn may(&mut self, who: &Party, words: &str) -> Result<()> {
        self.expect(who, words, 0, None)
    }

    fn may_not(&mut self, who: &Party, words: &str, hook: Hook, target: u32) -> Result<()> {
        self.expect(who, words, libc::EACCES, Some((hook, target)))
    }

    /// Every act of the suite's in every directory.
    fn matrix(&mut self, root: &str) -> Result<()> {
        let here = hooks::all_here()?;
        for who in [A, B] {
            // What one may not, the other may not.
            let places =
                PLACES.into_iter().filter(|(place, _)| who.xid == A.xid || ["a", "b"].contains(place));
            for (place, owner) in places {
                let directory = format!("{root}/{place}");
                for act in &ACTS {
                    let Some(hook) = hook_of(act, &here) else { continue };
                    furnish(&directory)?;
                    let may = |kind| place != "h" && is_allowed(&who, (place, owner), kind);
                    let words = act.0.replace('@', &directory);
                    if may(act.1) {
                        self.may(&who, &words)?;
                        continue;
                    }
                    let is_by_open = matches!(hook, Hook::FileRequest | Hook::FileRequestCompat)
                        || words.starts_with("open-empty");
                    let hook = if is_by_open && !may(Kind::Look) { Hook::FileOpen } else { hook };
                    self.may_not(&who, &words, hook, owner)?;
                }
            }
        }
        Ok(())
    }

    /// What disks can, and memory cannot.
    fn singles(&mut self, root: &str) -> Result<()> {
        let at = |words: &str| words.replace('@', root);
        let denied = [
            ("clone @/b/file @/a/new", Hook::FileOpen, 242),
            ("clone @/a/file @/b/file", Hook::FileOpen, 242),
            ("clone @/a/file @/shared/file", Hook::FileOpen, 0),
            ("allocate @/b/file", Hook::FileOpen, 242),
            ("allocate @/shared/file", Hook::FileOpen, 0),
            ("publish @/a @/b/new", Hook::InodeLink, 242),
            ("publish @/a @/shared/new", Hook::InodeLink, 0),
            ("publish @/b @/a/new", Hook::FileOpen, 242),
            ("whiteout @/b/new", Hook::InodeMknod, 242),
            ("rename-whiteout @/b/file @/a/new", Hook::InodeRename, 242),
            ("rename-whiteout @/a/file @/shared/new", Hook::InodeRename, 0),
            ("exchange @/a/file @/b/file", Hook::InodeRename, 242),
            ("rename @/a @/z", Hook::InodeRename, 0),
            ("rmdir @/a/inner", Hook::InodeRmdir, 242),
        ];
        for (words, hook, target) in denied {
            furnish_all(root)?;
            self.may_not(&A, &at(words), hook, target)?;
        }
        for words in [
            "clone @/a/file @/a/new",
            "clone @/shared/file @/a/new",
            "allocate @/a/file",
            "publish @/a @/a/new",
            "whiteout @/a/new",
            "rename-whiteout @/a/file @/a/new",
            "exchange @/a/file @/a/directory",
        ] {
            furnish_all(root)?;
            self.may(&A, &at(words))?;
        }
        furnish_all(root)?;
        let (kind, bytes) = handle_of(&at("@/b/file")).ok_or_else(|| anyhow::anyhow!("no handle"))?;
        let words = format!("open-handle {root} {kind} {bytes}");
        self.expect(&party("host", 0, false), &words, 0, None)?;
        // No hook is asked: the capability is gone.
        for who in [A, B] {
            self.expect(&who, &words, libc::EPERM, None)?;
        }
        Ok(())
    }

    /// Through whatever path it is reached, whatever is in the cache, and whoever mounts its disk again, a directory is whose it was.
    fn moved(&mut self, root: &str) -> Result<()> {
        let at = |words: &str| words.replace('@', root);
        furnish_all(root)?;
        fs::write("/proc/sys/vm/drop_caches", "3")?;
        self.may(&A, &at("open write @/a/file"))?;
        self.may_not(&B, &at("open read @/a/file"), Hook::FileOpen, 241)?;

        fs::create_dir_all("/srv/disks/bound")?;
        rustix::mount::mount_bind(at("@/a"), "/srv/disks/bound")?;
        self.may(&A, "open write /srv/disks/bound/file")?;
        self.may_not(&B, "open read /srv/disks/bound/file", Hook::FileOpen, 241)?;
        rustix::mount::unmount("/srv/disks/bound", rustix::mount::UnmountFlags::empty())?;

        fs::rename(at("@/a"), at("@/z"))?;
        fs::write("/proc/sys/vm/drop_caches", "3")?;
        self.may(&A, &at("open write @/z/file"))?;
        self.may_not(&B, &at("open read @/z/file"), Hook::FileOpen, 241)?;
        self.may_not(&A, &at("open read @/z/inner/file"), Hook::FileOpen, 242)?;
        self.alarmed(&at("@/a"), true)?;
        fs::rename(at("@/z"), at("@/a"))?;
        self.alarmed(&at("@/a"), false)
    }

    /// Whether `vs status` says that a directory is gone.
    fn alarmed(&mut self, path: &str, expected: bool) -> Result<()> {
        let is_told = is_alarmed(path)?;
        self.checks.equal(&format!("an alarm for {path}"), &is_told, &expected);
        Ok(())
    }
}

/// Puts everything on a disk back that an act could have changed.
fn furnish_all(root: &str) -> Result<()> {
    PLACES.iter().try_for_each(|(place, _)| furnish(&format!("{root}/{place}")))
}

/// Whether `vs status` raises an alarm for a directory.
fn is_alarmed(path: &str) -> Result<bool> {
    let output = vs(&["status"])?;
    let alarm = format!("ALARM: the directory {path} ");
    Ok([output.stdout, output.stderr].iter().any(|text| String::from_utf8_lossy(text).contains(&alarm)))
}
