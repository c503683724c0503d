//! Messages to the user, on stderr.
//!
//! Data goes to stdout, the log to tracing. `eprintln!` would panic when the reader of stderr is gone, and the target's exit status
//! would be lost. The whole crate uses it.

/// Prints like `eprintln!`, and ignores errors.
macro_rules! say {
    ($($word:tt)*) => {{
        use std::io::Write as _;
        // One write, so that the line is not torn by the target's own output.
        let line = format!("{}\n", format_args!($($word)*));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }};
}

pub(crate) use say;
