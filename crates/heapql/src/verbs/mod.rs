//! The verbs, one file each: `run(arguments)` carries one out and returns the exit status.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod demo_program;
pub(crate) mod doctor;
pub(crate) mod env;
pub(crate) mod pictures;
pub(crate) mod ps;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod set;
pub(crate) mod sql;
pub(crate) mod top;
