//! The process that waits to be acted on.

use std::io;

/// Where a target has a page whose content is [`PATTERN`], for those who read and write other processes' memory.
pub const PAGE: usize = 0x1000_0000;
/// What the page begins with.
pub const PATTERN: u64 = 0x5653_5f54_4152_4745;

/// Makes the running process a target: gives it a name, the page, and signals that stay pending instead of killing it; then waits for ever.
///
/// # Errors
/// The page cannot be had.
pub fn wait_for_ever(name: &str) -> io::Result<()> {
    let mut comm = name.as_bytes().to_vec();
    comm.truncate(15);
    comm.push(0);
    // SAFETY: PR_SET_NAME reads a string that ends in a zero within 16 bytes. The mapping is new memory at an address where a static
    // program has nothing. The signal set is a live local.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, comm.as_ptr());
        let page = libc::mmap(
            PAGE as *mut libc::c_void,
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        page.cast::<u64>().write(PATTERN);
        let mut blocked: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut blocked);
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGIO].into_iter().chain(35..64) {
            libc::sigaddset(&raw mut blocked, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const blocked, std::ptr::null_mut());
        loop {
            libc::pause();
        }
    }
}
