//! System calls, some of which are the model's: in place of `crates/ledger/src/kernel.rs`, whose names these are.

use core::ffi::c_long;

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

/// # Safety
/// That of the call.
pub unsafe fn call<const N: usize>(number: c_long, arguments: [usize; N]) -> Result<usize, Errno> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: the caller's.
    unsafe { libc::call(number, all) }.map_err(Errno)
}
