//! Any registers and any stack contents: a capture ends, gives no more than it may, and reads nothing beyond the stack
//! (which here lies between two pages that cannot be read).

use heapql_unwind::{Lookup, Registers, StackBounds, StackCache, capture, modules_changed};

const PAGE: usize = 4096;
const STACK: usize = 4 * PAGE;

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % below
    }
}

fn guarded() -> &'static mut [usize] {
    // SAFETY: a mapping of its own, whose middle is made readable and never unmapped.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let start = libc::mmap(std::ptr::null_mut(), STACK + 2 * PAGE, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        let stack = start.byte_add(PAGE);
        assert_eq!(libc::mprotect(stack, STACK, libc::PROT_READ | libc::PROT_WRITE), 0);
        std::slice::from_raw_parts_mut(stack.cast(), STACK / 8)
    }
}

/// Addresses of code are multiples of this.
const INSTRUCTION: usize = if cfg!(target_arch = "aarch64") { 4 } else { 1 };

/// A word as stacks have them: code, stack, small numbers, anything.
fn word(random: &mut Random, low: usize) -> usize {
    match random.next(8) {
        0..4 => libc::qsort as *const () as usize + (random.next(1 << 20) & !(INSTRUCTION - 1)) - (1 << 19),
        4..6 => low + random.next(STACK / 8) * 8,
        6 => random.next(1 << 12),
        _ => random.next(usize::MAX),
    }
}

#[test]
fn a_capture_of_garbage_ends_inside_the_stack() {
    modules_changed();
    let stack = guarded();
    let (low, mut random) = (stack.as_ptr().expose_provenance(), Random(0x2545_f491_4f6c_dd1d));
    let mut deepest = 0;
    let mut cache = StackCache::<4>::EMPTY;
    for _ in 0..20_000 {
        for _ in 0..40 {
            let at = random.next(stack.len());
            stack[at] = word(&mut random, low);
        }
        // SAFETY: readable, as established by `guarded`.
        let mut bounds = unsafe { StackBounds::new(low, low + STACK) };
        let start = Registers {
            pc: word(&mut random, low),
            sp: low + random.next(STACK / 8 + 1) * 8,
            bp: word(&mut random, low),
        };
        if !bounds.contains(start.sp) {
            continue;
        }
        let mut frames = [usize::MAX; 24];
        let walk = capture(start, &mut bounds, &mut frames[..20]);
        assert!(walk.depth <= 20 && frames[walk.depth..].iter().all(|frame| *frame == usize::MAX));
        deepest = deepest.max(walk.depth);
        let again = cache.capture(start, &(0..0), &mut bounds, &mut frames[..20]);
        assert!(matches!(again, Lookup::New(same) if same == walk));
    }
    assert!(deepest >= 6, "{deepest}");
}

#[test]
fn a_stack_pointer_that_is_none_gives_nothing() {
    for sp in [0, 1, 7, PAGE - 8, usize::MAX, usize::MAX - 7, 1 << 47] {
        for pc in [0, 1, libc::qsort as *const () as usize, usize::MAX] {
            let mut frames = [0; 4];
            let walk = capture(Registers { pc, sp, bp: sp }, &mut { StackBounds::UNKNOWN }, &mut frames);
            assert_eq!((walk.depth, frames), (0, [0; 4]));
        }
    }
}
