//! The C interface to label scopes, and the one that Rust's `Label` uses in a process that is recorded from outside.
//!
//! `include/heapql.h` declares all four as weak symbols, so that programs link and run without HeapQL, and says what they
//! mean. Called by programs.

use core::ffi::{CStr, c_char};

use heapql_sampler::{LabelId, hook};

use crate::due::GLIBC;

/// The allocations of this thread belong to (tenant, ctx, label) until the matching pop. A null label is "". 1 if it is in
/// force, else 0; it must be popped in either case.
///
/// # Safety
/// `label` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heapql_scope_push(tenant_id: u64, ctx_id: u64, label: *const c_char) -> i32 {
    // SAFETY: this caller's promise.
    let text = if label.is_null() { b"" } else { unsafe { CStr::from_ptr(label) }.to_bytes() };
    hook::push(&LabelId { tenant_id, ctx_id, text }, &GLIBC).into()
}

#[unsafe(no_mangle)]
pub extern "C" fn heapql_scope_pop() {
    hook::pop();
}

/// The number of a label for [`heapql_switch`], or -1. A null label is "".
///
/// # Safety
/// `text` is null or points to `bytes` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn heapql_label(tenant_id: u64, ctx_id: u64, text: *const c_char, bytes: usize) -> i32 {
    // SAFETY: this caller's promise.
    let text = if text.is_null() { b"" } else { unsafe { core::slice::from_raw_parts(text.cast(), bytes) } };
    hook::number_for(&LabelId { tenant_id, ctx_id, text }, &GLIBC)
}

/// Makes a label current and returns the one before it. A number that no label has changes nothing.
#[unsafe(no_mangle)]
pub extern "C" fn heapql_switch(label: u16) -> u16 {
    hook::switch_to(label)
}
