//! The command `vs`. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vs_loader::cli::main()
}
