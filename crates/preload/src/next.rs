//! Where each function goes on when ours has nothing to do: the one that the program would have called without us.
//!
//! That is glibc's, unless a library behind us in the loader's order has one of its own: another allocator that the program
//! is linked with, another preloaded wrapper. Then every function must go on to its own successor, or one allocator would be
//! given another's objects. Looked up before the first object of ours leaves; until then nothing has been allocated.
//! Called by `due` and `start`; the stubs jump through the pointers.

use core::ffi::{CStr, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::*};

use heapql_sampler::hook;

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(object: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_free(object: *mut c_void);
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn __libc_valloc(size: usize) -> *mut c_void;
    fn __libc_pvalloc(size: usize) -> *mut c_void;
}

type FunctionPointer = AtomicPtr<c_void>;

// What the stubs jump to begins as glibc's by relocation: it is called before anything can be looked up.
pub(crate) static MALLOC: FunctionPointer = AtomicPtr::new(__libc_malloc as *mut c_void);
pub(crate) static CALLOC: FunctionPointer = AtomicPtr::new(__libc_calloc as *mut c_void);
pub(crate) static REALLOC: FunctionPointer = AtomicPtr::new(__libc_realloc as *mut c_void);
pub(crate) static FREE: FunctionPointer = AtomicPtr::new(__libc_free as *mut c_void);
static MEMALIGN: FunctionPointer = AtomicPtr::new(__libc_memalign as *mut c_void);
static VALLOC: FunctionPointer = AtomicPtr::new(__libc_valloc as *mut c_void);
static PVALLOC: FunctionPointer = AtomicPtr::new(__libc_pvalloc as *mut c_void);
static ALIGNED_ALLOC: FunctionPointer = AtomicPtr::new(null_mut());
static POSIX_MEMALIGN: FunctionPointer = AtomicPtr::new(null_mut());
static USABLE_SIZE: FunctionPointer = AtomicPtr::new(null_mut());
static CLOSE: FunctionPointer = AtomicPtr::new(null_mut());
static CREATE_THREAD: FunctionPointer = AtomicPtr::new(null_mut());
/// The function by which jemalloc and tcmalloc tell how large their objects are; null if the next allocator has none.
static NALLOCX: FunctionPointer = AtomicPtr::new(null_mut());
/// Nobody behind us has an allocator of its own.
static IS_GLIBC: AtomicBool = AtomicBool::new(false);

/// The next malloc has a malloc_usable_size of its own library: a wrapper's objects are not what glibc's takes them for.
static TELLS_SIZES: AtomicBool = AtomicBool::new(false);
/// The next allocator is jemalloc.
static IS_JEMALLOC: AtomicBool = AtomicBool::new(false);

/// Looks all of them up, once.
#[inline(always)]
pub(crate) fn settle() {
    static SETTLED: AtomicBool = AtomicBool::new(false);
    if !SETTLED.load(Acquire) && !SETTLED.swap(true, AcqRel) {
        look_up();
    }
}

#[cold]
fn look_up() {
    let functions = [
        (&MALLOC, c"malloc"),
        (&CALLOC, c"calloc"),
        (&REALLOC, c"realloc"),
        (&FREE, c"free"),
        (&MEMALIGN, c"memalign"),
        (&VALLOC, c"valloc"),
        (&PVALLOC, c"pvalloc"),
        (&ALIGNED_ALLOC, c"aligned_alloc"),
        (&POSIX_MEMALIGN, c"posix_memalign"),
        (&USABLE_SIZE, c"malloc_usable_size"),
        (&CLOSE, c"dlclose"),
        (&CREATE_THREAD, c"pthread_create"),
    ];
    for (place, name) in functions {
        let found = symbol(libc::RTLD_NEXT, name);
        if !found.is_null() {
            place.store(found, Release);
        }
    }
    IS_GLIBC.store(are_all_glibcs(), Release);
    // The functions of its own library: another allocator's say nothing of this one's objects.
    let module = hook::module_of(MALLOC.load(Acquire) as usize).filter(|_| !IS_GLIBC.load(Acquire));
    if let Some(module) = module {
        let usable_size = USABLE_SIZE.load(Acquire) as usize;
        TELLS_SIZES.store((module.start..module.end).contains(&usable_size), Release);
        NALLOCX.store(hook::in_module(&module, c"nallocx") as *mut c_void, Release);
        IS_JEMALLOC.store(hook::in_module(&module, c"mallctl") != 0, Release);
    }
}

/// True if nobody behind us has an allocator of its own: all that is not sampled is glibc's.
pub(crate) fn are_all_glibcs() -> bool {
    [(&MALLOC, c"malloc"), (&FREE, c"free"), (&REALLOC, c"realloc"), (&USABLE_SIZE, c"malloc_usable_size")]
        .into_iter()
        .all(|(place, name)| place.load(Acquire) as usize == hook::in_libc(name))
}

/// The realloc that the program calls: ours, unless a library before us has one. Null if it cannot be found.
pub(crate) fn first_realloc() -> *mut c_void {
    symbol(libc::RTLD_DEFAULT, c"realloc")
}

/// As [`are_all_glibcs`], once it is known.
#[inline]
pub(crate) fn is_glibc() -> bool {
    settle();
    IS_GLIBC.load(Acquire)
}

/// Whether the next allocator can be asked how large its objects are.
pub(crate) fn tells_sizes() -> bool {
    is_glibc() || TELLS_SIZES.load(Acquire)
}

/// Whether the next allocator is jemalloc, once that is known.
pub(crate) fn is_jemalloc() -> bool {
    IS_JEMALLOC.load(Acquire)
}

/// The usable size of an object of so many bytes, which are not 0, if the allocator has `nallocx`.
pub(crate) fn nallocx(bytes: usize) -> Option<usize> {
    type Nallocx = unsafe extern "C" fn(usize, i32) -> usize;
    let found = NALLOCX.load(Acquire);
    // SAFETY: jemalloc's and tcmalloc's function of this name has this type; no flag is set.
    (!found.is_null()).then(|| unsafe { core::mem::transmute::<*mut c_void, Nallocx>(found)(bytes, 0) })
}

/// The call of dlsym must not be the last thing a function does: it finds "next" by its return address.
#[inline(never)]
fn symbol(from: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(from, name.as_ptr()) };
    core::hint::black_box(found)
}

/// A C library without the function cannot have loaded us.
fn found(place: &FunctionPointer) -> *mut c_void {
    settle();
    let found = place.load(Acquire);
    if found.is_null() {
        // SAFETY: abort is always allowed.
        unsafe { libc::abort() }
    }
    found
}

/// Defines the call of a function through its pointer, with the type that its standard gives it.
macro_rules! call {
    ($name:ident, $place:ident, ($($argument:ident: $kind:ty),*) -> $result:ty) => {
        /// # Safety
        /// As the C function of this name.
        #[inline]
        pub(crate) unsafe fn $name($($argument: $kind),*) -> $result {
            type Function = unsafe extern "C" fn($($kind),*) -> $result;
            // SAFETY: the pointer is that of the C function of this type, and the arguments are the caller's promise.
            unsafe { core::mem::transmute::<*mut c_void, Function>(found(&$place))($($argument),*) }
        }
    };
}

call!(malloc, MALLOC, (size: usize) -> *mut c_void);
call!(calloc, CALLOC, (count: usize, size: usize) -> *mut c_void);
call!(realloc, REALLOC, (object: *mut c_void, size: usize) -> *mut c_void);
call!(free, FREE, (object: *mut c_void) -> ());
call!(memalign, MEMALIGN, (align: usize, size: usize) -> *mut c_void);
call!(valloc, VALLOC, (size: usize) -> *mut c_void);
call!(pvalloc, PVALLOC, (size: usize) -> *mut c_void);
call!(aligned_alloc, ALIGNED_ALLOC, (align: usize, size: usize) -> *mut c_void);
call!(posix_memalign, POSIX_MEMALIGN, (result: *mut *mut c_void, align: usize, size: usize) -> i32);
call!(malloc_usable_size, USABLE_SIZE, (object: *mut c_void) -> usize);
call!(dlclose, CLOSE, (handle: *mut c_void) -> i32);
call!(
    pthread_create,
    CREATE_THREAD,
    (
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void
    ) -> i32
);
