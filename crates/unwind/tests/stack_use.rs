//! How much stack a capture takes, measured on painted stacks: coroutines have small ones.

use std::ffi::c_void;
use std::hint::black_box;

use heapql_unwind::{Lookup, Registers, StackBounds, StackCache, capture, modules_changed};

const STACK: usize = 256 << 10;
const PAINT: u8 = 0xa5;

struct State {
    cache: StackCache<4>,
    frames: [usize; 32],
    bounds: StackBounds,
}

/// How many bytes a thread that does `work` on its way uses of its stack.
fn used(state: &mut State, work: fn(&mut State)) -> usize {
    extern "C" fn start(argument: *mut c_void) -> *mut c_void {
        // SAFETY: `used` passes it a pair that outlives the thread.
        let (state, work) = unsafe { &mut *argument.cast::<(&mut State, fn(&mut State))>() };
        work(black_box(state));
        std::ptr::null_mut()
    }
    state.bounds = StackBounds::UNKNOWN;
    let mut stack = vec![PAINT; STACK];
    let mut argument = (state, work);
    // SAFETY: the stack and the argument outlive the thread, which is joined.
    unsafe {
        let mut attributes = std::mem::zeroed();
        libc::pthread_attr_init(&raw mut attributes);
        let lowest = stack.as_mut_ptr().add(stack.as_ptr().align_offset(4096));
        assert_eq!(libc::pthread_attr_setstack(&raw mut attributes, lowest.cast(), STACK - 4096), 0);
        let mut thread = std::mem::zeroed();
        let argument = (&raw mut argument).cast();
        assert_eq!(libc::pthread_create(&raw mut thread, &raw const attributes, start, argument), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
    let untouched = stack.iter().skip(4096).take_while(|byte| **byte == PAINT).count();
    STACK - 4096 - untouched
}

fn nothing(state: &mut State) {
    state.bounds.cover(Registers::here().sp);
}

fn plain(state: &mut State) {
    let walk = capture(Registers::here(), &mut state.bounds, &mut state.frames);
    assert!(walk.depth > 3);
}

fn remembered(state: &mut State) {
    let State { cache, frames, bounds } = state;
    assert!(matches!(cache.capture(Registers::here(), &(0..0), bounds, frames), Lookup::New(_)));
}

#[test]
fn a_capture_takes_little_stack() {
    modules_changed();
    let mut state = State { cache: StackCache::EMPTY, frames: [0; 32], bounds: StackBounds::UNKNOWN };
    // The first uses of a thread bind functions, which takes stack of its own.
    used(&mut state, plain);
    let without = used(&mut state, nothing);
    let mut more = |work| {
        modules_changed();
        [0; 2].map(|_| used(&mut state, work).saturating_sub(without))
    };
    let measured = [more(plain), more(remembered)];
    println!("bytes of stack beyond those for the bounds, rules new and known, without and with a cache: {measured:?}");
    assert!(measured.iter().all(|[new, known]| *new <= 2560 && *known <= 512), "{measured:?}");
}
