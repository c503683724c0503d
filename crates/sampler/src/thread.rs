//! The sampler's state of one thread, in thread-local storage that is there before and after everything else.
//!
//! `thread_local!` is no choice: in a shared library it compiles to a call that may allocate, and std's destructors come
//! too early. This block is initial-exec: its address is one load and one add, on every thread, from its first instruction
//! to its last. It owns nothing, so it needs no destructor. Used by everything in this crate.

use core::cell::{Cell, UnsafeCell};

use heapql_unwind::{StackBounds, StackCache};

use crate::gaps::{Gaps, SavedGaps};
use crate::signal::{SignalBool, SignalU16, SignalU32, SignalU64};

/// Where a thread's counter starts: beyond every limit, so that its first allocation is due and arms it.
pub(crate) const DUE: u64 = 0xffff_ffff_0000_0000;
/// Room for the thread block, which the assembly below reserves.
pub const BLOCK_BYTES: usize = 9216;

/// How deep pushes of the C interface nest; deeper ones keep the label of the last.
pub(crate) const SCOPES: usize = 32;

pub(crate) type Stacks = StackCache<32>;

/// A thread's block. All zero at the start, but for `count`.
///
/// Who may touch what, and when:
///
/// ```text
///                                     | the thread            | a signal handler on it
///   ----------------------------------+-----------------------+------------------------------------------
///   count                             | any time              | any time: adds one for each allocation
///   inside                            | ReentrancyGuard       | ReentrancyGuard
///   label                             | written in the guard, | the same: a handler that interrupted the
///                                     | read any time         | guard only reads it
///   scopes, scope_depth               | push and pop          | push and pop, as many of each
///   gaps, saved_gaps, random, shard,  | in the guard          | in the guard, so never while the thread
///   stack, cache                      |                       | it interrupted is in it
///
///            enter(): inside = true
///   outside ------------------------> inside      a handler that comes here is refused: it samples nothing
///           <------------------------             and counts a loss
///            drop: inside = false
/// ```
///
/// The count is one instruction on x86_64. On aarch64, and where the recorder sets it, a handler's allocations in between may be
/// lost from the count, which makes a gap longer by as many.
#[repr(C, align(64))]
pub(crate) struct Thread {
    /// Counts allocations up to the ledger's limit. The assembly below, and the stubs of `preload`, know its place.
    pub(crate) count: SignalU64,
    pub(crate) gaps: Gaps,
    /// The thread is inside the recorder: see `guard` for the order of its accesses.
    pub(crate) inside: SignalBool,
    /// The thread's shard of the pool and of the callsites, plus one; 0 until its first sample.
    pub(crate) shard: Cell<u8>,
    /// The label of its allocations.
    pub(crate) label: SignalU16,
    pub(crate) random: Cell<u64>,
    /// The stack it was last seen on.
    pub(crate) stack: Cell<StackBounds>,
    /// The stacks it sampled last, by callsite and label.
    pub(crate) cache: UnsafeCell<Stacks>,
    /// Labels to return to, of the C interface's pushes.
    pub(crate) scopes: [SignalU16; SCOPES],
    /// How many pushes are open, those beyond [`SCOPES`] included.
    pub(crate) scope_depth: SignalU32,
    pub(crate) saved_gaps: SavedGaps,
}

const _: () = assert!(size_of::<Thread>() <= BLOCK_BYTES);
const _: () = assert!(core::mem::offset_of!(Thread, count) == 0);

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("thread-local storage is written for x86_64 and aarch64; others need their few lines of assembly here");

// A stable Rust cannot define an initial-exec thread-local object; the assembler can. Zeroes follow the counter.
core::arch::global_asm!(
    ".pushsection .tdata.heapql_thread,\"awT\",@progbits",
    ".p2align 6",
    ".hidden heapql_thread",
    ".globl heapql_thread",
    ".type heapql_thread,@object",
    ".size heapql_thread,{bytes}",
    "heapql_thread:",
    ".quad {due}",
    ".zero {bytes} - 8",
    ".popsection",
    bytes = const BLOCK_BYTES,
    due = const DUE as i64,
);

/// The calling thread's block.
#[inline(always)]
pub(crate) fn current() -> &'static Thread {
    let address: *const Thread;
    // SAFETY: tpidr_el0 is the thread pointer and the GOT entry the block's offset from it. Only registers are written.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!(
            "adrp {1}, :gottprel:heapql_thread",
            "ldr {1}, [{1}, :gottprel_lo12:heapql_thread]",
            "mrs {0}, tpidr_el0",
            "add {0}, {0}, {1}",
            out(reg) address,
            out(reg) _,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: fs:[0] holds the thread pointer (x86-64 ELF TLS ABI) and the GOT entry the block's offset from it. Only
    // registers are written.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(
            "mov {0}, qword ptr fs:[0]",
            "add {0}, qword ptr [rip + heapql_thread@GOTTPOFF]",
            out(reg) address,
            options(pure, nomem, nostack),
        );
    }
    // SAFETY: the block was reserved above with this size and alignment, its initial bytes are a valid `Thread` (zeroes
    // are valid for every field), and `Thread` is not `Sync`, so the reference stays on this thread.
    unsafe { &*address }
}

/// Counts one allocation and returns the count.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn tick() -> u64 {
    let counter = &current().count;
    counter.set(counter.get().wrapping_add(1));
    counter.get()
}

/// Counts one allocation and returns the count.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn tick() -> u64 {
    let count: u64;
    // SAFETY: as in `current`; the counter is the block's first word, and only this thread writes it.
    unsafe {
        core::arch::asm!(
            "mov {offset}, qword ptr [rip + heapql_thread@GOTTPOFF]",
            "mov {count}, qword ptr fs:[{offset}]",
            "inc {count}",
            "mov qword ptr fs:[{offset}], {count}",
            offset = out(reg) _,
            count = out(reg) count,
            options(nostack),
        );
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_thread_is_due_and_knows_nothing() {
        std::thread::spawn(|| {
            let thread = current();
            assert_eq!(thread.count.get(), DUE);
            assert!(!thread.inside.get());
            assert_eq!(tick(), DUE + 1);
            assert_eq!(thread.count.get(), DUE + 1);
        })
        .join()
        .expect("the thread ends well");
    }
}
