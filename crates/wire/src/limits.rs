//! Limits that several protocols share. Those of one protocol are in its own files.

use std::time::Duration;

/// Timeout from accept to a session.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a message before log-in.
pub(crate) const LIMIT_BEFORE_LOGIN: usize = 64 * 1024;
/// Maximum size of a message after log-in: a statement with its parameters.
pub(crate) const LIMIT_AFTER_LOGIN: usize = 16 * 1024 * 1024;
