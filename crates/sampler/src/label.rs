//! Scopes: whose memory is allocated now, as tenant, context and label.
//!
//! Per thread: what this thread allocates while a scope is entered belongs to its label, whoever frees it and whenever. The
//! price is paid when a scope is entered and left (`benches/labels`), nothing per allocation. Not a way to measure time.
//! Called by Rust programs; the C interface is `scope`.
//!
//! It works in a program whose global allocator is [`SamplingAlloc`](crate::SamplingAlloc), in one that is recorded by the
//! preload library, whatever its allocator, and does nothing in one that is neither.
//!
//! Tenants are 1..=i64::MAX (OceanBase: 1 = sys, 500 = the server itself, users from 1001), contexts 0..=i64::MAX
//! (0 = DEFAULT_CTX_ID); others are refused with one line on stderr. A process has at most 512 labels; scopes of further
//! ones are counted as `labels_full` in `self_usage`. What is refused leaves the label around it in force.

extern crate alloc;

use alloc::boxed::Box;
use core::future::Future;
use core::hint::black_box;
use core::marker::PhantomData;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use core::task::{Context, Poll};

use heapql_ledger::{LABEL_BYTES, LabelId};

use crate::alloc::{RUST, preloaded};
use crate::recorder;

/// A label that is looked up once, at its first use: for a `static`, or for what outlives one scope.
///
/// ```
/// use heapql_sampler::Label;
///
/// static CACHE: Label = Label::new(1001, 0, "cache");
///
/// fn fill() -> Vec<u8> {
///     let _scope = CACHE.enter();
///     vec![0; 4096]
/// }
/// # assert_eq!(fill().len(), 4096);
/// ```
#[derive(Debug)]
pub struct Label {
    tenant_id: u64,
    ctx_id: u64,
    /// Zeroes follow it.
    text: [u8; LABEL_BYTES],
    /// Its number plus one, once known.
    number: AtomicU32,
}

/// The allocations of this thread belong to the scope's label until this is dropped, in a panic too.
///
/// Scopes of one thread end in the reverse order of their beginnings; one that is dropped out of turn makes the label
/// current that was so when it began. It must not be held across an `.await`, where another task of the same thread may
/// run: that is what [`Label::around`] is for. A scope does not leave its thread, nor does a future that holds one:
///
/// ```compile_fail
/// let scope = heapql_sampler::scope(1001, 0, "request");
/// std::thread::spawn(move || drop(scope));
/// ```
/// ```compile_fail
/// fn spawn<F: Future + Send>(_: F) {}
/// spawn(async {
///     let _scope = heapql_sampler::scope(1001, 0, "request");
///     std::future::ready(()).await;
/// });
/// ```
#[must_use = "a scope ends when its guard is dropped"]
#[derive(Debug)]
pub struct Scope {
    before: Option<u16>,
    /// Scopes belong to the thread that entered them.
    not_send: PhantomData<*const ()>,
}

impl Label {
    /// At most 15 bytes of `text`, and no part of a character, make the label.
    pub const fn new(tenant_id: u64, ctx_id: u64, text: &str) -> Label {
        let from = text.as_bytes();
        let mut text = [0; LABEL_BYTES];
        let mut at = 0;
        while at < LabelId::kept(from) {
            text[at] = from[at];
            at += 1;
        }
        Label { tenant_id, ctx_id, text, number: AtomicU32::new(0) }
    }

    /// Enters the scope. If nothing is recorded, or the label is refused, it changes nothing.
    #[inline]
    pub fn enter(&self) -> Scope {
        let number = match self.number.load(Relaxed) {
            0 => self.look_up(),
            known => Some((known - 1) as u16),
        };
        Scope { before: number.map(switch), not_send: PhantomData }
    }

    #[cold]
    fn look_up(&self) -> Option<u16> {
        let number = number(&LabelId { tenant_id: self.tenant_id, ctx_id: self.ctx_id, text: &self.text })?;
        self.number.store(u32::from(number) + 1, Relaxed);
        Some(number)
    }

    /// A future whose allocations belong to this label, on whatever thread it is polled: for what a task does itself.
    /// What allocates the task (`spawn`, `Box::pin`) is outside it.
    ///
    /// ```
    /// # use heapql_sampler::Label;
    /// static CHECKOUT: Label = Label::new(1001, 0, "checkout");
    /// # fn spawn<F: Future + Send + 'static>(_: F) {}
    /// spawn(CHECKOUT.around(async { std::future::ready(()).await }));
    /// ```
    pub fn around<F: Future>(&self, future: F) -> InScope<F> {
        InScope { label: self.clone(), future }
    }
}

impl Clone for Label {
    fn clone(&self) -> Label {
        let Label { tenant_id, ctx_id, text, ref number } = *self;
        Label { tenant_id, ctx_id, text, number: AtomicU32::new(number.load(Relaxed)) }
    }
}

/// Enters a scope for this thread, until the guard is dropped. Where the label is fixed a `static` [`Label`] is cheaper.
#[inline]
pub fn scope(tenant_id: u64, ctx_id: u64, label: &str) -> Scope {
    let number = number(&LabelId { tenant_id, ctx_id, text: label.as_bytes() });
    Scope { before: number.map(switch), not_send: PhantomData }
}

fn number(wanted: &LabelId) -> Option<u16> {
    match preloaded() {
        Some(functions) => functions.label(wanted),
        None if is_recorded() => recorder::label(wanted, &RUST),
        None => None,
    }
}

/// False in a program that only links this crate: it shall get no ledger by asking for a label. An allocation tells, since
/// the first ones that reach the sampler are due.
fn is_recorded() -> bool {
    static ELSEWHERE: AtomicBool = AtomicBool::new(false);
    if !recorder::is_unopened() {
        return true;
    }
    if ELSEWHERE.load(Relaxed) {
        return false;
    }
    drop(black_box(Box::new(0_u8)));
    ELSEWHERE.store(recorder::is_unopened(), Relaxed);
    !recorder::is_unopened()
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
#[derive(Debug)]
#[must_use = "a future does nothing unless it is polled"]
pub struct InScope<F> {
    label: Label,
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
