//! Labels the server's own memory: spans of the reader wing become scopes of the recorder.
//!
//! The crates of the reader wing open `tracing` spans, and this layer enters a scope of tenant 500 while a thread is inside one, so that
//! the wings do not depend on each other. It writes no log (`logging`). Used by `logging::start`.

use std::cell::RefCell;

use heapql_sampler::{Label, Scope};
use tracing::{Id, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The tenant of the server itself, and of memory without a tenant.
const SERVER: u64 = 500;
/// OceanBase's DEFAULT_CTX_ID.
const DEFAULT: u64 = 0;

static SQL: Label = Label::new(SERVER, DEFAULT, "sql");
static WIRE: Label = Label::new(SERVER, DEFAULT, "wire");
static REGISTRY: Label = Label::new(SERVER, DEFAULT, "registry");

thread_local! {
    /// Scopes of the spans that this thread is inside, innermost last.
    static INSIDE: RefCell<Vec<Option<Scope>>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct LabelLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LabelLayer {
    fn on_enter(&self, span: &Id, context: Context<'_, S>) {
        let label = context.metadata(span).and_then(|metadata| label_of(metadata.target()));
        // The stack is gone at the end of a thread. Its last allocations have no label.
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(label.map(Label::enter)));
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        let left = INSIDE.try_with(|inside| inside.borrow_mut().pop());
        drop(left);
    }
}

/// The label of a span, by the crate that opened it.
fn label_of(target: &str) -> Option<&'static Label> {
    match target.split("::").next()? {
        "heapql_server" | "heapql_tables" | "heapql_sql" => Some(&SQL),
        "heapql_wire" => Some(&WIRE),
        "heapql_registry" => Some(&REGISTRY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_labelled_by_the_crate_that_opens_them() {
        let same =
            |target: &str, label: &'static Label| label_of(target).is_some_and(|found| std::ptr::eq(found, label));
        assert!(same("heapql_sql::session", &SQL));
        assert!(same("heapql_wire", &WIRE));
        assert!(same("heapql_registry::source", &REGISTRY));
        assert!(label_of("datafusion").is_none());
    }
}
