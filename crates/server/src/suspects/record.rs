//! One suspect as it is kept: its numbers, its stack in names and its program, so that no ledger is needed to read it.
//!
//! Made when a suspicion begins and updated at every look until it ends. Used by `suspects` and `files`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heapql_registry::{
    Judgement, LeakLevel, LeakVerdict, ProcessKey, Rate, SeenGrowth, Suspicion, SuspicionState, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::symbols::{Namers, hex};

/// The longest stack, in bytes.
const MAX_STACK_BYTES: usize = 16_384;

/// A suspect, with its first and last time. Times are microseconds since 1970.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SuspectRecord {
    /// The process.
    pub pid: i32,
    /// Time at which its recording began, in nanoseconds since 1970.
    pub process_created_at_ns: u64,
    /// Its command line.
    pub command: String,
    /// Path of its executable.
    pub program: String,
    /// The executable's build-id in hexadecimal, or empty.
    pub build_id: String,
    /// Number of the leak in its process: that of the callsite, or a digest of what its callsites share.
    pub leak_id: u64,
    /// The depth at which it is named.
    pub leak_level: String,
    /// Number of the callsite of which most is live, in the process's ledger.
    pub callsite_id: u64,
    /// Tenant of the allocations.
    pub tenant_id: i64,
    /// Module label of the allocations.
    pub label: String,
    /// The innermost frame of the user's own code.
    pub app_frame: String,
    /// The whole stack, outermost first, frames separated by semicolons.
    pub folded_stack: String,
    /// When it was first suspected.
    pub suspected_at_us: u64,
    /// When its growth was last seen.
    pub confirmed_at_us: u64,
    /// When it was cleared.
    pub cleared_at_us: Option<u64>,
    /// Why it was cleared.
    pub cleared_why: Option<String>,
    /// The process ended while it was suspected.
    pub has_ended: bool,
    /// The reason that was given when its growth was last seen.
    pub why: String,
    /// Estimate of the live bytes, at the last look.
    pub est_bytes: f64,
    /// Its standard error.
    pub est_bytes_error: f64,
    /// Growth in bytes per minute, and its error.
    pub growth: (f64, f64),
    /// Growth in objects per minute, and its error.
    pub growth_count: (f64, f64),
}

/// The record of a suspicion that begins.
pub(super) fn new(verdict: &LeakVerdict, since: SystemTime, now: SystemTime, namers: &mut Namers) -> SuspectRecord {
    let (source, callsite) = (&verdict.source, &verdict.largest);
    // A leak is named where the stacks of its callsites meet.
    let shared = match verdict.place.level {
        LeakLevel::Label | LeakLevel::Process => &callsite.stack[..],
        _ => callsite.stack.get(verdict.place.frames.clone()).unwrap_or_default(),
    };
    let namer = namers.of(source);
    let modules = source.modules().unwrap_or_default();
    let program = modules.iter().find(|module| module.is_program);
    let frames = namer.stack(&callsite.stack, callsite.module_generation);
    let mut record = SuspectRecord {
        pid: source.pid(),
        process_created_at_ns: source.created_at(),
        command: source.command().to_string(),
        program: source.program().to_owned(),
        build_id: program.map(|module| hex(&module.build_id)).unwrap_or_default(),
        leak_id: verdict.place.leak_id,
        leak_level: verdict.place.level.name().to_owned(),
        callsite_id: callsite.callsite_id,
        tenant_id: callsite.tenant_id,
        label: callsite.label.to_string(),
        app_frame: namer.app_frame_text(shared, callsite.module_generation),
        folded_stack: folded(frames.iter().map(|frame| frame.function())),
        suspected_at_us: micros(since),
        confirmed_at_us: micros(now),
        cleared_at_us: None,
        cleared_why: None,
        has_ended: false,
        why: String::new(),
        est_bytes: 0.0,
        est_bytes_error: 0.0,
        growth: (0.0, 0.0),
        growth_count: (0.0, 0.0),
    };
    record.set(verdict, &verdict.seen);
    record
}

/// Frames that are innermost first, as one line that is outermost first.
fn folded(frames: impl DoubleEndedIterator<Item = String>) -> String {
    let mut line = String::new();
    for frame in frames.rev() {
        if line.len() + frame.len() > MAX_STACK_BYTES {
            line.push_str(";...");
            break;
        }
        if !line.is_empty() {
            line.push(';');
        }
        line.push_str(&frame.replace([';', '\n'], ","));
    }
    line
}

impl SuspectRecord {
    /// Neither cleared nor of a process that is known to have ended.
    pub fn is_open(&self) -> bool {
        self.cleared_at_us.is_none() && !self.has_ended
    }

    /// The process.
    pub fn process(&self) -> ProcessKey {
        ProcessKey { pid: self.pid, created_at: self.process_created_at_ns }
    }

    /// When it was first suspected.
    pub fn suspected_at(&self) -> SystemTime {
        time(self.suspected_at_us)
    }

    /// When its growth was last seen.
    pub fn confirmed_at(&self) -> SystemTime {
        time(self.confirmed_at_us)
    }

    /// When it was cleared.
    pub fn cleared_at(&self) -> Option<SystemTime> {
        self.cleared_at_us.map(time)
    }

    /// When recording of its process began.
    pub fn process_started_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.process_created_at_ns)
    }

    /// The suspicion that a server had when it wrote this.
    pub(super) fn suspicion(&self) -> Suspicion {
        let rate = |(per_minute, error): (f64, f64)| Rate { per_minute, error };
        let judgement = Judgement {
            verdict: Verdict::Growing,
            why: self.why.clone(),
            growth: rate(self.growth),
            growth_count: rate(self.growth_count),
            oldest_age: None,
            rank_key: (self.growth.0 - self.growth.1).max(self.growth.0 / 10.0).max(f64::MIN_POSITIVE),
            is_suspect: true,
        };
        Suspicion::restored(
            self.suspected_at(),
            SeenGrowth { at: self.confirmed_at(), judgement, bytes: self.est_bytes },
        )
    }

    pub(super) fn update(&mut self, verdict: &LeakVerdict, suspicion: &Suspicion) {
        self.clear(suspicion);
        if let (SuspicionState::Suspected(_), Some(seen)) = (suspicion.state(), suspicion.seen()) {
            self.confirmed_at_us = micros(seen.at);
            self.set(verdict, &seen.judgement);
        }
    }

    /// Says that it was cleared, if it was.
    pub(super) fn clear(&mut self, suspicion: &Suspicion) {
        if let SuspicionState::Cleared { at, why, .. } = suspicion.state() {
            self.cleared_at_us = Some(micros(*at));
            self.cleared_why = Some(why.clone());
        }
    }

    fn set(&mut self, verdict: &LeakVerdict, said: &Judgement) {
        let bytes = &verdict.est_bytes;
        (self.est_bytes, self.est_bytes_error) = (bytes.value, bytes.error());
        self.growth = (said.growth.per_minute, said.growth.error);
        self.growth_count = (said.growth_count.per_minute, said.growth_count.error);
        self.why.clone_from(&said.why);
    }
}

fn micros(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn time(micros: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_one_line_outermost_first() {
        let frames = ["malloc", "operator()(a; b)", "main"].map(str::to_owned);
        assert_eq!(folded(frames.into_iter()), "main;operator()(a, b);malloc");
        let long = std::iter::repeat_n("x".repeat(1000), 40).collect::<Vec<_>>();
        assert!(folded(long.into_iter()).len() <= MAX_STACK_BYTES + 4);
    }
}
