//! A program in a context's directory gives nobody on the host more than they have.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use vs_common::hook::Hook;
use vs_tests::audit::Expected;
use vs_tests::report::{Checks, errno_name};
use vs_tests::world::{FILES, World};

use crate::agreement::Subject;

/// An ordinary user of the host's.
const USER: u32 = 1000;

/// What a program has that gives more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gift {
    Nothing,
    User,
    Group,
    Capability,
}

/// `struct vfs_cap_data` of version 2, effective: `CAP_NET_RAW`.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub(super) fn run(world: &mut World, checks: &mut Checks) -> Result<()> {
    let mut records = Vec::new();
    for (place, owner) in [("a", Some(221)), ("a/inner", Some(222)), ("shared", None)] {
        for gift in [Gift::Nothing, Gift::User, Gift::Group, Gift::Capability] {
            let program = program(place, gift)?;
            for user in [USER, 0] {
                let refused = owner.is_some() && gift != Gift::Nothing && user != 0;
                let path = CString::new(program.as_str())?;
                let expected = if refused { libc::EACCES } else { 0 };
                let found = execute(&path, user)?;
                checks.check(found == expected, || {
                    format!("uid {user} executes {program}: {}", errno_name(found))
                });
                if let Some(target) = owner.filter(|_| refused) {
                    records.push(Expected {
                        actor: 0,
                        pid: None,
                        target: Some(target),
                        hook: Hook::BprmCredsFromFile.name(),
                        errno: "EACCES",
                        mode: "enforce",
                    });
                }
            }
            fs::remove_file(program)?;
        }
    }
    let missing = world.audit.missing(&records)?;
    checks.check(missing.is_empty(), || format!("no audit record: {missing:?}"));
    Ok(())
}

/// Puts a program somewhere.
fn program(place: &str, gift: Gift) -> Result<String> {
    let (name, mode) = match gift {
        Gift::Nothing => ("plain", 0o755),
        Gift::User => ("user", 0o4755),
        Gift::Group => ("group", 0o2755),
        Gift::Capability => ("capability", 0o755),
    };
    let path = format!("{FILES}/{place}/gives-{name}");
    let search = std::env::var_os("PATH").context("PATH")?;
    let actor =
        std::env::split_paths(&search).map(|folder| folder.join("vs-actor")).find(|file| file.exists());
    fs::copy(actor.context("vs-actor is not on PATH")?, &path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    if gift == Gift::Capability {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&path, "security.capability", &CAPABILITY, flags)
            .context("give a file a capability")?;
    }
    Ok(path)
}

/// Executes a program as a user: 0, or the errno.
fn execute(path: &CString, user: u32) -> Result<i32> {
    let arguments = [c"vs-actor".as_ptr(), c"storm".as_ptr(), c"1".as_ptr(), c"0".as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    let subject = Subject::new(|| {
        // SAFETY: Numbers; strings that live in the child's copy of this process's memory, in arrays that end with null.
        unsafe {
            libc::setgroups(0, std::ptr::null());
            libc::setresgid(user, user, user);
            libc::setresuid(user, user, user);
            libc::c_long::from(libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()))
        }
    })?;
    subject.finish()
}
