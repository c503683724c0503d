//! Runs the models, all or those whose names contain an argument: `run.sh`.
//!
//! Not a copy of anything but `signal`: the modules below are the product's files. A model fails by a panic that says what did not hold.

// Some of the product's functions are for callers that are not here.
#![allow(dead_code, unreachable_pub, unused_imports)]

extern crate checked_core as core;

mod callsites;
mod intervals;
mod lock;
mod objects;
mod recording;
mod signal;
mod signals;

#[rustfmt::skip]
#[path = "../../../crates/sampler/src/decide.rs"]
mod decide;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/environment.rs"]
mod environment;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/gaps.rs"]
mod gaps;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/guard.rs"]
mod guard;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/labels.rs"]
mod labels;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/losses.rs"]
mod losses;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/modules.rs"]
mod modules;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/pool/mod.rs"]
mod pool;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/recorder/mod.rs"]
mod recorder;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/scope.rs"]
mod scope;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/text.rs"]
mod text;
#[rustfmt::skip]
#[path = "../../../crates/sampler/src/thread.rs"]
mod thread;

/// Name, preemptions to try, model.
type Model = (&'static str, usize, fn());

fn main() {
    for name in ["HEAPQL_MIN", "HEAPQL_MAX"] {
        // SAFETY: there is no other thread.
        unsafe { std::env::set_var(name, "1") };
    }
    let filter = std::env::args().nth(1).unwrap_or_default();
    let models = [lock::MODELS, callsites::MODELS, intervals::MODELS, objects::MODELS, recording::MODELS].concat();
    for (name, preemptions, model) in models.into_iter().filter(|(name, ..)| name.contains(&filter)) {
        eprint!("{name}: ");
        let began = std::time::Instant::now();
        let runs = core::model::explore(preemptions, model);
        eprintln!("{runs} interleavings, {:.1} s", began.elapsed().as_secs_f32());
    }
    signals::run(&filter);
}

/// Threads of a model.
#[macro_export]
macro_rules! at_once {
    ($($thread:expr),* $(,)?) => {
        core::model::threads(vec![$(Box::new($thread)),*])
    };
}
