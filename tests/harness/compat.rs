//! 32-bit system calls from a 64-bit program: `int 0x80` enters the kernel by its compat table whatever the program is.

use std::arch::asm;

/// Makes a 32-bit system call; the result is the kernel's: -errno in [-4095, -1] is a failure.
///
/// # Safety
/// Arguments that are pointers must point below 4 GiB, to what the call wants.
pub unsafe fn syscall32(number: u32, arguments: [u32; 5]) -> i32 {
    let result: u32;
    // SAFETY: The caller's. rbx is LLVM's own, so it is swapped in and out; the entry by `int 0x80` clobbers r8 to r11.
    unsafe {
        asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) u64::from(arguments[0]) => _,
            inlateout("eax") number => result,
            in("ecx") arguments[1],
            in("edx") arguments[2],
            in("esi") arguments[3],
            in("edi") arguments[4],
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    result.cast_signed()
}
