//! Orders to a program of `programs/` and its answers: a line each.

use std::io::Write;
use std::process::{Child, ChildStdin};

use super::lines::Lines;

pub(super) struct Dialogue {
    stdin: Option<ChildStdin>,
    stdout: Lines,
}

impl Dialogue {
    /// Takes the pipes of a child's input and output.
    pub(super) fn with(child: &mut Child) -> Dialogue {
        let stdout = Lines::of(child.stdout.take().expect("its output is piped"));
        Dialogue { stdin: child.stdin.take(), stdout }
    }

    pub(super) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").expect("the program reads its input");
    }

    /// The next line; `None` at the end.
    pub(super) fn hear(&self) -> Option<String> {
        self.stdout.next()
    }

    pub(super) fn close_input(&mut self) {
        self.stdin = None;
    }
}
