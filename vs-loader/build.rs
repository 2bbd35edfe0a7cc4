//! Compiles what `vs` carries inside itself: the reaper.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Its source, from this package's folder.
const REAPER: &str = "reaper/main.rs";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={REAPER}");
    match reaper() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("cargo::error=cannot compile {REAPER}: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// A static executable without a standard library, from the compiler that builds the rest.
fn reaper() -> Result<(), String> {
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
    if status.success() { Ok(()) } else { Err(format!("the compiler ended with {status}")) }
}
