//! Other programs, with a bound on the waiting: command line clients, addr2line, and heapql itself.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::eventually;
use super::server::{Ended, kill};

/// The output and the end of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Output {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Its standard output, if it ended well.
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.ended, Ended::Status(0), "{}\n{}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// Runs a command to its end, with `input` as its standard input.
pub(crate) fn tool(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut guard = Guard(command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")));
    let child = &mut guard.0;
    let mut stdin = child.stdin.take().expect("its input is piped");
    let input = input.to_owned();
    // In threads, so that neither side waits for the other. A program that does not read its input may close it.
    std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let stdout = drained(child.stdout.take());
    let stderr = drained(child.stderr.take());
    let ended = eventually(&format!("the end of {command:?}"), || child.try_wait().expect("the child is ours"));
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&thread.join().expect("it does not panic")).into_owned()
    };
    Output { ended: ended.into(), stdout: text(stdout), stderr: text(stderr) }
}

/// Leaves nothing behind when the waiting fails.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            kill(-i32::try_from(self.0.id()).expect("a pid"), libc::SIGKILL);
            let _ = self.0.wait();
        }
    }
}

fn drained(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            // On an error, the bytes that were read before it are the output.
            let _ = from.read_to_end(&mut bytes);
        }
        bytes
    })
}
