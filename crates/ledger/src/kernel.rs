//! System calls by number, which leave errno alone.
//!
//! Not libc's wrappers: several of those are cancellation points, a thread must not be cancelled inside `malloc`, and all of
//! them may change errno, which `malloc` and `free` must not. It knows no particular call. Used by `sys` and by `sampler`.

#[cfg(not(miri))]
use core::arch::asm;
use core::ffi::c_long;

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

/// Makes a system call: its result, or the kernel's error.
///
/// # Safety
/// That of the call.
#[inline]
pub unsafe fn call<const N: usize>(number: c_long, arguments: [usize; N]) -> Result<usize, Errno> {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(arguments) {
        *to = from;
    }
    // SAFETY: the caller's.
    let result = unsafe { raw(number, all) };
    // The kernel answers errors with the last 4095 numbers.
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result as usize) }
}

/// # Safety
/// That of the call.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
unsafe fn raw(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: Linux's calling convention; the rest is the caller's.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// # Safety
/// That of the call.
#[cfg(all(target_arch = "aarch64", not(miri)))]
#[inline]
unsafe fn raw(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: Linux's calling convention; the rest is the caller's.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as isize,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}

/// Miri runs no assembly: enough for what needs private memory only, of which there is little.
///
/// # Safety
/// That of the call.
#[cfg(miri)]
unsafe fn raw(number: c_long, [a, b, c, ..]: [usize; 6]) -> isize {
    const MOST_BYTES: usize = 48 << 20;
    match number {
        libc::SYS_mmap if a == 0 && b <= MOST_BYTES => {
            let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a fresh mapping.
            unsafe { libc::mmap(core::ptr::null_mut(), b, access, flags, -1, 0) }.expose_provenance() as isize
        }
        // SAFETY: the caller's; the pages read as zeroes afterwards.
        libc::SYS_madvise if c == libc::MADV_DONTNEED as usize => unsafe {
            core::ptr::with_exposed_provenance_mut::<u8>(a).write_bytes(0, b);
            0
        },
        libc::SYS_munmap | libc::SYS_madvise | libc::SYS_mprotect | libc::SYS_sched_yield => 0,
        _ => -libc::ENOSYS as isize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_errors_and_leaves_errno_alone() {
        // SAFETY: errno is always there; the calls touch no memory.
        unsafe {
            *libc::__errno_location() = 123;
            assert_eq!(call(libc::SYS_close, [usize::MAX]), Err(Errno(libc::EBADF)));
            assert_eq!(call(libc::SYS_getpid, []), Ok(std::process::id() as usize));
            assert_eq!(*libc::__errno_location(), 123);
        }
    }
}
