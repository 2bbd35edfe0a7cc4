//! Processes with names of their own: two in every context, two of the host's and of the spectator's.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use vs_tests::actor::find_process;
use vs_tests::world::INHABITANTS;

use super::way;

/// A file that every sleeper has open, and one that only the host's have.
pub(super) const SHARED: &str = "/tmp/shared";
pub(super) const HOSTS: &str = "/tmp/hosts";

/// The number of Debian's user nobody, and of the group nogroup.
pub(super) const NOBODY: u32 = 65534;

/// One of them.
pub(super) struct Sleeper {
    /// Whose it is.
    pub(super) owner: &'static str,
    /// The name of its program, which is the process's, too.
    pub(super) name: String,
    /// In the host's numbers.
    pub(super) pid: i32,
    /// The process itself if it is the host's, else the `vs` that waits for it.
    child: Child,
}

impl Sleeper {
    pub(super) fn is_alive(&self) -> bool {
        // One that was killed and not yet waited for has no command line.
        fs::read(format!("/proc/{}/cmdline", self.pid)).is_ok_and(|line| !line.is_empty())
    }

    /// Waits for its end, and gives the status as `vs` tells it.
    pub(super) fn status(&mut self) -> Result<Option<i32>> {
        Ok(self.child.wait()?.code())
    }
}

/// The name of root's, and of nobody's.
pub(super) fn names_of(owner: &str) -> [String; 2] {
    [format!("z-{owner}"), format!("n-{owner}")]
}

/// All of them.
pub(crate) struct Sleepers(pub(super) Vec<Sleeper>);

impl Sleepers {
    /// Two in every context, one of root's and one of nobody's.
    pub(crate) fn lie_down() -> Result<Self> {
        File::create(SHARED)?;
        File::create(HOSTS)?;
        let mut sleepers = Vec::new();
        for (owner, ..) in INHABITANTS {
            let [roots, nobodys] = names_of(owner);
            for (name, uid) in [(roots, 0), (nobodys, NOBODY)] {
                sleepers.push(Self::one(owner, name, uid)?);
            }
        }
        Ok(Self(sleepers))
    }

    fn one(owner: &'static str, name: String, uid: u32) -> Result<Sleeper> {
        let program = format!("/usr/local/bin/{name}");
        fs::copy("/usr/bin/sleep", &program).with_context(|| format!("make {program}"))?;
        let id = uid.to_string();
        let mut words = way(owner, &["--uid", &id, "--gid", &id]);
        words.extend([program, "10000".to_owned()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(File::open(SHARED)?).stdout(Stdio::null());
        if owner == "host" {
            command.stdout(File::options().write(true).open(HOSTS)?).uid(uid).gid(uid);
        }
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        let pid = find_process(&name).with_context(|| format!("{name} does not sleep"))?;
        Ok(Sleeper { owner, name, pid, child })
    }

    /// Those of an inhabitant.
    pub(super) fn of(&mut self, owner: &str) -> impl Iterator<Item = &mut Sleeper> {
        self.0.iter_mut().filter(move |sleeper| sleeper.owner == owner)
    }

    /// The names of all.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|sleeper| sleeper.name.as_str())
    }

    /// The names of those that have ended, of whatever cause.
    pub(super) fn ended(&self) -> Vec<&str> {
        self.0.iter().filter(|sleeper| !sleeper.is_alive()).map(|sleeper| sleeper.name.as_str()).collect()
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for sleeper in &mut self.0 {
            // Ended already or not, nobody waits for it any more.
            let _ = sleeper.child.kill();
            let _ = sleeper.child.wait();
        }
    }
}
