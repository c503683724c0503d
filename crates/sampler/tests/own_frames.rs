//! What a Rust program's stacks begin with: its own function, or a collection's, never the recorder's nor the compiler's
//! allocation shims, however they are mangled. The test is the program: it records itself and reads its own ledger.

use std::alloc::System;
use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt;

use heapql_ledger::{Intervals, Ledger};
use heapql_sampler::SamplingAlloc;

#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::held(System);

const BOXED: usize = 10_007;
const RESERVED: usize = 10_009;
const ZEROED: usize = 10_037;
const GROWN: usize = 20_011;

#[inline(never)]
fn user_boxes() -> Box<[u8; BOXED]> {
    black_box(Box::new(black_box([1; BOXED])))
}

#[inline(never)]
fn user_reserves() -> Vec<u8> {
    black_box(Vec::with_capacity(black_box(RESERVED)))
}

#[inline(never)]
fn user_zeroes() -> Vec<u8> {
    black_box(vec![0; black_box(ZEROED)])
}

#[inline(never)]
fn user_grows() -> Vec<u8> {
    let mut grown: Vec<u8> = black_box(Vec::with_capacity(black_box(64)));
    grown.push(1);
    grown.reserve_exact(black_box(GROWN - 1));
    black_box(grown)
}

#[inline(never)]
fn user_collects() -> (HashMap<usize, String>, BTreeMap<String, usize>) {
    black_box(((0..100).map(|i| (i, format!("{i}"))).collect(), (0..100).map(|i| (format!("{i}"), i)).collect()))
}

/// The function that the return address `pc` lies in, not those that were inlined into it.
fn function(pc: u64) -> String {
    let mut name = String::from("?");
    backtrace::resolve((pc - 1) as *mut c_void, |symbol| {
        if let Some(found) = symbol.name() {
            name = found.to_string();
        }
    });
    name
}

#[test]
fn stacks_begin_in_the_program() {
    let dir = tempfile::tempdir().expect("a directory");
    heapql_sampler::start(dir.path().as_os_str().as_bytes(), Some(Intervals { min: 1, max: 1 }));
    let kept = (user_boxes(), user_reserves(), user_zeroes(), user_grows(), user_collects());

    let path = std::fs::read_dir(dir.path()).expect("readable").next().expect("a ledger").expect("an entry").path();
    let ledger = Ledger::open(&path).expect("valid");
    let callsites = ledger.callsites().expect("readable");
    let stacks = callsites.iter().map(|site| {
        let frames = ledger.words(site.stack_at, site.depth.into()).expect("readable");
        (site.live_bytes, frames.into_iter().map(function).collect::<Vec<_>>())
    });
    let stacks: Vec<(i64, Vec<String>)> = stacks.collect();
    assert!(stacks.len() > 8, "{stacks:#?}");
    // With debugging information names come without their paths.
    let own = ["heapql_sampler", "sample<", "sampled<", "__rust_alloc", "__rust_realloc", "__rdl_", "__rg_"];
    for (_, functions) in &stacks {
        let is_own = |name: &String| own.iter().any(|part| name.contains(part));
        assert!(!functions.iter().any(is_own), "{functions:#?}");
    }
    // Which of the library's functions are between is the optimiser's choice.
    let ways = [(BOXED, "user_boxes"), (RESERVED, "user_reserves"), (ZEROED, "user_zeroes"), (GROWN, "user_grows")];
    for (bytes, name) in ways {
        let stack = stacks.iter().find(|stack| stack.0 == bytes as i64).map(|stack| &stack.1);
        let functions = stack.unwrap_or_else(|| panic!("no stack of {bytes} bytes"));
        let at = functions.iter().position(|function| function.contains(name)).expect("the function is in its stack");
        assert!(at <= if bytes == GROWN { 3 } else { 2 }, "{functions:#?}");
    }
    drop(kept);
}
