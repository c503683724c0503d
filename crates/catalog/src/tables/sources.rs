//! Reading every source, where one that cannot be read is a warning and never an empty answer.

use std::sync::Arc;

use heapql_registry::{Callsite, Source, State};

use super::Scope;
use crate::failure::{FailureKind, Warning};

/// Live callsites of every readable source, each read now.
pub(crate) fn readable(scope: &Scope) -> Vec<(Arc<Source>, Vec<Callsite>)> {
    let read = |source: Arc<Source>| match callsites(&source) {
        Ok(callsites) => Some((source, callsites)),
        Err(why) => {
            warn(scope, &source, &why);
            None
        }
    };
    scope.server.registry().sources().into_iter().filter_map(read).collect()
}

pub(crate) fn callsites(source: &Source) -> Result<Vec<Callsite>, String> {
    match source.state() {
        State::Unreadable(why) => Err(why),
        State::Alive | State::Dead => source.callsites().map_err(|error| error.to_string()),
    }
}

fn warn(scope: &Scope, source: &Source, why: &str) {
    let message = format!("process {} ({}) could not be read and is left out: {why}", source.pid(), source.command());
    scope.diagnostics.push(Warning::new(FailureKind::Query, message));
}
