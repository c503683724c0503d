//! Bounds what dead processes leave behind.
//!
//! It chooses; `Registry` removes. It never chooses a live process or one that cannot be read. Called by `Registry::sources`, at most once a second.

use std::sync::Arc;

use crate::Settings;
use crate::source::{Source, State};

/// The oldest dead sources beyond the bounds. `sources` are in the order of their creation.
pub(crate) fn oldest_dead(settings: &Settings, sources: &[Arc<Source>]) -> Vec<Arc<Source>> {
    let dead = sources.iter().filter(|source| source.state() == State::Dead);
    let (mut files, mut bytes) = (0, 0);
    let is_beyond = |source: &&Arc<Source>| {
        files += 1;
        bytes += source.ledger_bytes();
        files > settings.keep_dead_files || bytes > settings.keep_dead_bytes
    };
    dead.rev().filter(is_beyond).cloned().collect()
}
