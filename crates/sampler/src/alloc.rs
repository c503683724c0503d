//! `SamplingAlloc<A>`: a Rust program's global allocator with a recorder inside.
//!
//! It serves sampled objects from the pool and leaves all others to `A`. In a process that is also recorded by the preload
//! library it stands aside: `A` (if it is `System`) ends in the library's `malloc`, and two records of one heap would
//! count it twice. Used by programs, `heapql` itself among them.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_char;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::*};

use heapql_ledger::LabelId;
use heapql_unwind::Registers;

use crate::recorder::{self, Defaults, Reallocation, Request, Underlying};
use crate::shims;

/// The label of allocations outside every scope.
pub(crate) const RUST: Defaults = Defaults { tenant_id: 500, ctx_id: 0, label: "rust_alloc" };

/// Rust's allocators tell nobody how many bytes of an object there are beyond its layout's.
static LAYOUT_ONLY: Underlying =
    Underlying { usable_bytes: |bytes| bytes, resized: |usable, bytes| (bytes <= usable).then_some(bytes) };

/// A sampling allocator around `A`: `#[global_allocator] static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::new(System);`
pub struct SamplingAlloc<A> {
    inner: A,
    held: bool,
}

impl<A> SamplingAlloc<A> {
    /// Records from the start of the program.
    pub const fn new(inner: A) -> Self {
        Self { inner, held: false }
    }

    /// Records nothing until [`crate::start`].
    pub const fn held(inner: A) -> Self {
        Self { inner, held: true }
    }
}

// SAFETY: every object is served either by `A`, whose promises hold, or by the pool, which promises the same: size and
// alignment as asked, until it is freed by the same allocator. `is_sampled` tells them apart by address.
//
// What allocates is not inlined: then the compiler's shims are jumps, or the same calls everywhere, and `shims` learns them.
// Link-time optimisation inlined them in most places, so that where it did not they were unknown, and in stacks.
unsafe impl<A: GlobalAlloc> GlobalAlloc for SamplingAlloc<A> {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if recorder::may_be_due(layout.size())
            && let Some(object) = self.sample(request(layout, false))
        {
            return object.as_ptr();
        }
        // SAFETY: the caller's promises are those `A` asks for.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if recorder::may_be_due(layout.size())
            && let Some(object) = self.sample(request(layout, true))
        {
            return object.as_ptr();
        }
        // SAFETY: as in `alloc`.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        if recorder::is_sampled(object) {
            return recorder::free(object);
        }
        // SAFETY: not an object of the pool, so it is one of `A`'s.
        unsafe { self.inner.dealloc(object, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, object: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if recorder::may_be_due(bytes) | recorder::is_sampled(object) {
            // SAFETY: as in `dealloc`.
            return unsafe { self.realloc_sampled(object, layout, bytes) };
        }
        // SAFETY: as in `dealloc`.
        unsafe { self.inner.realloc(object, layout, bytes) }
    }
}

fn request(layout: Layout, zeroed: bool) -> Request {
    Request { bytes: layout.size(), align: layout.align(), zeroed, underlying: &LAYOUT_ONLY }
}

impl<A: GlobalAlloc> SamplingAlloc<A> {
    #[cold]
    #[inline(never)]
    fn sample(&self, request: Request) -> Option<NonNull<u8>> {
        let frame = Registers::here();
        if !self.is_recording() || shims::learn(frame) {
            return None;
        }
        let mut skip = [0; shims::MOST];
        recorder::allocate(request, frame, shims::known(&mut skip), &RUST)
    }

    /// Not if another recorder sees these allocations, nor before [`crate::start`]: no allocation is due then, so nothing
    /// would be learnt from one.
    fn is_recording(&self) -> bool {
        if self.held && !HELD_ONCE.swap(true, Relaxed) {
            recorder::hold();
        }
        preloaded().is_none() && !recorder::is_held()
    }

    /// # Safety
    /// As `GlobalAlloc::realloc`.
    #[cold]
    #[inline(never)]
    unsafe fn realloc_sampled(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let request = Request { bytes, align: layout.align(), zeroed: false, underlying: &LAYOUT_ONLY };
        let frame = Registers::here();
        let mut skip = [0; shims::MOST];
        let outcome = if !self.is_recording() || (shims::learn(frame) && !recorder::is_sampled(old)) {
            Reallocation::Foreign
        } else if bytes <= layout.size() && !recorder::is_sampled(old) {
            recorder::pass_over(&RUST);
            Reallocation::Foreign
        } else {
            // SAFETY: this caller's promise.
            unsafe { recorder::reallocate(old, request, frame, shims::known(&mut skip), &RUST) }
        };
        let copied = layout.size().min(bytes);
        match outcome {
            Reallocation::Done(new) => new.as_ptr(),
            // SAFETY: `old` is one of `A`'s.
            Reallocation::Foreign => unsafe { self.inner.realloc(old, layout, bytes) },
            Reallocation::Enter(new) => {
                // SAFETY: `old` has `layout.size()` bytes and is one of `A`'s, `new` is fresh and has `bytes`.
                unsafe {
                    core::ptr::copy_nonoverlapping(old, new.as_ptr(), copied);
                    self.inner.dealloc(old, layout);
                }
                new.as_ptr()
            }
            Reallocation::Leave(_) => {
                // SAFETY: the caller promises that `bytes`, rounded up to the alignment, does not overflow, and is not 0.
                let new = unsafe { self.inner.alloc(Layout::from_size_align_unchecked(bytes, layout.align())) };
                if !new.is_null() {
                    // SAFETY: as above; `old` is a sampled object.
                    unsafe { core::ptr::copy_nonoverlapping(old, new, copied) };
                    recorder::free(old);
                }
                new
            }
        }
    }
}

/// [`SamplingAlloc::held`] has taken effect.
static HELD_ONCE: AtomicBool = AtomicBool::new(false);

/// The preload library's functions, if it is there.
pub(crate) struct PreloadFunctions {
    label: unsafe extern "C" fn(u64, u64, *const c_char, usize) -> i32,
    switch: extern "C" fn(u16) -> u16,
}

impl PreloadFunctions {
    pub(crate) fn label(&self, wanted: &LabelId) -> Option<u16> {
        // SAFETY: the pointer and length are those of a live slice.
        let number =
            unsafe { (self.label)(wanted.tenant_id, wanted.ctx_id, wanted.text.as_ptr().cast(), wanted.text.len()) };
        u16::try_from(number).ok()
    }

    pub(crate) fn switch(&self, label: u16) -> u16 {
        (self.switch)(label)
    }
}

/// Looked up once: 0 is unknown, 1 is absent.
static LABEL: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static SWITCH: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
const ABSENT: *mut () = core::ptr::without_provenance_mut(1);

/// Looks for the library at the first allocation that may be due.
pub(crate) fn preloaded() -> Option<PreloadFunctions> {
    let mut label = LABEL.load(Acquire);
    if label.is_null() {
        label = look_up();
    }
    if label == ABSENT {
        return None;
    }
    // SAFETY: `look_up` found both in a library that exports them with these types.
    unsafe {
        Some(PreloadFunctions {
            label: core::mem::transmute::<*mut (), unsafe extern "C" fn(u64, u64, *const c_char, usize) -> i32>(label),
            switch: core::mem::transmute::<*mut (), extern "C" fn(u16) -> u16>(SWITCH.load(Relaxed)),
        })
    }
}

#[cold]
fn look_up() -> *mut () {
    // dlsym may allocate, but in C's way, which does not come here. Two threads may look at once: both find the same.
    // SAFETY: names are C strings; RTLD_DEFAULT searches what is loaded.
    let [label, switch] = [c"heapql_label", c"heapql_switch"]
        .map(|name| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast::<()>());
    if label.is_null() || switch.is_null() {
        LABEL.store(ABSENT, Relaxed);
        return ABSENT;
    }
    SWITCH.store(switch, Relaxed);
    LABEL.store(label, Release);
    label
}
