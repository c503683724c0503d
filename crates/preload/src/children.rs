//! HEAPQL_CHILDREN=0: what this process exec's does not load the library.
//!
//! The library's name is taken out of the process's own LD_PRELOAD, in place, before `main` sees its environment: nothing is
//! allocated, other preloaded libraries stay, and forked children that exec nothing go on being recorded, since they are the
//! same program. An environment that the program builds for its children is its own business. Called by `start`.

use core::ffi::{CStr, c_char};

const NAME: &[u8] = b"LD_PRELOAD=";
/// The beginning of the library's file name: the same as in `heapql`'s `LIBRARY_PREFIX`.
const LIBRARY_PREFIX: &[u8] = b"libheapql_preload";

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Only while no other thread is running.
pub(crate) fn forget_library() {
    // SAFETY: the environment is an array of C strings that ends in a null pointer, all of it writable (System V ABI), and
    // nobody else uses it now.
    unsafe {
        let (mut from, mut to) = (environ, environ);
        if from.is_null() {
            return;
        }
        loop {
            *to = *from;
            if (*from).is_null() {
                return;
            }
            if !is_left_empty(*from) {
                to = to.add(1);
            }
            from = from.add(1);
        }
    }
}

/// Takes the library out of an assignment to LD_PRELOAD. True if nothing else was in it.
///
/// # Safety
/// `entry` is a C string that nobody else uses.
unsafe fn is_left_empty(entry: *mut c_char) -> bool {
    // SAFETY: this caller's promise; the bytes up to the terminating zero are not used by anybody else.
    let text = unsafe { core::slice::from_raw_parts_mut(entry.cast::<u8>(), CStr::from_ptr(entry).to_bytes().len()) };
    let Some(list) = text.strip_prefix(NAME).map(<[u8]>::len) else {
        return false;
    };
    let start = text.len() - list;
    let (mut kept, mut at) = (start, start);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let length = rest.iter().position(is_separator).map_or(rest.len(), |separator| separator + 1);
        if !is_ours(rest.get(..length).unwrap_or_default()) {
            text.copy_within(at..at + length, kept);
            kept += length;
        }
        at += length;
    }
    if let Some(end) = text.get_mut(kept) {
        *end = 0;
    }
    kept == start
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b':' | b' ')
}

/// An entry of the list, with or without the separator that ends it.
fn is_ours(entry: &[u8]) -> bool {
    entry.rsplit(|&byte| byte == b'/').next().is_some_and(|name| name.starts_with(LIBRARY_PREFIX))
}
