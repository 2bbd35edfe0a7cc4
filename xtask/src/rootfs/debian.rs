//! A small Debian with real programs: what an operator runs in a server, and what looks at processes.
//!
//! Made once by mmdebstrap and kept as the beginning of a cpio archive. As memory of a `microvm` it is as fast to boot as an
//! ext4 disk in a PC, which would be the alternative, and it needs no second kind of machine.

use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{self, Archive};
use crate::process;
use crate::vm::image::Image;

/// What is in it beside Debian's required packages. `usr-is-merged` keeps the one out that would merge, which needs Perl;
/// `gdb-minimal` is a gdb without an interpreter in it, a third of the size.
const PACKAGES: [&str; 28] = [
    "usr-is-merged",
    "procps",
    "psmisc",
    "util-linux",
    "less",
    "strace",
    "gdb-minimal",
    "python3-minimal",
    "nginx-light",
    "redis-server",
    "dnsmasq-base",
    "curl",
    "libcap2-bin",
    "systemd",
    "postgresql",
    "openssh-server",
    "unbound",
    "socat",
    "iperf3",
    "iputils-ping",
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "git",
    "gcc",
    "libc6-dev",
    "rsync",
    "sqlite3",
];

/// What nobody reads in a test machine, and what would be half of it. `PostgreSQL` runs without its compiler (LLVM and what that needs),
/// its scripts without the whole of Perl, gcc without its sanitizers and linking with plug-ins, git without the network.
const LEFT_OUT: [&str; 28] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/man/*",
    "/usr/share/zoneinfo/*",
    "/usr/lib/x86_64-linux-gnu/gconv/*",
    "/usr/share/i18n/*",
    "/usr/share/perl/*",
    "/usr/lib/x86_64-linux-gnu/perl/*",
    "/usr/lib/x86_64-linux-gnu/libperl.so.*",
    "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.*",
    "/usr/lib/x86_64-linux-gnu/libz3.so.*",
    "/usr/lib/postgresql/15/lib/bitcode/*",
    "/usr/lib/postgresql/15/lib/llvmjit*",
    "/usr/sbin/unbound-c*",
    "/usr/lib/gcc/x86_64-linux-gnu/12/lto*",
    "/usr/lib/gcc/x86_64-linux-gnu/12/lib[!gl]*",
    "/usr/lib/x86_64-linux-gnu/lib?san.so.*",
    "/usr/lib/x86_64-linux-gnu/lib[!c]*.a",
    "/usr/lib/x86_64-linux-gnu/libc.a",
    "/usr/bin/x86_64-linux-gnu-dwp",
    "/usr/bin/x86_64-linux-gnu-gold",
    "/usr/bin/x86_64-linux-gnu-lto*",
    "/usr/lib/git-core/git-remote-*",
    "/usr/lib/git-core/git-http-*",
    "/usr/lib/git-core/git-imap-send",
    "/usr/lib/git-core/git-shell",
];

/// What is done to it at last. The cluster of databases that Debian's `PostgreSQL` comes with is packed: it takes as much memory as all of its
/// programs, and only who tests it unpacks it. To make it there takes emulated seconds.
const AT_LAST: &str =
    "cd \"$1\"/var/lib/postgresql/15 && tar --create --gzip --file main.tar.gz main && rm -r main";

/// Whether it is there, in the form that is asked for today.
pub(crate) fn is_made(cache: &Path) -> bool {
    fs::read_to_string(Places::of(cache).recipe).is_ok_and(|found| found == recipe())
}

/// Makes it.
pub(crate) fn make(cache: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "making a Debian root file system takes root, who alone may own its files; run `cargo xtask setup` as root"
        );
    }
    eprintln!("making the Debian root file system, which takes a minute");
    let places = Places::of(cache);
    fs::create_dir_all(&places.folder).with_context(|| format!("creating {}", places.folder.display()))?;
    let work = tempfile::Builder::new()
        .prefix(".make-")
        .tempdir_in(&places.folder)
        .context("making a work folder")?;
    let (tree, sources) = (work.path().join("tree"), work.path().join("sources.list"));
    fs::write(&sources, Archive::sources_for_installing()?).context("writing the sources for mmdebstrap")?;
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"]);
    mmdebstrap.arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr");
    mmdebstrap.arg(format!("--include={}", PACKAGES.join(",")));
    for path in LEFT_OUT {
        mmdebstrap.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    mmdebstrap.arg(format!("--customize-hook={AT_LAST}"));
    // Starting services is not its business: no init runs, and it puts a start-stop-daemon in place that does nothing.
    process::output(mmdebstrap.arg(apt::RELEASE).arg(&tree).arg(&sources))?;

    let packed = work.path().join("archive");
    let mut image = Image::new(File::create(&packed).context("creating the archive")?);
    image.copy("/", &tree)?;
    let folders = image.finish_open()?;
    let folders = folders.iter().fold(String::new(), |mut text, folder| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", folder.display());
        text
    });
    // The recipe comes last: it is what says that the others are whole.
    let _ = fs::remove_file(&places.recipe);
    fs::rename(&packed, &places.archive)
        .and_then(|()| fs::write(&places.folders, folders))
        .and_then(|()| fs::write(&places.recipe, recipe()))
        .with_context(|| format!("keeping it in {}", places.folder.display()))
}

/// Begins an initial file system with it.
pub(super) fn begin(cache: &Path, file: File) -> Result<Image> {
    if !is_made(cache) {
        make(cache)?;
    }
    let places = Places::of(cache);
    let folders = fs::read_to_string(&places.folders).context("reading the folders of the Debian root")?;
    let mut archive = File::open(&places.archive).context("opening the Debian root")?;
    Image::extend(file, &mut archive, folders.lines().map(PathBuf::from))
}

/// All that decides what is in it.
fn recipe() -> String {
    format!("{}\n{}\n{}\n{AT_LAST}\n", apt::RELEASE, PACKAGES.join(" "), LEFT_OUT.join(" "))
}

/// Its files in the cache.
struct Places {
    folder: PathBuf,
    /// An archive without an end, for others to begin with.
    archive: PathBuf,
    /// The paths in it that are no plain files.
    folders: PathBuf,
    recipe: PathBuf,
}

impl Places {
    fn of(cache: &Path) -> Self {
        let folder = cache.join("rootfs/debian");
        Self {
            archive: folder.join("archive"),
            folders: folder.join("folders"),
            recipe: folder.join("recipe"),
            folder,
        }
    }
}
