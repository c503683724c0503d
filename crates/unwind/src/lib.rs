//! Up to N return addresses of the calling thread, from inside `malloc`, in a process that is not ours.
//!
//! What it does in return for the rules below: a capture never allocates, never takes a lock, never panics, leaves
//! `errno` alone, does a bounded amount of work, and reads nothing of the stack but words between the stack pointer that
//! it was given and the end of that thread's stack. It may be interrupted by a signal handler that captures too. It
//! works for code without frame pointers: the rules come from `.eh_frame` (`cfi.rs`), each is looked up once per return
//! address and then kept in a lock-free table (`rule_cache.rs`); modules are found with glibc's lock-free `_dl_find_object`
//! (`module.rs`), code without such rules by its frame pointers. A stack that came before can be known again without
//! unwinding it ([`StackCache`]).
//!
//! What it is not: a symboliser, an exception unwinder (it restores no registers but the three it needs), or a way to
//! read another thread's stack.
//!
//! What the caller must do:
//!
//! 1. Keep one [`StackBounds`] per thread (it starts as [`StackBounds::UNKNOWN`], all zeroes) and pass it to every
//!    capture of that thread; likewise a [`StackCache`], if it wants one. Never to two captures at once: the caller's in-hook
//!    flag sees to that.
//! 2. Call [`modules_changed`] after every `dlclose`; for C libraries before glibc 2.35 also once before the first
//!    capture and after every `dlopen`.
//!
//! Who calls it: the sampler, at a sample.
//!
//! # Costs
//!
//! `examples/cost.rs` measures them. On the machine of the figures in the performance notes, 16 frames: 65-100 ns and 650
//! instructions when all rules are known, 12-18 ns and 130 instructions when the stack is known, 1.5 us when no rule is
//! known (libgcc: 2.2 us, each time). 300 bytes of stack, 1.6 KiB where a rule is looked up; finding the bounds of a
//! thread's stack takes 1.3-2.7 us once. Frames larger than 256 KiB are looked up every time.
//!
//! # Starting points
//!
//! Inside a Rust program, [`Registers::here`] and a range of code addresses to skip are enough. An exported `malloc`
//! that knows its own entry is cheaper to start from: a naked stub passes its entry state on, so no frame of our own is
//! ever unwound.
//!
//! ```
//! use core::arch::naked_asm;
//! use core::num::NonZeroU64;
//! use heapql_unwind::{StackCache, Lookup, Registers, StackBounds};
//!
//! /// Called or jumped to with `malloc`'s argument when a sample is due.
//! # #[cfg(target_arch = "x86_64")]
//! #[unsafe(naked)]
//! extern "C" fn malloc_due(size: usize) -> u64 {
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
//! # #[cfg(target_arch = "aarch64")]
//! # #[unsafe(naked)]
//! # extern "C" fn malloc_due(size: usize) -> u64 {
//! #     naked_asm!("mov x1, x30", "mov x2, sp", "mov x3, x29", "b {sample}", sample = sym sample)
//! # }
//! #
//! /// The number of the stack's callsite.
//! extern "C" fn sample(_size: usize, pc: usize, sp: usize, bp: usize) -> u64 {
//!     // Both per thread in real life.
//!     let (mut bounds, mut cache) = (StackBounds::UNKNOWN, StackCache::<8>::EMPTY);
//!     let mut frames = [0; 32];
//!     match cache.capture(Registers { pc, sp, bp }, &(0..0), &mut bounds, &mut frames) {
//!         Lookup::Known(callsite) => callsite.get(),
//!         Lookup::New(walk) => {
//!             assert!(walk.depth > 2 && frames[0] == pc);
//!             let callsite = NonZeroU64::new(7).unwrap(); // interned, from &frames[..walk.depth]
//!             cache.name(callsite);
//!             callsite.get()
//!         }
//!     }
//! }
//!
//! assert_eq!(malloc_due(42), 7);
//! ```
#![deny(missing_docs)]
#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("heapql-unwind knows 64-bit little-endian Linux only");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("heapql-unwind knows x86_64 and aarch64; a sibling of src/x86_64 would have the same files");

#[cfg_attr(target_arch = "x86_64", path = "x86_64/mod.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
mod arch;
mod bounds;
mod cfi;
mod checks;
mod frame;
mod module;
mod module_table;
mod outcome;
mod page;
mod registers;
mod row;
mod rule_cache;
mod stack;
mod stack_cache;
mod symbol;
mod walk;

pub use bounds::StackBounds;
pub use module::{LoadedModule, build_id, module_of, modules_changed};
pub use outcome::{End, Reason, Walk};
pub use page::page_bytes;
pub use registers::Registers;
pub use stack_cache::{Lookup, StackCache};
pub use symbol::{LibcSymbol, in_libc, in_module, libc_symbol};
pub use walk::{capture, capture_skipping};
