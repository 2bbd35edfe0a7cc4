//! Checks of the sources that need no kernel: format, lints, layering, documentation, unit and golden tests, and that the
//! eBPF object can be built again byte for byte.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::build::object;
use crate::layering;
use crate::process;
use crate::test::Counts;
use crate::toolchain;
use crate::workspace::{self, Workspace};

/// The packages that are built for the machine at hand. vs-ebpf is the other one.
const FOREIGN: &str = "vs-ebpf";

/// `cargo fmt --check`.
pub(crate) fn format(workspace: &Workspace) -> Result<Counts> {
    process::run(workspace.cargo().args(["fmt", "--all", "--check"])).context("run `cargo fmt --all`")?;
    Ok(Counts::ONE_PASSED)
}

/// Clippy's opinion of all native code, tests included.
pub(crate) fn lints(workspace: &Workspace) -> Result<Counts> {
    let mut clippy = workspace.cargo();
    clippy.args(["clippy", "--quiet", "--workspace", "--exclude", FOREIGN, "--all-targets"]);
    process::run(clippy.args(["--", "--deny", "warnings"]))?;
    Ok(Counts::ONE_PASSED)
}

/// Clippy's opinion of the eBPF side.
///
/// There is no clippy for the compiler that builds it, so the one at hand looks at it as if it were native code, which it
/// is but for the helpers it calls. The profile is the object's, since a program without a standard library can't unwind.
pub(crate) fn ebpf_lints(workspace: &Workspace) -> Result<Counts> {
    let mut clippy = workspace.cargo();
    clippy.args(["clippy", "--quiet", "--package", FOREIGN, "--profile", "ebpf", "--target-dir"]);
    clippy.arg(workspace.target().join("ebpf-lints")).env("RUSTC_BOOTSTRAP", "1");
    process::run(clippy.args(["--", "--deny", "warnings"]))?;
    Ok(Counts::ONE_PASSED)
}

/// Who imports whom, and how long files are.
pub(crate) fn layering(workspace: &Workspace) -> Result<Counts> {
    layering::check(workspace)?;
    Ok(Counts::ONE_PASSED)
}

/// Documentation without broken links.
pub(crate) fn documentation(workspace: &Workspace) -> Result<Counts> {
    let mut doc = workspace.cargo();
    doc.args([
        "doc",
        "--quiet",
        "--workspace",
        "--exclude",
        FOREIGN,
        "--no-deps",
        "--document-private-items",
    ]);
    process::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))?;
    Ok(Counts::ONE_PASSED)
}

/// Unit and golden tests of the native crates.
pub(crate) fn unit(workspace: &Workspace) -> Result<Counts> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--quiet", "--no-fail-fast", "--workspace", "--exclude", FOREIGN]);
    let output =
        cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("starting `cargo test`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut counts = Counts::default();
    for line in text.lines() {
        counts += Counts::of_test_result(line).unwrap_or_default();
    }
    if output.status.success() {
        return Ok(counts);
    }
    eprint!("{text}");
    if counts.failed == 0 {
        bail!("`cargo test` failed ({})", output.status);
    }
    Ok(counts)
}

/// Builds the object a second time, in a copy of the sources at another place, and compares the bytes.
///
/// The copy keeps its target folder, so that from the second time on only what has changed is compiled.
pub(crate) fn reproducible_object(workspace: &Workspace) -> Result<Counts> {
    let first = object::build(workspace)?.object;
    let toolchain = toolchain::find(&workspace::cache()?)?;
    let work = workspace.target().join("reproduction");
    let copy = work.join("some/other/place");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("removing {}", copy.display()))?;
    }
    copy_sources(workspace, &copy)?;
    let second = object::compile(&toolchain, &copy, &work.join("target"))?;
    let [a, b] =
        [&first, &second].map(|path| fs::read(path).with_context(|| format!("reading {}", path.display())));
    if a? != b? {
        bail!(
            "the object depends on where it is built; compare {} and {} with `llvm-readelf --all`",
            first.display(),
            second.display()
        );
    }
    Ok(Counts::ONE_PASSED)
}

fn copy_sources(workspace: &Workspace, to: &Path) -> Result<()> {
    for file in workspace.files()? {
        let (from, to) = (workspace.root().join(&file), to.join(&file));
        to.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::copy(&from, &to).map(drop))
            .with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}
