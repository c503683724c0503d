//! The loaded modules, for a C library without `_dl_find_object` (glibc before 2.35): a bounded copy of the dynamic
//! loader's list, made when told that it changed. Modules that were loaded without notice are not in it: their frames
//! count as code without call frame information.
//!
//! One writer at a time, any number of readers, nobody waits: a sequence number is odd while the table is being
//! written, and a reader that sees it odd or changed has found nothing. `module.rs` is the only caller.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::*, fence};

use libc::{PT_GNU_EH_FRAME, dl_phdr_info};

use crate::module::{Headers, LoadedModule};

const CAPACITY: usize = 512;

/// start, end, load bias, name, `.eh_frame_hdr`, program headers, their count
type Entry = [AtomicUsize; 7];

static ENTRIES: [Entry; CAPACITY] = [const { [const { AtomicUsize::new(0) }; 7] }; CAPACITY];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static SEQUENCE: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn module_of(pc: usize) -> Option<LoadedModule> {
    let before = SEQUENCE.load(Acquire);
    let entries = ENTRIES.get(..COUNT.load(Relaxed))?;
    let found = entries.iter().map(load).find(|module| module.contains(pc));
    fence(Acquire);
    let settled = before.is_multiple_of(2) && SEQUENCE.load(Relaxed) == before;
    found.filter(|_| settled)
}

/// Copies the list again. Does nothing if another thread is about it: that one's list is as new, or the next call's is.
pub(crate) fn refresh() {
    let before = SEQUENCE.load(Relaxed);
    let odd = before | 1;
    if before == odd || SEQUENCE.compare_exchange(before, odd, Acquire, Relaxed).is_err() {
        return;
    }
    fence(Release);
    let mut count = 0_usize;
    // SAFETY: the callback gets the pointer to `count`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut count).cast()) };
    COUNT.store(count, Relaxed);
    SEQUENCE.store(odd.wrapping_add(1), Release);
}

unsafe extern "C" fn add(info: *mut dl_phdr_info, _size: usize, count: *mut c_void) -> c_int {
    // SAFETY: `refresh` passed a pointer to its own count, and the loader one to the module's description.
    let (info, count) = unsafe { (&*info, &mut *count.cast::<usize>()) };
    let (Some(entry), Some(module)) = (ENTRIES.get(*count), describe(info)) else {
        return 0;
    };
    let Headers { address, count: headers } = module.headers;
    let name = module.name.expose_provenance();
    let words = [module.start, module.end, module.load_bias, name, module.eh_frame_hdr, address, headers];
    for (to, from) in entry.iter().zip(words) {
        to.store(from, Relaxed);
    }
    *count += 1;
    0
}

fn describe(info: &dl_phdr_info) -> Option<LoadedModule> {
    let mut module = LoadedModule {
        start: usize::MAX,
        end: 0,
        load_bias: info.dlpi_addr as usize,
        name: info.dlpi_name,
        eh_frame_hdr: 0,
        headers: Headers { address: info.dlpi_phdr.expose_provenance(), count: info.dlpi_phnum.into() },
    };
    if info.dlpi_phdr.is_null() {
        return None;
    }
    module.eh_frame_hdr = module.segment(PT_GNU_EH_FRAME).map_or(0, |segment| segment.start);
    let module = module.spanned();
    (module.start < module.end).then_some(module)
}

fn load(entry: &Entry) -> LoadedModule {
    let [start, end, load_bias, name, eh_frame_hdr, address, count] = entry.each_ref().map(|word| word.load(Relaxed));
    let name = core::ptr::with_exposed_provenance::<c_char>(name);
    LoadedModule { start, end, load_bias, name, eh_frame_hdr, headers: Headers { address, count } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_loader() {
        assert!(module_of(agrees_with_the_loader as *const () as usize).is_none());
        refresh();
        refresh();
        for pc in [agrees_with_the_loader as *const () as usize, libc::getpid as *const () as usize] {
            let (copied, found) = (module_of(pc).unwrap(), crate::module::module_of(pc).unwrap());
            assert_eq!((copied.start, copied.load_bias), (found.start, found.load_bias));
            assert_eq!(copied.eh_frame_hdr, found.eh_frame_hdr);
            assert_eq!((copied.end, copied.headers.count), (found.end, found.headers.count));
        }
        assert!(module_of(8).is_none());
    }
}
