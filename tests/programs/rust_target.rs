//! A Rust program that chose the sampler as its allocator, driven by the tests.
//!
//! Not an example of good style: it does what it is told. Each line of stdin is `TENANT CTX LABEL COUNT BYTES` (allocate
//! that under the label), `- - - COUNT BYTES` (under no label), `free` (drop everything) or `threads COUNT BYTES` (each of
//! four threads under a label of its own); "ok" answers it. Started by `own_rows` in the end-to-end tests.

use std::alloc::System;
use std::hint::black_box;

use heapql_sampler::{SamplingAlloc, scope};

#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::new(System);

type Held = Vec<Box<[u8]>>;

#[inline(never)]
fn fill(held: &mut Held, count: usize, bytes: usize) {
    held.reserve(count);
    for _ in 0..count {
        held.push(black_box(vec![1; bytes].into_boxed_slice()));
    }
}

fn number(word: Option<&str>) -> usize {
    word.and_then(|word| word.parse().ok()).expect("a number")
}

fn labelled(words: &mut std::str::SplitWhitespace, tenant: &str, held: &mut Held) {
    let (ctx, label) = (words.next().expect("a context"), words.next().expect("a label"));
    let (count, bytes) = (number(words.next()), number(words.next()));
    if tenant == "-" {
        return fill(held, count, bytes);
    }
    let _scope = scope(number(Some(tenant)) as u64, number(Some(ctx)) as u64, label);
    // A scope within a scope ends before it.
    drop(scope(1, 1, "inner"));
    fill(held, count, bytes);
}

fn threads(count: usize, bytes: usize) -> Held {
    let work = move |nth: u64| {
        let label = format!("thread{nth}");
        let _scope = scope(1000 + nth, 0, &label);
        let mut held = Held::new();
        fill(&mut held, count, bytes);
        held
    };
    let started: Vec<_> = (0..4).map(|nth| std::thread::spawn(move || work(nth))).collect();
    started.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
}

fn main() {
    let mut held = Held::new();
    println!("ready {}", std::process::id());
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let mut words = line.split_whitespace();
        match words.next() {
            Some("free") => held.clear(),
            Some("threads") => held.extend(threads(number(words.next()), number(words.next()))),
            Some(tenant) => labelled(&mut words, tenant, &mut held),
            None => break,
        }
        println!("ok");
    }
}
