//! Puts the eBPF object where `include_bytes!` finds it: `OUT_DIR/vs-ebpf.o`.
//!
//! The object is made by `cargo xtask build` and not here, because it takes another compiler. This script makes sure that it
//! is the object of the sources beside it. `VS_EBPF_OBJECT=FILE` embeds that file instead, unchecked: for packagers, who
//! build it in a step of their own.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "../../xtask/src/inputs.rs"]
mod inputs;

/// An explicit object.
const OBJECT_VARIABLE: &str = "VS_EBPF_OBJECT";

/// Copies the object, or says what to do first.
pub(super) fn embed() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={OBJECT_VARIABLE}");
    let folder =
        |variable| env::var_os(variable).map(PathBuf::from).ok_or(format!("cargo did not set {variable}"));
    let out = folder("OUT_DIR")?;
    let object = match env::var_os(OBJECT_VARIABLE) {
        Some(object) => PathBuf::from(object),
        None => checked_object(&folder("CARGO_MANIFEST_DIR")?.join(".."), &out)?,
    };
    println!("cargo::rerun-if-changed={}", object.display());
    fs::copy(&object, out.join("vs-ebpf.o"))
        .map(drop)
        .map_err(|error| format!("can't read the eBPF object {}: {error}", object.display()))
}

/// The object that `cargo xtask build` made, if it made it of the sources as they are now.
fn checked_object(root: &Path, out: &Path) -> Result<PathBuf, String> {
    for source in inputs::SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    // OUT_DIR lies somewhere below cargo's target folder, wherever that is; the object has a fixed place in it.
    let target = out.ancestors().find(|folder| folder.join("ebpf/vs-ebpf.o").is_file());
    let target = target.map_or_else(|| root.join("target"), Path::to_owned);
    let [object, made_of] = ["ebpf/vs-ebpf.o", "ebpf/vs-ebpf.inputs"].map(|name| target.join(name));
    for file in [&object, &made_of] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let sources = inputs::digest(root)
        .map_err(|error| format!("can't read the sources of the eBPF object: {error}"))?;
    match fs::read_to_string(made_of) {
        Err(_) => Err("the eBPF object is not built yet; run `cargo xtask build`".to_owned()),
        Ok(digest) if digest != sources => {
            Err("the eBPF object is older than its sources; run `cargo xtask build`".to_owned())
        }
        Ok(_) => Ok(object),
    }
}
