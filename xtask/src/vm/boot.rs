//! How QEMU is told to start a machine.
//!
//! The machine is emulated, not virtualized: a `/dev/kvm` that opens may belong to a host that runs no guest, and everything
//! here is fast enough without. With one CPU it is a `microvm`, which starts in half of the time of a PC. Without ACPI that
//! one has no table of CPUs, so more of them take a PC (`q35`).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};

use xtask::wire::frame::{EXIT_PORT, PORT};

use super::Machine;

/// The program, from the package `qemu-system-x86`.
pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// What every kernel is told.
const KERNEL_ARGUMENTS: [&str; 7] = [
    "console=ttyS0",
    // Only errors while booting: each line on an emulated serial port takes time.
    "quiet",
    // A kernel that lost its footing ends the machine, by rebooting, which QEMU takes for the end.
    "panic=-1",
    "oops=panic",
    // Half a second of self-tests of ciphers that nobody uses here.
    "cryptomgr.notests",
    // An emulated CPU speculates on nothing, and the way around costs emulated instructions.
    "mitigations=off",
    // So that addresses in reports of the same kernel are comparable.
    "nokaslr",
];

/// The command line of QEMU for a machine. The console comes out of its standard error, the frames out of its standard output.
pub(super) fn command(machine: &Machine, initial: &File) -> Command {
    let mut qemu = Command::new(QEMU);
    let board = if machine.cpus > 1 { "q35" } else { "microvm,acpi=off,rtc=on,isa-serial=on" };
    qemu.args(["-machine", board, "-cpu", "qemu64"]);
    if machine.icount {
        // The clock of the guest counts executed instructions, one a nanosecond, and doesn't run while it idles.
        qemu.args(["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]);
    } else {
        qemu.args(["-accel", "tcg,thread=multi"]);
    }
    qemu.args(["-smp", &machine.cpus.to_string(), "-m", &machine.memory_mib.to_string()]);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-chardev", "file,id=console,path=/dev/stderr", "-serial", "chardev:console"]);
    qemu.args(["-chardev", "file,id=frames,path=/dev/stdout"]);
    qemu.args(["-device", &format!("isa-debugcon,iobase={PORT:#x},chardev=frames")]);
    qemu.args(["-device", &format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1")]);
    qemu.arg("-kernel").arg(&machine.kernel.image);
    qemu.args(["-initrd", &format!("/proc/{}/fd/{}", process::id(), initial.as_raw_fd())]);
    let mut arguments = KERNEL_ARGUMENTS.join(" ");
    for more in &machine.append {
        arguments.push(' ');
        arguments.push_str(more);
    }
    qemu.args(["-append", &arguments]);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: the closure runs between fork and exec and makes one system call, which is all that is allowed there.
    unsafe {
        qemu.pre_exec(|| {
            // A machine must not outlive a task that was killed.
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        })
    };
    qemu
}
