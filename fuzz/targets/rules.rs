//! A loaded module with any bytes for its call frame information and its notes: some rule for an address, or none. Never a
//! panic, a read outside the module (the address sanitizer sees it), or a loop without end.
//!
//! The input is the module's one segment; its first 8 bytes say which address is asked for and where `.eh_frame_hdr` and
//! the notes begin. The unwinder's own files are compiled here, because what takes these bytes is no part of its interface.
#![no_main]
#![allow(dead_code, unused_imports, unreachable_pub)]

extern crate core;

#[rustfmt::skip]
#[path = "../../crates/unwind/src/x86_64/mod.rs"]
mod arch;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/bounds.rs"]
mod bounds;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/cfi.rs"]
mod cfi;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/checks.rs"]
mod checks;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/frame.rs"]
mod frame;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/module.rs"]
mod module;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/module_table.rs"]
mod module_table;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/outcome.rs"]
mod outcome;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/page.rs"]
mod page;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/registers.rs"]
mod registers;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/row.rs"]
mod row;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/rule_cache.rs"]
mod rule_cache;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/stack.rs"]
mod stack;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/stack_cache.rs"]
mod stack_cache;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/symbol.rs"]
mod symbol;
#[rustfmt::skip]
#[path = "../../crates/unwind/src/walk.rs"]
mod walk;

use libfuzzer_sys::fuzz_target;
use module::{Headers, LoadedModule, build_id};
pub use registers::Registers;

fuzz_target!(|segment: &[u8]| {
    let Some((&[a, b, c, d, e, f, g, h], _)) = segment.split_first_chunk::<8>() else {
        return;
    };
    let start = segment.as_ptr().expose_provenance();
    let within = |low, high| start + usize::from(u16::from_ne_bytes([low, high])).min(segment.len());
    let pc = start.wrapping_add_signed(i32::from_ne_bytes([a, b, c, d]) as isize);
    let (eh_frame_hdr, notes) = (within(e, f), within(g, h));
    let header = |p_type, from: usize| libc::Elf64_Phdr {
        p_type,
        p_flags: libc::PF_R,
        p_offset: 0,
        p_vaddr: from as u64,
        p_paddr: 0,
        p_filesz: (start + segment.len() - from) as u64,
        p_memsz: (start + segment.len() - from) as u64,
        p_align: 1,
    };
    let table = [header(libc::PT_LOAD, start), header(libc::PT_NOTE, notes)];
    let headers = Headers { address: table.as_ptr().expose_provenance(), count: table.len() };
    let end = start + segment.len();
    let module = LoadedModule { start, end, load_bias: 0, name: core::ptr::null(), eh_frame_hdr, headers };
    let _ = cfi::rule_in(&module, pc);
    let mut id = [0; 32];
    assert!(build_id(&module, &mut id) <= id.len());
});
