//! Bounds what dead processes leave behind: ledgers that hold nothing go first, then those that hold little, then the oldest.
//!
//! It chooses and `Registry` removes. It never chooses a live process, one that cannot be read, or a ledger that some process
//! still has mapped, as one of another pid namespace has. Recorded processes do as much for themselves where there is no
//! server (`ledger::retention`). Called by `Registry::sources`, at most twice a second.

use std::sync::Arc;

use crate::RegistrySettings;
use crate::source::{Remains, Source, SourceState};

/// One in this many of the processes that are kept counts as having just ended.
const JUST_ENDED: usize = 4;

/// The dead sources beyond the bounds. `sources` are in the order of their creation.
pub(crate) fn beyond(settings: &RegistrySettings, sources: &[Arc<Source>]) -> Vec<Arc<Source>> {
    let dead: Vec<_> = sources.iter().filter(|source| source.state() == SourceState::Dead).collect();
    let (mut files, mut bytes) = (dead.len(), dead.iter().map(|source| source.ledger_bytes()).sum::<u64>());
    let fits = |files, bytes| files <= settings.keep_dead_files && bytes <= settings.keep_dead_bytes;
    if fits(files, bytes) {
        return Vec::new();
    }
    // A shell that forks for each line makes hundreds of these a minute: the one that was killed for want of memory is to
    // outlast them. A process that has just ended does not count as little yet, or it would be gone before a query.
    let settled = dead.len().saturating_sub(settings.keep_dead_files / JUST_ENDED);
    let mut dead: Vec<_> = dead.into_iter().enumerate().collect();
    // The sort is stable: within each kind the oldest come first.
    dead.sort_by_key(|(age, source)| match source.remains() {
        Remains::Nothing => 0,
        Remains::Little if *age < settled => 1,
        Remains::Little | Remains::Much => 2,
    });
    let mut chosen = Vec::new();
    for (_, source) in dead {
        if fits(files, bytes) {
            break;
        }
        if !source.is_held() {
            files -= 1;
            bytes -= source.ledger_bytes().min(bytes);
            chosen.push(source.clone());
        }
    }
    chosen
}
