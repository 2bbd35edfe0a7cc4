//! Disks: files in memory with file systems of Debian's making on them.

use std::fs::{self, File};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags};

/// Where the files are.
const IMAGES: &str = "/tmp/disks";

/// A kind of file system: its name, how large the smallest comes, the words that make one, and options to mount it by.
pub(super) struct Kind {
    pub(super) name: &'static str,
    mebibytes: u64,
    make: &'static [&'static str],
    options: &'static std::ffi::CStr,
}

pub(super) const KINDS: [Kind; 3] = [
    Kind { name: "ext4", mebibytes: 48, make: &["mkfs.ext4", "-q", "-E", "nodiscard"], options: c"" },
    Kind { name: "xfs", mebibytes: 320, make: &["mkfs.xfs", "-q", "-K"], options: c"" },
    // By it, who owns a subvolume may delete it.
    Kind {
        name: "btrfs",
        mebibytes: 112,
        make: &["mkfs.btrfs", "-q", "-K"],
        options: c"user_subvol_rm_allowed",
    },
];

/// One of them, with a device of its own.
pub(super) struct Disk {
    pub(super) kind: &'static Kind,
    device: String,
}

impl Disk {
    /// Makes a file system, and mounts it.
    pub(super) fn make(kind: &'static Kind) -> Result<Self> {
        fs::create_dir_all(IMAGES)?;
        let image = format!("{IMAGES}/{}", kind.name);
        File::create(&image)?.set_len(kind.mebibytes << 20)?;
        make_on(kind, &image)?;
        let lent = Command::new("losetup").args(["--find", "--show", &image]).output()?;
        ensure!(lent.status.success(), "losetup: {}", String::from_utf8_lossy(&lent.stderr));
        let disk = Self { kind, device: String::from_utf8(lent.stdout)?.trim().to_owned() };
        fs::create_dir_all(disk.root())?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(super) fn root(&self) -> String {
        root_of(self.kind)
    }

    pub(super) fn mount(&self) -> Result<()> {
        rustix::mount::mount(
            &self.device,
            self.root(),
            self.kind.name,
            MountFlags::empty(),
            self.kind.options,
        )
        .with_context(|| format!("mount {} on {}", self.device, self.root()))
    }

    /// Puts another file system in its place, on the same device.
    pub(super) fn replace(&self) -> Result<()> {
        self.unmount()?;
        make_on(self.kind, &self.device)?;
        self.mount()
    }

    pub(super) fn unmount(&self) -> Result<()> {
        rustix::mount::unmount(self.root(), UnmountFlags::empty())
            .with_context(|| format!("unmount {}", self.root()))
    }
}

fn make_on(kind: &Kind, device: &str) -> Result<()> {
    let made = Command::new(kind.make[0]).args(&kind.make[1..]).arg(device).output();
    let made = made.with_context(|| format!("run {}", kind.make[0]))?;
    ensure!(made.status.success(), "{}: {}", kind.make[0], String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// Where one of this kind is mounted.
pub(super) fn root_of(kind: &Kind) -> String {
    format!("/srv/disks/{}", kind.name)
}
