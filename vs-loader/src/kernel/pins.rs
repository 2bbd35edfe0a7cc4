//! The folders in bpffs that keep maps and links alive when no `vs` runs: `<root>/<layout version>/{maps,links-<epoch>}`.
//!
//! A pinned link is an attached program: LSM links cannot be detached in any other way than by removing their last pin
//! (`kernel/bpf/trampoline.c`, `bpf_tracing_link_lops` has no `detach`). So these folders are the state, and there is no other.
//! Nobody but root may have a hand in them: bpffs is world-writable by default (`kernel/bpf/inode.c:bpf_fill_super`, mode 1777), and
//! whoever owned the root folder could remove the pins.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use vs_common::hook::Hook;
use vs_common::id::Epoch;
use vs_common::map_name::{self, LAYOUT_VERSION, PIN_ROOT};

/// Where bpffs is mounted by convention.
const BPFFS: &str = "/sys/fs/bpf";
/// Which object the links' programs come from: a symbolic link whose target is its identity. No hook has this name.
const OBJECT: &str = "object";

/// Why the pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// Pins of another version of VServer.
    #[error(
        "{path} holds pins of layout \"{found}\", and this vs knows layout {LAYOUT_VERSION} only; use the vs that made them to unload, \
         or remove the folder"
    )]
    UnknownLayout {
        /// The root of the pins.
        path: PathBuf,
        /// The folder's name.
        found: String,
    },
    /// Somebody else could remove the pins.
    #[error(
        "{path} belongs to uid {uid} with mode {mode:03o}, so others than root could detach programs; remove it and load again"
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its permissions.
        mode: u32,
    },
    /// Programs are attached whose maps have lost their pins.
    #[error(
        "{path} is missing while programs are attached that use it: somebody removed it; stop the contexts, rm -r {root} and load again"
    )]
    Damaged {
        /// The pin.
        path: PathBuf,
        /// The root of the pins.
        root: PathBuf,
    },
    /// bpffs is not there.
    #[error("no bpf file system is mounted at {BPFFS}; mount -t bpf bpf {BPFFS}")]
    NoBpffs,
    /// The kernel refused something.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PinsError {
    let path = path.to_owned();
    move |cause| PinsError::Io { action, path, cause }
}

/// Whether a bpf file system is mounted where pins belong.
pub fn is_bpffs_mounted() -> bool {
    rustix::fs::statfs(BPFFS).is_ok_and(|status| {
        u64::try_from(status.f_type).is_ok_and(|kind| kind == vs_common::filesystem::magic::BPF_FS)
    })
}

/// Mounts a bpf file system if none is there; says whether it did.
///
/// # Errors
/// The kernel refused, or has no such file system.
pub fn mount_bpffs() -> Result<bool, PinsError> {
    if is_bpffs_mounted() {
        return Ok(false);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("bpf", BPFFS, "bpf", flags, Some(c"mode=0700"))
        .map_err(|errno| failed("mount the bpf file system at", Path::new(BPFFS))(errno.into()))?;
    Ok(true)
}

/// The folders.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Default for Pins {
    fn default() -> Self {
        Self { root: PIN_ROOT.into() }
    }
}

impl Pins {
    /// Pins below another folder, for tests of the folders themselves.
    #[cfg(test)]
    fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn version(&self) -> PathBuf {
        self.root.join(LAYOUT_VERSION.to_string())
    }

    fn maps(&self) -> PathBuf {
        self.version().join("maps")
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    fn links(&self, epoch: Epoch) -> PathBuf {
        self.version().join(format!("links-{}", epoch.0))
    }

    /// Where an epoch's link to a hook is pinned.
    pub fn link(&self, epoch: Epoch, hook: Hook) -> PathBuf {
        self.links(epoch).join(hook.name())
    }

    /// Checks that the folders, as far as they exist, are ours and of this layout. Says whether there are any.
    ///
    /// # Errors
    /// They are another layout's, or others than root may change them.
    pub fn verify(&self) -> Result<bool, PinsError> {
        for folder in [self.root.clone(), self.version(), self.maps()] {
            // Not followed: a symbolic link of somebody's is not our folder.
            let status = match fs::symlink_metadata(&folder) {
                Ok(status) => status,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(failed("look at", &folder)(error)),
            };
            if !status.is_dir()
                || status.uid() != rustix::process::geteuid().as_raw()
                || status.mode() & 0o022 != 0
            {
                return Err(PinsError::NotOurs {
                    path: folder,
                    uid: status.uid(),
                    mode: status.mode() & 0o7777,
                });
            }
            if folder == self.root {
                let known = LAYOUT_VERSION.to_string();
                if let Some(found) = names(&folder)?.into_iter().find(|name| *name != known) {
                    return Err(PinsError::UnknownLayout { path: folder, found });
                }
            }
        }
        Ok(true)
    }

    /// Makes the folders that are missing.
    ///
    /// # Errors
    /// As [`Self::verify`]; bpffs is not mounted; programs are attached and a map's pin is gone: to make a new map would be to
    /// forget what they enforce.
    pub fn prepare(&self) -> Result<(), PinsError> {
        if !is_bpffs_mounted() {
            return Err(PinsError::NoBpffs);
        }
        self.make_folders()?;
        self.has_all_maps().map(drop)
    }

    /// Whether every map is pinned.
    ///
    /// # Errors
    /// One is not, and there are links: maps are pinned before the first link and unpinned after the last, so somebody else was here.
    pub fn has_all_maps(&self) -> Result<bool, PinsError> {
        let missing = map_name::ALL.iter().map(|name| self.map(name)).find(|path| !path.exists());
        let Some(path) = missing else { return Ok(true) };
        if self.link_epochs()?.is_empty() {
            Ok(false)
        } else {
            Err(PinsError::Damaged { path, root: self.root.clone() })
        }
    }

    /// Whether there is anything of ours, whole or not.
    pub fn is_there(&self) -> bool {
        self.root.exists()
    }

    fn make_folders(&self) -> Result<(), PinsError> {
        self.verify()?;
        let folder = self.maps();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(failed("create", &folder))?;
        // Whoever was quicker than we between the check and now is found out here.
        self.verify().map(drop)
    }

    /// The epochs that have a folder of links, lowest first.
    ///
    /// # Errors
    /// The folder cannot be read, or holds what does not belong there.
    pub fn link_epochs(&self) -> Result<Vec<Epoch>, PinsError> {
        let folder = self.version();
        let mut epochs = Vec::new();
        for name in names(&folder)? {
            match name.strip_prefix("links-").map(str::parse) {
                Some(Ok(number)) => epochs.push(Epoch(number)),
                None if name == "maps" => {}
                _ => {
                    return Err(PinsError::UnknownLayout {
                        path: self.root.clone(),
                        found: format!("{LAYOUT_VERSION}/{name}"),
                    });
                }
            }
        }
        epochs.sort_unstable();
        Ok(epochs)
    }

    /// Makes an epoch's folder of links, empty but for the identity of the object that they come from.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn create_links(&self, epoch: Epoch, object: &str) -> Result<(), PinsError> {
        let folder = self.links(epoch);
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed("create", &folder))?;
        let link = folder.join(OBJECT);
        std::os::unix::fs::symlink(object, &link).map_err(failed("create", &link))
    }

    /// The identity of the object that an epoch's links come from; `None`: it was not recorded, or the folder is gone.
    pub fn object_of(&self, epoch: Epoch) -> Option<String> {
        fs::read_link(self.links(epoch).join(OBJECT)).ok()?.into_os_string().into_string().ok()
    }

    /// Removes an epoch's links, and with them detaches its programs unless they are pinned elsewhere too. No folder: nothing to do.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove_links(&self, epoch: Epoch) -> Result<(), PinsError> {
        let folder = self.links(epoch);
        // Checks go first, the programs that inherit tags last: while any check is attached, children have tags.
        let hooks = Hook::ALL.iter().rev().map(|hook| hook.name().to_owned());
        for name in hooks.chain(names(&folder)?) {
            remove(&folder.join(name))?;
        }
        remove_folder(&folder)
    }

    /// Removes the maps' pins and all folders. The word that says which epoch is in force goes last: as long as it is there, it says
    /// of what is left that none is.
    ///
    /// # Errors
    /// The kernel refused, or links are left, whose programs need the maps.
    pub fn remove_maps(&self) -> Result<(), PinsError> {
        if let Some(epoch) = self.link_epochs()?.first() {
            let cause = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
            return Err(failed("unload with programs attached in", &self.links(*epoch))(cause));
        }
        let folder = self.maps();
        let others = names(&folder)?.into_iter().filter(|name| name != map_name::EPOCH);
        for name in others.chain([map_name::EPOCH.to_owned()]) {
            remove(&folder.join(name))?;
        }
        for folder in [folder, self.version(), self.root.clone()] {
            remove_folder(&folder)?;
        }
        Ok(())
    }
}

/// The names in a folder; none if there is no folder.
fn names(folder: &Path) -> Result<Vec<String>, PinsError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    entries
        .map(|entry| Ok(entry.map_err(failed("list", folder))?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn remove(path: &Path) -> Result<(), PinsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> Result<(), PinsError> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
