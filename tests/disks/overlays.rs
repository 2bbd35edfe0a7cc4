//! overlayfs: its directories are given to nobody, and through them nobody reaches others' in its layers.

use std::ffi::CString;
use std::fs;

use anyhow::{Context as _, Result};
use vs_loader::kernel::layout::KernelVersion;
use vs_tests::world::vs;

use super::{A, B, DISKS, POLICY, Trial, furnish_all};

const ROOT: &str = "/srv/disks/ext4";
const MERGED: &str = "/srv/disks/merged";
const OVERLAY: &str = "/tmp/overlay.toml";

pub(super) fn run(trial: &mut Trial<'_>) -> Result<()> {
    furnish_all(ROOT)?;
    for directory in [MERGED, "/srv/disks/ext4/shared/upper", "/srv/disks/ext4/shared/work"] {
        fs::create_dir_all(directory)?;
    }
    let options =
        CString::new(format!("lowerdir={ROOT}/b,upperdir={ROOT}/shared/upper,workdir={ROOT}/shared/work"))?;
    rustix::mount::mount("overlay", MERGED, "overlay", rustix::mount::MountFlags::empty(), &*options)?;
    fs::write(OVERLAY, format!("[context.disk-o]\nxid = 244\ndirectories = [\"{MERGED}\"]\n"))?;
    let output = vs(&["load", POLICY, DISKS, OVERLAY])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_told = output.status.code() == Some(18)
        && said.contains("is on overlayfs,")
        && said.contains(&format!("{OVERLAY}:3:"));
    trial.checks.check(is_told, || format!("a directory on overlayfs: {:?}, {said}", output.status));

    let file = format!("{MERGED}/file");
    trial.expect(&super::party("host", 0, false), &format!("open read {file}"), 0, None)?;
    // The merged directory is nobody's, the layer another's. Before 6.7 the kernel opens a layer's file under the merged one's path
    // (`fs/overlayfs/file.c:ovl_open_realfile`), and nothing tells where it lies. Published as such.
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let version = KernelVersion::parse(&release).with_context(|| format!("the release {release}"))?;
    let expected = if version < KernelVersion(6, 7) { 0 } else { libc::EACCES };
    trial.expect(&A, &format!("open read {file}"), expected, None)?;
    for who in [A, B] {
        for words in [format!("open write {file}"), format!("create {MERGED}/new"), format!("unlink {file}")]
        {
            trial.expect(&who, &words, libc::EACCES, None)?;
        }
    }
    rustix::mount::unmount(MERGED, rustix::mount::UnmountFlags::empty())?;
    Ok(())
}
