//! Words for the user, on stderr.
//!
//! Not data (that is stdout) and not the log (that is tracing). `eprintln!` would panic when stderr is a pipe that nobody
//! reads any more, and take the target's exit status with it. Called everywhere in this crate.

/// Like `eprintln!`, but what cannot be written is lost.
macro_rules! say {
    ($($word:tt)*) => {{
        use std::io::Write as _;
        // One write, so that the line is not torn by the target's own output.
        let line = format!("{}\n", format_args!($($word)*));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }};
}

pub(crate) use say;
