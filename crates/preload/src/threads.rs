//! `pthread_create`: a thread whose stack's size the program has chosen gets room for what is ours on it.
//!
//! glibc puts thread-local storage on top of a thread's stack, and a sample is taken on it: on the smallest stacks that
//! are allowed, 16 KiB, what is ours would take most of what the program reckoned with. It touches neither stacks that
//! the program allocated itself nor those of default size. Called by the program.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use heapql_sampler::hook;

use crate::next;

/// For the deepest of the recorder's ways (`tests/programs/stack_use.c` measures it).
const OWN_FRAMES: usize = 6 << 10;
const ROOM: usize = hook::THREAD_BYTES + OWN_FRAMES;

/// # Safety
/// As pthread_create(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: the caller's attributes, or none.
    let roomier = unsafe { attributes.as_ref() }.and_then(roomier);
    let attributes = roomier.as_ref().map_or(attributes, MaybeUninit::as_ptr);
    // SAFETY: as the program called it, apart from a larger size.
    unsafe { next::pthread_create(thread, attributes, start, argument) }
}

/// A copy with a larger size of stack, which is not to be destroyed: what it points to is the original's. `None` if the
/// program has not chosen a size, or has allocated the stack itself.
fn roomier(original: &libc::pthread_attr_t) -> Option<MaybeUninit<libc::pthread_attr_t>> {
    let (mut lowest, mut bytes) = (null_mut(), 0);
    // SAFETY: `original` was initialised, and both results are ours.
    let failed = unsafe { libc::pthread_attr_getstack(original, &raw mut lowest, &raw mut bytes) };
    // glibc computes the lowest address from the highest, which is 0 if there is none.
    if failed != 0 || bytes == 0 || (lowest as usize).wrapping_add(bytes) != 0 {
        return None;
    }
    let mut copy = MaybeUninit::new(*original);
    // SAFETY: a copy of initialised attributes.
    let failed = unsafe {
        libc::pthread_attr_setstacksize(
            copy.as_mut_ptr(),
            bytes.saturating_add(ROOM.next_multiple_of(hook::page_bytes())),
        )
    };
    (failed == 0).then_some(copy)
}
