//! Debian's packages that the build and the test machines need.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::CannotInstall;
use crate::apt::{self, Archive};
use crate::process;

/// A package and what it is here for.
struct Package {
    name: &'static str,
    /// Whether it comes from backports. A machine that has another QEMU package from there refuses the release's own; and
    /// this way the emulator is the same one everywhere.
    backport: bool,
}

const fn package(name: &'static str) -> Package {
    Package { name, backport: false }
}

/// The compiler for the eBPF object, and what the linker is built with and runs on.
const EBPF: [Package; 7] = [
    package("rustc-web"),
    package("cargo-web"),
    package("rust-web-src"),
    package("llvm-22-dev"),
    package("libpolly-22-dev"),
    package("zlib1g-dev"),
    package("libzstd-dev"),
];

/// The test machines: the emulator, programs for the guest, unpacking of kernels and their modules, a Debian root.
const MACHINES: [Package; 8] = [
    Package { name: "qemu-system-x86", backport: true },
    package("busybox-static"),
    package("kmod"),
    package("lz4"),
    package("xz-utils"),
    package("zstd"),
    package("mmdebstrap"),
    package("debian-archive-keyring"),
];

/// The tests have 32-bit programs, whose system calls are other ones.
const TESTS: [Package; 2] = [package("gcc"), package("gcc-multilib")];

/// Installs what is missing; the eBPF packages only `with_ebpf`. Says what it does and gives whether it did anything.
pub(super) fn ensure(cache: &Path, with_ebpf: bool) -> Result<bool> {
    let ebpf = EBPF.iter().filter(|_| with_ebpf);
    let wanted: Vec<&Package> = ebpf.chain(&MACHINES).chain(&TESTS).collect();
    let installed = installed(&wanted)?;
    let missing: Vec<&Package> =
        wanted.into_iter().filter(|package| !installed.contains(package.name)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    may_install(&names)?;
    let archive = Archive::open(cache)?;
    eprintln!("installing {}, which can take some minutes", names.join(" "));
    archive.update()?;
    for backport in [false, true] {
        let part: Vec<&str> = missing
            .iter()
            .filter(|package| package.backport == backport)
            .map(|package| package.name)
            .collect();
        if !part.is_empty() {
            let suite = backport.then(|| format!("{}-backports", apt::RELEASE));
            archive.install(&part, suite.as_deref())?;
        }
    }
    Ok(true)
}

/// The names of those that are installed. Without dpkg there are none.
fn installed(packages: &[&Package]) -> Result<BTreeSet<String>> {
    if !Path::new("/usr/bin/dpkg-query").exists() {
        return Ok(BTreeSet::new());
    }
    let mut query = Command::new("sh");
    // dpkg-query fails when it doesn't know one of the names, after answering for the others.
    query.args([
        "-c",
        "dpkg-query --show --showformat '${Package} ${db:Status-Status}\\n' \"$@\" 2>/dev/null || :",
        "sh",
    ]);
    let answer = process::text(query.args(packages.iter().map(|package| package.name)))?;
    Ok(answer.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::to_owned).collect())
}

/// Installing takes root, and package names that are those of this release.
fn may_install(names: &[&str]) -> Result<(), CannotInstall> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let codename = format!("VERSION_CODENAME={}", apt::RELEASE);
    let is_release = release.lines().any(|line| line == codename);
    if is_release && rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(CannotInstall {
        because: if is_release { "only root can install packages" } else { "this is not Debian 12" },
        packages: names.iter().map(|name| (*name).to_owned()).collect(),
    })
}
