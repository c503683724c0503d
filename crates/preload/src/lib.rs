//! `libheapql_preload.so`: the C allocation functions of an unmodified program, with a recorder behind them.
//!
//! Each exported function is a few instructions in front of the one that the program would have called without us (`next`;
//! mostly glibc's): count the allocation, compare, go on. What may be due goes to `due.rs`, with the caller's registers as they
//! are at the call, so that no frame of ours is ever in a stack. It decides nothing (`sampler`) and it is not loaded by
//! programs that call the sampler themselves. Loaded by ld.so, through LD_PRELOAD.
#![deny(missing_docs)]
#![cfg_attr(feature = "freestanding", no_std)]
#![allow(unreachable_pub, reason = "what the program calls is exported by name, not by path")]

mod children;
mod due;
mod next;
mod redirect;
mod scopes;
mod start;
#[cfg_attr(target_arch = "x86_64", path = "stubs/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "stubs/aarch64.rs")]
mod stubs;
mod threads;
mod usable;

#[cfg(feature = "freestanding")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: abort is always allowed. Nothing here panics; should it, the core dump says where.
    unsafe { libc::abort() }
}

// The compiler's own division of 128 bits names it on aarch64. Nothing unwinds here, so nothing calls it; hidden, because a
// Rust program's libraries have one that is called.
#[cfg(all(feature = "freestanding", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".pushsection .text.rust_eh_personality,\"ax\",@progbits",
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality,@function",
    "rust_eh_personality:",
    "brk #1",
    ".size rust_eh_personality, . - rust_eh_personality",
    ".popsection",
);
