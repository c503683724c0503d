//! The size of a page of memory, as the kernel says it in the auxiliary vector. The one place that knows it in all that
//! runs inside a target: `bounds.rs` and `module.rs` here, the sampler's pool, the preload library.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The smallest page of any kernel, and the answer if the kernel gives none.
const LEAST_BYTES: usize = 4096;

static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The size of a page in bytes, a power of two from 4096 on. Takes no lock and allocates nothing.
#[inline]
pub fn page_bytes() -> usize {
    match PAGE_BYTES.load(Relaxed) {
        0 => ask(),
        bytes => bytes,
    }
}

#[cold]
fn ask() -> usize {
    // SAFETY: reads a table that the kernel filled before the program started.
    let bytes = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    let bytes = if bytes.is_power_of_two() { bytes.max(LEAST_BYTES) } else { LEAST_BYTES };
    PAGE_BYTES.store(bytes, Relaxed);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_c_librarys() {
        // SAFETY: asks for a constant.
        assert_eq!(page_bytes(), unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize);
        assert_eq!(page_bytes(), page_bytes());
    }
}
