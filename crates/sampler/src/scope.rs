//! Scopes for the C interface: a stack of labels per thread, and the calls by which `preload` serves Rust's labels.
//!
//! Not the Rust interface (`label`), whose guards need no stack. Called by `preload`.

use core::sync::atomic::{Ordering::SeqCst, compiler_fence};

use heapql_ledger::LabelId;

use crate::recorder;
use crate::signal::SignalU16;
use crate::thread;

/// Enters a scope that [`pop`] leaves. False if it could not be entered; it must be popped anyway.
///
/// A signal handler may push and pop at any instruction of this and of [`pop`]: as many of each, so that it leaves the depth and
/// the label as it found them. It writes to places from the present depth on. A place that it writes while this function is
/// about to gets the same label from both; `pop` reads a place as long as the depth covers it.
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
    let before = thread.scopes.get(depth as usize).map(SignalU16::get);
    compiler_fence(SeqCst);
    thread.scope_depth.set(depth);
    if let Some(before) = before {
        recorder::switch(before);
    }
}

/// The number of a label, or -1: `preload` serves the labels of a Rust program with it.
pub fn number_for(wanted: &LabelId, defaults: &recorder::Defaults) -> i32 {
    recorder::label(wanted, defaults).map_or(-1, i32::from)
}

/// As [`number_for`]: makes a number current and returns the one before it.
pub fn switch_to(label: u16) -> u16 {
    recorder::switch(label)
}
