//! Scopes for the C interface: a stack of labels per thread, and the calls by which `preload` serves Rust's labels.
//!
//! Not the Rust interface (`label`), whose guards need no stack. Called by `preload`.

use heapql_ledger::LabelId;

use crate::recorder;
use crate::thread::{self, SCOPES};

/// Of the C interface: enters a scope that [`pop`] leaves. False if it could not be entered; it must be popped anyway.
pub fn push(wanted: &LabelId, defaults: &recorder::Defaults) -> bool {
    let thread = thread::current();
    let depth = thread.scope_depth.get();
    thread.scope_depth.set(depth.saturating_add(1));
    let Some(place) = thread.scopes.get(depth as usize) else {
        return false;
    };
    place.set(thread.label.get());
    recorder::label(wanted, defaults).map(recorder::switch).is_some()
}

/// Leaves the scope entered last. Without one it does nothing.
pub fn pop() {
    let thread = thread::current();
    let Some(depth) = thread.scope_depth.get().checked_sub(1) else {
        return;
    };
    thread.scope_depth.set(depth);
    if (depth as usize) < SCOPES
        && let Some(place) = thread.scopes.get(depth as usize)
    {
        recorder::switch(place.get());
    }
}

/// For `preload`, which serves the [`Label`]s of a Rust program: the number of a label, or -1.
pub fn number_for(wanted: &LabelId, defaults: &recorder::Defaults) -> i32 {
    recorder::label(wanted, defaults).map_or(-1, i32::from)
}

/// As [`number_for`]: makes a number current and returns the one before it.
pub fn switch_to(label: u16) -> u16 {
    recorder::switch(label)
}
