//! One line per check, on stdout.

use std::io::{self, Write};

use crate::rows::one_line;

/// The result of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    Fine(String),
    Warn(String),
    Fail(String),
}

#[derive(Default)]
pub(crate) struct Report {
    pub(super) has_failed: bool,
}

impl Report {
    pub(crate) fn line(&mut self, what: &str, finding: Finding) {
        let (verdict, words) = match finding {
            Finding::Fine(words) => ("ok", words),
            Finding::Warn(words) => ("warn", words),
            Finding::Fail(words) => {
                self.has_failed = true;
                ("fail", words)
            }
        };
        // A reader that went away is no reason to fail; names of files and processes may hold anything.
        let _ = writeln!(io::stdout(), "{verdict:<5} {what:<13} {}", one_line(&words));
    }
}
