//! What a cache knows again, and what it does not.

use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use heapql_unwind::{Lookup, Registers, StackBounds, StackCache, capture, modules_changed};

const ROOM: usize = 64;

type Change = fn(&mut Recorder);

struct Recorder {
    cache: StackCache<4>,
    bounds: StackBounds,
    room: usize,
    start: Option<Registers>,
    skips_first: bool,
    /// Rules are the process's: another test's `modules_changed` would make this one forget.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Recorder {
    fn new() -> Recorder {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        modules_changed();
        let (cache, bounds) = (StackCache::EMPTY, StackBounds::UNKNOWN);
        Recorder { cache, bounds, room: ROOM, start: None, skips_first: false, _alone: alone }
    }

    /// From where this is called: the name of the stack if it is known. Else its depth becomes its name.
    #[inline(never)]
    fn record(&mut self) -> Option<usize> {
        let start = self.start.unwrap_or_else(Registers::here);
        let mut expected = [0; ROOM];
        let plain = capture(start, &mut self.bounds, &mut expected[..self.room]);
        let skip = if self.skips_first { start.pc..start.pc + 1 } else { 0..0 };
        let mut frames = [0; ROOM];
        let recall = self.cache.capture(start, &skip, &mut self.bounds, &mut frames[..self.room]);
        match recall {
            Lookup::Known(name) => {
                assert_eq!((name.get() as usize, frames), (plain.depth, [0; ROOM]));
                Some(plain.depth)
            }
            Lookup::New(walk) => {
                assert!(self.skips_first || (walk, frames) == (plain, expected));
                self.cache.name(NonZeroU64::new(walk.depth as u64).expect("a frame"));
                None
            }
        }
    }
}

#[inline(never)]
fn inner(recorder: &mut Recorder, place: u8) -> Option<usize> {
    black_box(place);
    black_box(recorder.record())
}

/// Two places that call the same function at the same depth.
#[inline(never)]
fn middle(recorder: &mut Recorder, first: bool) -> Option<usize> {
    if black_box(first) {
        let answer = inner(recorder, 1);
        black_box("first");
        answer
    } else {
        let answer = inner(recorder, 2);
        black_box("second");
        answer
    }
}

/// Which of several captures from one place are known. Each is preceded by a change.
#[inline(never)]
fn known(recorder: &mut Recorder, changes: &[(bool, Change)]) -> Vec<bool> {
    let mut answers = Vec::new();
    for (first, change) in black_box(changes) {
        change(recorder);
        answers.push(black_box(middle(recorder, *first)).is_some());
    }
    answers
}

const UNCHANGED: Change = |_| ();
/// From the first place, three times.
const THRICE: [(bool, Change); 3] = [(true, UNCHANGED); 3];

#[test]
fn the_same_stack_is_known() {
    let answers = known(&mut Recorder::new(), &THRICE);
    assert_eq!(answers, [false, true, true]);
}

#[test]
fn another_caller_at_the_same_depth_is_not() {
    // A cache holds both.
    let order = [true, false, false, true, true].map(|first| (first, UNCHANGED));
    assert_eq!(known(&mut Recorder::new(), &order), [false, false, true, true, true]);
}

#[test]
fn other_room_other_rules_and_a_forgotten_stack_are_not() {
    let changes: [Change; 4] = [
        |recorder| recorder.room -= 1,
        |_| modules_changed(),
        |recorder| recorder.cache.forget(),
        |recorder| recorder.room = 4,
    ];
    for change in changes {
        let order = [(true, UNCHANGED), (true, change), (true, UNCHANGED)];
        assert_eq!(known(&mut Recorder::new(), &order), [false, false, true]);
    }
}

#[test]
fn a_stack_without_its_skipped_frames_is_not() {
    let mut recorder = Recorder::new();
    recorder.skips_first = true;
    assert_eq!(known(&mut recorder, &THRICE), [false; 3]);
}

/// A stack of words, of which none is a return address.
#[test]
fn a_stack_that_was_truncated_is_not() {
    let words = [usize::MAX; 64];
    let sp = words.as_ptr().expose_provenance();
    let mut recorder = Recorder::new();
    // SAFETY: the array outlives the recorder.
    recorder.bounds = unsafe { StackBounds::new(sp, sp + size_of_val(&words)) };
    recorder.start = Some(Registers { pc: libc::getpid as *const () as usize + 4, sp, bp: 0 });
    assert_eq!(known(&mut recorder, &THRICE), [false; 3]);
}

#[test]
fn a_stack_of_more_frames_than_a_memo_holds_is_known_by_those_that_have_room() {
    #[inline(never)]
    fn deep(recorder: &mut Recorder, depth: usize) -> Vec<bool> {
        black_box(if depth == 0 { known(recorder, &THRICE) } else { deep(recorder, depth - 1) })
    }
    // Rust's frames on aarch64 are found through x29, which is another word to remember of each.
    let most = if cfg!(target_arch = "aarch64") { 32 } else { ROOM };
    for room in [1, 2, 31, 32, most] {
        let mut recorder = Recorder::new();
        recorder.room = room;
        assert_eq!(deep(&mut recorder, 200), [false, true, true], "{room}");
    }
}
