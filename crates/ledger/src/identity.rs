//! The identity of the process: the ledger's file name and the descriptive part of its header.
//!
//! Not trusted by readers: they check it against /proc. Called by `writer` once per ledger.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::decimal::parse_decimal;
use crate::layout::*;
use crate::path::PathBuffer;
use crate::sys;

/// Room for the path of a ledger, in bytes.
const PATH_BYTES: usize = 512;

/// `DIR/PID-CREATED.heapql`: an exec'ed image keeps its pid, so the time tells its ledgers apart. `None` if it is too long.
pub(crate) fn ledger_path(dir: &CStr, created: u64) -> Option<PathBuffer<PATH_BYTES>> {
    let mut path = PathBuffer::EMPTY;
    path.push(dir.to_bytes())?;
    path.push(b"/")?;
    push_name(&mut path, sys::pid(), created)?;
    Some(path)
}

/// The name of a ledger inside its directory.
pub(crate) fn ledger_name(pid: u32, created: u64) -> PathBuffer<PATH_BYTES> {
    let mut name = PathBuffer::EMPTY;
    // It is far shorter.
    let _ = push_name(&mut name, pid, created);
    name
}

fn push_name(path: &mut PathBuffer<PATH_BYTES>, pid: u32, created: u64) -> Option<()> {
    path.push_number(pid.into())?;
    path.push(b"-")?;
    path.push_number(created)?;
    path.push(b".heapql")
}

/// Fills in everything that only describes.
pub(crate) fn describe(header: &Header, created: u64) {
    header.magic.store(u64::from_ne_bytes(MAGIC), Relaxed);
    header.version.store(VERSION, Relaxed);
    header.byte_order.store(BYTE_ORDER, Relaxed);
    header.pid.store(sys::pid(), Relaxed);
    header.parent_pid.store(sys::parent_pid(), Relaxed);
    header.uid.store(sys::uid(), Relaxed);
    header.created_at.store(created, Relaxed);
    header.start_ticks.store(start_ticks(), Relaxed);
    let mut boot = [0; 16];
    boot_id(&mut boot);
    for (word, chunk) in header.boot_id.iter().zip(boot.chunks_exact(8)) {
        word.store(chunk.iter().fold(0, |word, &byte| (word << 8) | u64::from(byte)), Relaxed);
    }
    let mut text = [0; TEXT_BYTES];
    let bytes = sys::read_link(c"/proc/self/exe", &mut text);
    set_text(&header.program, &header.program_bytes, text.get(..bytes).unwrap_or_default());
    let bytes = sys::read_file(c"/proc/self/cmdline", &mut text);
    set_text(&header.command, &header.command_bytes, text.get(..bytes).unwrap_or_default());
}

fn set_text(words: &[AtomicU64], length: &AtomicU32, text: &[u8]) {
    for (word, chunk) in words.iter().zip(text.chunks(8)) {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(chunk) {
            *to = *from;
        }
        word.store(u64::from_ne_bytes(bytes), Relaxed);
    }
    length.store(text.len() as u32, Relaxed);
}

/// The command in field 2 may hold blanks and brackets: count from the last bracket.
fn start_ticks() -> u64 {
    let mut text = [0; 512];
    let bytes = sys::read_file(c"/proc/self/stat", &mut text);
    let text = text.get(..bytes).unwrap_or_default();
    let after = text.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 2);
    let mut fields = text.get(after..).unwrap_or_default().split(|&byte| byte == b' ');
    // What follows the bracket is field 3; the start time is field 22 (proc(5)).
    fields.nth(22 - 3).and_then(parse_decimal).unwrap_or(0)
}

/// The machine's boot id, 32 hexadecimal digits, as 16 bytes.
fn boot_id(into: &mut [u8; 16]) {
    let mut text = [0; 64];
    let bytes = sys::read_file(c"/proc/sys/kernel/random/boot_id", &mut text);
    let digits = text.get(..bytes).unwrap_or_default().iter().filter_map(|&byte| (byte as char).to_digit(16));
    for (i, digit) in digits.take(32).enumerate() {
        if let Some(byte) = into.get_mut(i / 2) {
            *byte = (*byte << 4) | digit as u8;
        }
    }
}
