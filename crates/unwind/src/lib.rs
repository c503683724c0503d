//! Up to N return addresses of the calling thread, from inside `malloc`, in a process that is not ours.
//!
//! What it does in return for the rules below: a call never allocates, never takes a lock, never panics, never calls
//! into the target's code, does a bounded amount of work, and reads nothing of the stack but words between the stack
//! pointer it was given and the end of that thread's stack. It may be interrupted by a signal handler that calls it
//! again. It works for code without frame pointers: the rules come from `.eh_frame` ([`cfi`]), each is looked up once
//! per return address and then kept in a lock-free table ([`cache`]); a module is found with glibc's lock-free
//! `_dl_find_object` ([`module`]).
//!
//! What it is not: a symboliser, an exception unwinder (it restores no registers but the three it needs), or a way to
//! read another thread's stack.
//!
//! What the caller must do:
//!
//! 1. Keep one [`StackBounds`] per thread (it starts as [`StackBounds::UNKNOWN`]) and pass it to every capture of that
//!    thread. Not from two captures at once: the caller's in-hook flag sees to that.
//! 2. Call [`modules_changed`] once before the first capture and after every `dlopen` and `dlclose`.
//!
//! Who calls it: the sampler, at a sample. Stack use: see `tests/stack_use.rs`.
//!
//! # Starting points
//!
//! Inside a Rust program, [`Registers::here`] and a range of code addresses to skip are enough. An exported `malloc`
//! that knows its own entry is cheaper to start from: a naked stub passes its entry state on, so no frame of our own is
//! ever unwound.
//!
//! ```
//! use core::arch::naked_asm;
//! use heapql_unwind::{Registers, StackBounds, Walk, capture};
//!
//! /// Tail-called or called with `malloc`'s argument when a sample is due.
//! #[unsafe(naked)]
//! extern "C" fn malloc_due(size: usize) -> *mut u8 {
//!     // On entry [rsp] is the return address and rsp + 8 the caller's stack pointer. rdi keeps `size`.
//!     naked_asm!(
//!         ".cfi_startproc",
//!         "mov rsi, [rsp]",      // Registers::pc
//!         "lea rdx, [rsp + 8]",  // Registers::sp
//!         "mov rcx, rbp",        // Registers::bp
//!         "jmp {sample}",
//!         ".cfi_endproc",
//!         sample = sym sample,
//!     )
//! }
//!
//! extern "C" fn sample(size: usize, pc: usize, sp: usize, bp: usize) -> *mut u8 {
//!     let mut bounds = StackBounds::UNKNOWN; // per thread in real life
//!     let mut frames = [0; 32];
//!     let Walk { depth, .. } = capture(Registers { pc, sp, bp }, &mut bounds, &mut frames);
//!     assert!(size == 42 && depth > 2 && frames[0] == pc);
//!     core::ptr::null_mut()
//! }
//!
//! malloc_due(42);
//! ```
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_pointer_width = "64")))]
compile_error!("heapql-unwind knows x86_64 Linux only; an aarch64 sibling of src/x86_64 would have the same files");

mod bounds;
mod cache;
mod cfi;
mod memo;
mod module;
mod module_table;
mod stack;
mod walk;
#[path = "x86_64/mod.rs"]
mod arch;

pub use arch::Registers;
pub use bounds::StackBounds;
pub use memo::{Memo, Recall};
pub use module::{Module, build_id, module_of, modules_changed};
pub use walk::{End, Reason, Walk, capture, capture_skipping};
