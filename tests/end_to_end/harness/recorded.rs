//! A program that is recorded into a directory, as by the environment of `heapql env`, while a test gives it orders.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::dialogue::Dialogue;
use super::record_into;

pub(crate) struct Recorded {
    child: Child,
    program: Dialogue,
}

impl Recorded {
    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(program: &Path, arguments: &[&str], dir: &Path, intervals: (u32, u32)) -> Recorded {
        let mut command = Command::new(program);
        record_into(command.args(arguments), dir, intervals);
        Recorded::spawn(command)
    }

    /// Starts a command that has the recorder's environment and waits until it says that it is ready.
    pub(crate) fn spawn(mut command: Command) -> Recorded {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let program = Dialogue::with(&mut child);
        let recorded = Recorded { child, program };
        let line = recorded.program.hear().unwrap_or_default();
        assert!(line.starts_with("ready"), "expected ready, heard {line:?}");
        recorded
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Tells it to do something and waits for its "ok".
    pub(crate) fn order(&mut self, line: &str) {
        self.program.say(line);
        assert_eq!(self.program.hear().as_deref(), Some("ok"), "the answer to {line:?}");
    }
}

/// Its ledger stays.
impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
