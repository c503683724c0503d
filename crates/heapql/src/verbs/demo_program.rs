//! `heapql demo-program`: a small service that leaks, for `demo` to record. It runs until it is killed.
//!
//! It has three kinds of memory, as real programs have: a cache that fills up and then stays, requests that come and go, and sessions that
//! are never freed (about 100 KiB/s). It does not know that it is recorded.

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::stderr::say;

const TICK: Duration = Duration::from_millis(10);
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// The leak must be the first row after a few seconds.
const SESSION_BYTES: usize = 256;
const SESSIONS_PER_TICK: usize = 4;
const CACHE_ENTRIES: usize = 100;
const PAGE_BYTES: usize = 4000;
const REQUESTS_PER_TICK: usize = 8;

/// The memory of the service.
struct DemoService {
    sessions: Vec<Vec<u8>>,
    cache: VecDeque<Vec<u8>>,
    served: u64,
}

pub(crate) fn run() -> Result<ExitCode, Error> {
    let mut service = DemoService { sessions: Vec::new(), cache: VecDeque::new(), served: 0 };
    let mut reported = Instant::now();
    loop {
        for _ in 0..SESSIONS_PER_TICK {
            open_session(&mut service);
        }
        for _ in 0..REQUESTS_PER_TICK {
            serve_request(&mut service);
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            say!(
                "demo: {} requests served, {} pages in the cache, nothing to see here",
                service.served,
                service.cache.len()
            );
        }
        thread::sleep(TICK);
    }
}

#[inline(never)]
fn open_session(service: &mut DemoService) {
    service.sessions.push(leak_session());
}

/// The leak: sessions are opened and never closed.
#[inline(never)]
fn leak_session() -> Vec<u8> {
    black_box(vec![1; SESSION_BYTES])
}

/// Steady work: all allocations are freed before it returns, except an occasional page.
#[inline(never)]
fn serve_request(service: &mut DemoService) {
    let request = parse_request(service.served);
    let answer = render_answer(&request);
    service.served += u64::from(!black_box(answer).is_empty());
    if service.served.is_multiple_of(16) {
        cache_page(service);
    }
}

#[inline(never)]
fn parse_request(number: u64) -> Vec<String> {
    black_box((0..4).map(|field| format!("field-{field}={number}")).collect())
}

#[inline(never)]
fn render_answer(request: &[String]) -> String {
    black_box(request.join("&"))
}

/// Adds a page to the bounded cache. A full cache drops its oldest page.
#[inline(never)]
fn cache_page(service: &mut DemoService) {
    if service.cache.len() == CACHE_ENTRIES {
        service.cache.pop_front();
    }
    service.cache.push_back(black_box(vec![2; PAGE_BYTES]));
}
