//! What a scope costs a Rust program: `price WHAT COUNT` enters and leaves so many, and prints nanoseconds for each.
//!
//! An example of `heapql-sampler` only so that cargo builds it alone. Run by `run.py`, under callgrind and by the clock.

use std::alloc::System;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Instant;

use heapql_sampler::{Label, SamplingAlloc, scope};

#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::new(System);

static FIXED: Label = Label::new(1001, 0, "fixed");

async fn one_poll(count: u64) {
    for _ in 0..count {
        let mut first = true;
        std::future::poll_fn(|_| {
            if std::mem::take(&mut first) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
    }
}

fn poll_to_the_end(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut context).is_pending() {}
}

/// So many labels exist, and scopes are of each in turn: what a program with a label per customer does.
fn run_time(labels: usize, count: u64) {
    let names: Vec<String> = (0..labels).map(|nth| format!("customer{nth}")).collect();
    for nth in 0..count as usize {
        drop(black_box(scope(1001, 0, black_box(&names[nth % labels]))));
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().expect("what to do");
    let count: u64 = arguments.next().and_then(|count| count.parse().ok()).expect("how often");
    let started = Instant::now();
    match what.as_str() {
        "loop" => (0..count).for_each(|nth| _ = black_box(nth)),
        "static" => (0..count).for_each(|_| drop(black_box(FIXED.enter()))),
        "run time, 1" => run_time(1, count),
        "run time, 50" => run_time(50, count),
        "run time, 500" => run_time(500, count),
        "run time, too many" => run_time(600, count),
        "poll" => poll_to_the_end(one_poll(count)),
        "poll in scope" => poll_to_the_end(FIXED.around(one_poll(count))),
        _ => panic!("unknown: {what}"),
    }
    println!("{}", started.elapsed().as_nanos() as f64 / count as f64);
}
