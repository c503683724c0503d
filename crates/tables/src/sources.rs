//! Reading every source, where one that cannot be read is a warning and never an empty answer.

use std::sync::Arc;

use heapql_registry::{Callsite, Counters, Source, SourceState};

use crate::Scope;
use heapql_server::failure::{FailureKind, Warning};

/// Live callsites of every readable source, each read now.
pub(crate) fn readable(scope: &Scope) -> Vec<(Arc<Source>, Vec<Callsite>)> {
    readable_where(scope, |counters| counters.live_count > 0)
}

/// As [`readable`], the callsites that are wanted by their counters.
pub(crate) fn readable_where(
    scope: &Scope,
    is_wanted: impl Fn(&Counters) -> bool,
) -> Vec<(Arc<Source>, Vec<Callsite>)> {
    let read = |source: Arc<Source>| match callsites_where(&source, &is_wanted) {
        Ok(callsites) => Some((source, callsites)),
        Err(why) => {
            warn(scope, &source, &why);
            None
        }
    };
    scope.server.registry().sources().into_iter().filter_map(read).collect()
}

pub(crate) fn callsites(source: &Source) -> Result<Vec<Callsite>, String> {
    callsites_where(source, |counters| counters.live_count > 0)
}

fn callsites_where(source: &Source, is_wanted: impl Fn(&Counters) -> bool) -> Result<Vec<Callsite>, String> {
    match source.state() {
        SourceState::Unreadable(why) => Err(why),
        SourceState::Alive | SourceState::Dead => source.callsites_where(is_wanted).map_err(|error| error.to_string()),
    }
}

fn warn(scope: &Scope, source: &Source, why: &str) {
    let message = format!("process {} ({}) could not be read and is left out: {why}", source.pid(), source.command());
    scope.diagnostics.push(Warning::new(FailureKind::Query, message));
}

/// As `processes.state` has it.
pub(crate) fn state_name(source: &Source) -> &'static str {
    match source.state() {
        SourceState::Alive => "alive",
        SourceState::Dead => "dead",
        SourceState::Unreadable(_) => "unreadable",
    }
}
