//! Bounds what dead processes leave behind.
//!
//! It never touches the file of a live process or one it cannot read. Called by `Registry::sources`, at most once a second.

use std::sync::Arc;

use crate::Settings;
use crate::source::{Source, State};

/// Removes the oldest dead sources beyond the bounds and returns them. `sources` are in the order of their creation.
pub(crate) fn remove_oldest_dead(settings: &Settings, sources: &[Arc<Source>]) -> Vec<Arc<Source>> {
    let dead: Vec<_> = sources
        .iter()
        .filter(|source| source.state() == State::Dead)
        .collect();
    let (mut files, mut bytes) = (0, 0);
    let mut removed = Vec::new();
    for source in dead.into_iter().rev() {
        files += 1;
        bytes += source.ledger_bytes();
        if (files > settings.keep_dead_files || bytes > settings.keep_dead_bytes)
            && std::fs::remove_file(source.path()).is_ok()
        {
            removed.push(source.clone());
        }
    }
    removed
}
