//! `rustmix` with the sampler as its allocator. Run by run.py.

use std::alloc::System;

use heapql_sampler::SamplingAlloc;

#[path = "rustmix.rs"]
mod rustmix;

#[global_allocator]
static ALLOCATOR: SamplingAlloc<System> = SamplingAlloc::new(System);

fn main() {
    rustmix::main();
}
