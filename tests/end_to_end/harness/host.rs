//! Probes of what the machine and the user allow. A test that needs more than every host has asks here first, and what it then leaves
//! out is reported: at once on standard error, and in the list that `test.sh` prints at its end.
//!
//! A probe never involves the recorder, so that a fault of the recorder is never mistaken for one of the host.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use super::{Ended, tool};

/// The file that collects what was left out, one line each. `test.sh` sets it.
const LIST: &str = "TESTS_LEFT_OUT";

/// Reports that the calling test leaves something out.
pub(crate) fn left_out(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {}\n", thread.name().unwrap_or("a test"), why.trim());
    // `eprintln!` would be captured and shown for failed tests only.
    let _ = std::io::stderr().write_all(format!("left out: {line}").as_bytes());
    if let Some(list) = std::env::var_os(LIST) {
        let file = OpenOptions::new().append(true).create(true).open(list);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the list can be written");
    }
}

/// Whether the user is root; reports what is left out otherwise.
pub(crate) fn is_root() -> bool {
    // SAFETY: no memory is involved.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        left_out("needs root");
    }
    is_root
}

/// Whether a command succeeds on this host; reports what is left out otherwise, with what the command said.
pub(crate) fn can(what: &str, command: &mut Command) -> bool {
    let output = tool(command, "");
    let works = output.ended == Ended::Status(0);
    if !works {
        let said = format!("{}{}", output.stdout, output.stderr);
        left_out(&format!("the host cannot {what}: {}", said.trim().lines().last().unwrap_or("it says nothing")));
    }
    works
}

/// Whether a mount namespace of one's own may be made and changed. Root inside a container often may not.
pub(crate) fn can_mount() -> bool {
    let script = "mount -t tmpfs none /mnt";
    can("mount in a namespace of its own", Command::new("/usr/bin/unshare").args(["-m", "/bin/sh", "-c", script]))
}
