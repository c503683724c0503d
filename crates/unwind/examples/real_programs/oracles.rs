//! The other unwinders: libgcc's, which C++ exceptions use, and libunwind's, which profilers use. They share no code with
//! ours or with each other. They may lock, and libunwind may allocate, so the caller keeps them out of signal handlers.

use std::ffi::{CString, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// `int unw_backtrace(void **buffer, int size)`, 0 if it is not to be asked.
static UNW_BACKTRACE: AtomicUsize = AtomicUsize::new(0);

/// Does what they do only the first time, outside any hook.
pub(crate) fn warm_up(libunwind: Option<&str>) {
    let mut frames = [0; 8];
    libgcc(&mut frames);
    let Some(path) = libunwind.and_then(|path| CString::new(path).ok()) else {
        return;
    };
    // SAFETY: a library that is known to be harmless, never closed; its functions have their documented types.
    let function = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{path:?} cannot be loaded");
        libc::dlsym(library, c"unw_backtrace".as_ptr())
    };
    assert!(!function.is_null(), "{path:?} is no libunwind");
    UNW_BACKTRACE.store(function as usize, Relaxed);
    libunwind_backtrace(&mut frames);
}

fn libunwind_backtrace(frames: &mut [usize]) -> Option<usize> {
    type Backtrace = unsafe extern "C" fn(*mut *mut c_void, c_int) -> c_int;
    let address = UNW_BACKTRACE.load(Relaxed);
    if address == 0 {
        return None;
    }
    // SAFETY: the address of the function of that type; it writes as many words as it is told.
    let count = unsafe {
        let backtrace: Backtrace = std::mem::transmute(address);
        backtrace(frames.as_mut_ptr().cast(), frames.len() as c_int)
    };
    Some(usize::try_from(count).unwrap_or(0).min(frames.len()))
}

/// The frames from here outwards, and how many.
#[inline(never)]
pub(crate) fn libgcc(frames: &mut [usize]) -> usize {
    let mut depth = 0;
    // SAFETY: nothing is symbolised, and the only state is ours.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            if let Some(to) = frames.get_mut(depth) {
                *to = frame.ip() as usize;
                depth += 1;
            }
            depth < frames.len()
        });
    }
    depth
}

/// As [`libgcc`], by libunwind; None if it is not to be asked.
#[inline(never)]
pub(crate) fn libunwind(frames: &mut [usize]) -> Option<usize> {
    libunwind_backtrace(frames)
}
