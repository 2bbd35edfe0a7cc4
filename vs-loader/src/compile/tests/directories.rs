//! Directories: which rows say that files are judged, whose each is, and what stays of contexts that no policy names.

use vs_common::context::Tag;
use vs_common::filesystem::{BARRIER_ONLY, FileKey, IS_BARRIER, IS_ROOT};
use vs_common::hook::Hook;
use vs_common::policy_entry::context_flag;

use super::*;
use crate::compile::files::{
    Files, barriers_of, file_claims, file_row, joint_owner, kept_files, paths_of, root_of,
};

const GIVEN: &str = concat!(
    "[host]\ndirectories = [\"/etc/ssl\"]\n",
    "[context.web]\nxid = 100\ndirectories = [\"/srv/web\", \"/var/log/web\"]\n",
    "[context.db]\nxid = 101\ndirectories = [\"/srv/db\"]\nshared_write = true\n",
    "[context.free]\nxid = 102\n",
);

#[test]
fn one_directory_has_every_context_judged_and_its_own_confined() {
    let flags = |text| -> Vec<u32> { entries(text).rows().values().map(|rules| rules.flags).collect() };
    let (confined, judged) = (context_flag::FILES | context_flag::FILES_JUDGED, context_flag::FILES_JUDGED);
    assert_eq!(flags(GIVEN), [confined, judged, judged]);
    assert_eq!(flags("[host]\ndirectories = [\"/etc/ssl\"]\n[context.free]\nxid = 102\n"), [judged]);
    assert_eq!(flags("[context.none]\nxid = 102\ndirectories = []\n"), [confined]);
    assert_eq!(flags("[context.free]\nxid = 102\n"), [0]);
}

#[test]
fn a_root_is_a_directory_and_a_change_of_it_is_not_for_running_processes() {
    const ROOTED: &str = "[context.web]\nxid = 100\nroot = \"/srv/root\"\n";
    let (rooted, free) = (entries(ROOTED), entries("[context.web]\nxid = 100\n"));
    let all = context_flag::FILES | context_flag::FILES_JUDGED | context_flag::ROOT;
    assert_eq!(rooted.rows()[&Xid(100)].flags, all);
    let policy = policy(ROOTED);
    let claims = file_claims(&policy, rooted.rows());
    assert_eq!((claims.len(), claims[0].owner.lifecycle), (1, IS_ROOT));
    let files: Files =
        [(FileKey { inode: 7, ..FileKey::default() }, file_row("/srv/root", claims[0].owner))].into();
    assert_eq!(
        root_of(&files, Xid(100)).map(|(key, path)| (key.inode, path)),
        Some((7, "/srv/root".to_owned()))
    );
    assert_eq!(root_of(&files, Xid(101)), None);
    let live = BTreeMap::from([(Xid(100), 1)]);
    for (old, new, is_set) in [(&free, &rooted, true), (&rooted, &free, false)] {
        let kinds: Vec<_> = reload_conflicts(old.rows(), new.rows(), &live)
            .into_iter()
            .map(|conflict| conflict.kind)
            .collect();
        assert_eq!(kinds, [ConflictKind::FilesChanged { is_set }, ConflictKind::RootChanged]);
    }
}

const BARRED: &str = concat!(
    "[host]\nbarriers = [\"/srv/old\"]\ndirectories = [\"/srv/jails\"]\n",
    "[context.web]\nxid = 100\nproc = \"plain\"\nroot = \"/srv/jails/web\"\nbarrier = true\n",
    "[context.db]\nxid = 101\nroot = \"/srv/jails/db\"\nbarrier = true\n",
    "[context.free]\nxid = 102\n",
);

#[test]
fn a_barrier_is_for_every_guest_and_the_programs_for_it_come_with_the_first() {
    let barred = entries(BARRED);
    assert!(barred.rows().values().all(|rules| rules.flags & context_flag::BARRIERS != 0));
    assert!(barred.needed_hooks().contains(&Hook::InodePermission));
    let rooted = entries("[context.web]\nxid = 100\nroot = \"/srv/web\"\n").needed_hooks();
    assert!(!rooted.contains(&Hook::InodePermission) && rooted.contains(&Hook::FileReceive));
}

#[test]
fn a_barrier_is_nobodys_claim_to_the_directory() {
    let policy = policy(BARRED);
    let claims = file_claims(&policy, entries(BARRED).rows());
    let barriers: Vec<_> = claims
        .iter()
        .filter(|claim| claim.owner == BARRIER_ONLY)
        .map(|claim| claim.directory.path())
        .collect();
    assert_eq!(barriers, ["/srv/old", "/srv/jails", "/srv/jails"]);
    let owner = Tag { xid: Xid(5), lifecycle: IS_ROOT, generation: Generation(7) };
    let barred = Tag { lifecycle: IS_ROOT | IS_BARRIER, ..owner };
    assert_eq!(joint_owner(owner, BARRIER_ONLY), Some(barred));
    assert_eq!(joint_owner(BARRIER_ONLY, owner), Some(barred));
    assert_eq!(joint_owner(BARRIER_ONLY, BARRIER_ONLY), Some(BARRIER_ONLY));
    assert_eq!(joint_owner(owner, Tag::default()), None);
}

#[test]
fn who_is_kept_with_a_root_keeps_the_barriers_and_not_the_directories_of_others() {
    let mut rows = entries(BARRED).rows().clone();
    let of_host = Tag { lifecycle: IS_BARRIER, ..Tag::default() };
    let files: Files =
        [(1, "/srv/jails", of_host), (2, "/srv/old", BARRIER_ONLY), (3, "/etc/ssl", Tag::default())]
            .map(|(inode, path, owner)| (FileKey { inode, ..FileKey::default() }, file_row(path, owner)))
            .into();
    assert_eq!(kept_files(&files, &rows), Files::new());
    rows.get_mut(&Xid(100)).unwrap().flags |= context_flag::ORPHAN;
    let kept = kept_files(&files, &rows);
    assert_eq!(barriers_of(&kept), ["/srv/jails", "/srv/old"]);
    assert!(kept.values().all(|row| row.owner == BARRIER_ONLY));
}

#[test]
fn what_judges_files_is_attached_only_where_some_are_given() {
    let hooks = entries(GIVEN).needed_hooks();
    for hook in
        [Hook::FileOpen, Hook::InodeCreate, Hook::InodeSetattr, Hook::InodeFileSetattr, Hook::FileRequest]
    {
        assert!(hooks.contains(&hook), "{hook:?}");
        assert!(!entries("[context.free]\nxid = 102\n").needed_hooks().contains(&hook), "{hook:?}");
    }
}

#[test]
fn each_directory_is_its_contexts_of_this_generation() {
    let policy = policy(GIVEN);
    let entries = entries(GIVEN);
    let claims = file_claims(&policy, entries.rows());
    let found: Vec<_> = claims
        .iter()
        .map(|claim| (claim.directory.path(), claim.owner.xid.0, claim.owner.generation))
        .collect();
    let generation = |xid| entries.rows()[&Xid(xid)].generation;
    assert_eq!(
        found,
        [
            ("/etc/ssl", 0, Generation(0)),
            ("/srv/web", 100, generation(100)),
            ("/var/log/web", 100, generation(100)),
            ("/srv/db", 101, generation(101)),
        ]
    );
}

#[test]
fn who_is_kept_with_old_rules_keeps_its_directories_and_nobody_else_does() {
    let entries = entries(GIVEN);
    let mut rows = entries.rows().clone();
    let of = |xid: u32| Tag { xid: Xid(xid), lifecycle: 0, generation: entries.rows()[&Xid(xid)].generation };
    let stale = Tag { generation: Generation(99), ..of(101) };
    let files: Files = [(1, "/a", of(100)), (2, "/b", of(101)), (3, "/c", stale), (4, "/d", Tag::default())]
        .map(|(inode, path, owner)| (FileKey { inode, ..FileKey::default() }, file_row(path, owner)))
        .into();
    assert_eq!(kept_files(&files, &rows), Files::new());
    rows.get_mut(&Xid(101)).unwrap().flags |= context_flag::ORPHAN;
    let kept = kept_files(&files, &rows);
    assert_eq!((kept.len(), paths_of(&kept, Xid(101))), (1, vec!["/b".to_owned()]));
    // And what policy says of it meanwhile waits.
    let policy = policy(GIVEN);
    assert!(file_claims(&policy, &rows).iter().all(|claim| claim.owner.xid != Xid(101)));
}
