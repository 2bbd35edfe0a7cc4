//! What `vs` carries inside itself: the eBPF object and the reaper.

#![expect(clippy::print_stdout, reason = "cargo reads what a build script prints")]

mod object;
mod reaper;

fn main() {
    for problem in [object::embed(), reaper::compile()].into_iter().filter_map(Result::err) {
        // One line through cargo, which ends the build: a panic would bury it under a backtrace.
        println!("cargo::error={problem}");
    }
}
