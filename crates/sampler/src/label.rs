//! Scopes: whose memory is allocated now, as tenant, context and label.
//!
//! Per thread; a scope costs two table look-ups when it is entered and left, and nothing per allocation. Not a way to
//! measure time. Called by Rust programs; the C interface is `scope`.

use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::task::{Context, Poll};

use heapql_ledger::LabelId;

use crate::alloc::{RUST, preloaded};
use crate::recorder;

/// A label that is looked up once: for a `static`.
pub struct Label {
    tenant_id: u64,
    ctx_id: u64,
    text: &'static str,
    /// Its number plus one, once known.
    number: AtomicU32,
}

/// The allocations of this thread belong to the scope's label until this is dropped.
#[must_use = "a scope ends when its guard is dropped"]
pub struct Scope {
    before: Option<u16>,
    /// Scopes belong to the thread that entered them.
    not_send: PhantomData<*const ()>,
}

impl Label {
    /// `text` is cut at 15 bytes.
    pub const fn new(tenant_id: u64, ctx_id: u64, text: &'static str) -> Label {
        Label { tenant_id, ctx_id, text, number: AtomicU32::new(0) }
    }

    /// Enters the scope. If nothing is recorded, or there are too many labels, it changes nothing.
    pub fn enter(&self) -> Scope {
        let number = match self.number.load(Relaxed) {
            0 => self.look_up(),
            known => Some((known - 1) as u16),
        };
        Scope { before: number.map(switch), not_send: PhantomData }
    }

    #[cold]
    fn look_up(&self) -> Option<u16> {
        let number = number(&LabelId { tenant_id: self.tenant_id, ctx_id: self.ctx_id, text: self.text.as_bytes() })?;
        self.number.store(u32::from(number) + 1, Relaxed);
        Some(number)
    }

    /// A future whose allocations belong to this label, on whatever thread it is polled.
    pub fn around<F: Future>(&'static self, future: F) -> InScope<F> {
        InScope { label: self, future }
    }
}

/// Enters a scope for this thread, until the guard is dropped. With a fixed label a `static` [`Label`] is cheaper.
pub fn scope(tenant_id: u64, ctx_id: u64, label: &str) -> Scope {
    let number = number(&LabelId { tenant_id, ctx_id, text: label.as_bytes() });
    Scope { before: number.map(switch), not_send: PhantomData }
}

fn number(wanted: &LabelId) -> Option<u16> {
    match preloaded() {
        Some(functions) => functions.label(wanted),
        None => recorder::label(wanted, &RUST),
    }
}

fn switch(label: u16) -> u16 {
    match preloaded() {
        Some(functions) => functions.switch(label),
        None => recorder::switch(label),
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            switch(before);
        }
    }
}

/// See [`Label::around`].
pub struct InScope<F> {
    label: &'static Label,
    future: F,
}

impl<F: Future> Future for InScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _scope = self.label.enter();
        // SAFETY: `future` is pinned because `self` is: it is never moved out, and `InScope` has no Drop of its own.
        unsafe { self.map_unchecked_mut(|this| &mut this.future) }.poll(context)
    }
}
