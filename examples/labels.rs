//! Labels in Rust: blocks, functions, threads, and tasks that interleave on the threads of a runtime.
//!
//! The program carries its own recorder, so it is recorded as it is; under `heapql run` it is recorded from outside, with the
//! same labels. The tests run it both ways and ask for its rows.
//!
//!     cargo build -p heapql-tests --bin labels && target/debug/labels    # says "ready" and waits; heapql sql "SELECT ..."

use std::alloc::System;
use std::hint::black_box;
use std::io::stdin;
use std::thread;

use heapql_sampler::{Label, SamplingAlloc, scope};

#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::new(System);

static CACHE: Label = Label::new(1001, 12, "cache");
static REPORT: Label = Label::new(1001, 0, "report");
static BACKGROUND: Label = Label::new(1003, 0, "background");

const BYTES: usize = 3000;

/// Kept until the end of the process.
#[inline(never)]
fn hold(count: usize) {
    for _ in 0..count {
        black_box(Vec::<u8>::with_capacity(BYTES)).leak();
    }
}

fn report() {
    let _scope = REPORT.enter();
    hold(20);
}

/// A request that is interrupted after every allocation, by other requests on the same thread.
async fn request(turns: usize) {
    for _ in 0..turns {
        hold(1);
        tokio::task::yield_now().await;
    }
}

/// A label that is known at run time only.
async fn shop(number: u64) {
    let label = Label::new(2000 + number, 0, &format!("shop{number}"));
    label.around(request(40)).await;
    // Outside it again, in the same task.
    hold(1);
}

async fn serve() {
    let mut tasks = Vec::new();
    for number in 0..8 {
        tasks.push(tokio::spawn(shop(number)));
        tasks.push(tokio::spawn(BACKGROUND.around(request(30))));
    }
    for task in tasks {
        task.await.expect("a task that ends well");
    }
}

fn main() {
    hold(5);
    {
        let _scope = CACHE.enter();
        hold(10);
        report();
        hold(10);
    }
    {
        let _scope = scope(1001, 0, "run time");
        hold(3);
        // A panic ends the scopes that it passes.
        let ended = std::panic::catch_unwind(|| {
            let _scope = scope(1001, 0, "panic");
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(ended.is_err());
        hold(3);
    }
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(report);
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(serve());
    println!("ready {}", std::process::id());
    stdin().read_line(&mut String::new()).expect("a line");
}
