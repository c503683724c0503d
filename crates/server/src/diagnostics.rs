//! The warnings of one running statement. SHOW WARNINGS and the protocols read them.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::failure::Warning;

/// SHOW WARNINGS keeps this many; MySQL's default is the same.
const MAX_WARNINGS: usize = 64;

/// Warnings of the running statement; clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(Arc<Mutex<Vec<Warning>>>);

impl Diagnostics {
    /// Keeps a warning once, however often a plan reads the table that gives it.
    pub fn push(&self, warning: Warning) {
        let mut list = self.0.lock();
        if list.len() < MAX_WARNINGS && !list.contains(&warning) {
            list.push(warning);
        }
    }

    /// The warnings so far, in the order in which they came.
    pub fn list(&self) -> Vec<Warning> {
        self.0.lock().clone()
    }
}
