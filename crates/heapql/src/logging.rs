//! The log: tracing, on stderr, filtered by HEAPQL_LOG.
//!
//! Messages of verbs to their user are `stderr`'s. Called once by `main`.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::labels::LabelLayer;
use crate::stderr::say;

/// The variable, for example `HEAPQL_LOG=debug` or `HEAPQL_LOG=heapql_wire=trace`.
const VARIABLE: &str = "HEAPQL_LOG";

pub(crate) fn start(default: LevelFilter) {
    let filter = EnvFilter::builder().with_default_directive(default.into()).with_env_var(VARIABLE);
    let filter = filter.try_from_env().unwrap_or_else(|error| {
        // An unset variable is no error.
        if std::env::var_os(VARIABLE).is_some() {
            say!("warning: {VARIABLE} is ignored: {error}");
        }
        EnvFilter::default().add_directive(default.into())
    });
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour)
        // It would be reported with eprintln!, which panics when stderr is gone.
        .log_internal_errors(false)
        .with_filter(filter);
    let labels =
        LabelLayer.with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("heapql_")));
    tracing_subscriber::registry().with(lines).with(labels).init();
}
