//! Compiles the reaper into `OUT_DIR/vs-reaper`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Its source, from this package's folder.
const REAPER: &str = "reaper/main.rs";

/// A static executable without a standard library, from the compiler that builds the rest.
pub(super) fn compile() -> Result<(), String> {
    println!("cargo::rerun-if-changed={REAPER}");
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let target = variable("TARGET")?;
    let output = PathBuf::from(variable("OUT_DIR")?).join("vs-reaper");
    let mut compiler = Command::new(variable("RUSTC")?);
    compiler.args([
        "--edition",
        "2024",
        "--crate-type",
        "bin",
        "--crate-name",
        "vs_reaper",
        "--target",
        &target,
    ]);
    for option in [
        "panic=abort",
        "opt-level=s",
        "relocation-model=static",
        "strip=symbols",
        "link-arg=-nostartfiles",
        "link-arg=-nostdlib",
        "link-arg=-static",
        "link-arg=-Wl,--build-id=none",
        "link-arg=-Wl,-z,noexecstack",
    ] {
        compiler.args(["-C", option]);
    }
    if let Ok(linker) = variable("RUSTC_LINKER") {
        compiler.args(["-C", &format!("linker={linker}")]);
    }
    compiler.arg("-Dwarnings").arg("-o").arg(output).arg(REAPER);
    let status = compiler.status().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cannot compile {REAPER}: the compiler ended with {status}"))
    }
}
