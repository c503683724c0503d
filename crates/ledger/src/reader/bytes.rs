//! A copied piece of a ledger, read by offset without any chance to panic.
//!
//! Not a parser: the layout is `layout.rs`, the meaning `reader/mod.rs`. What lies outside reads as zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::ReadError;

pub(super) struct Bytes(Vec<u8>);

impl Bytes {
    pub(super) fn read(file: &File, at: usize, bytes: usize) -> Result<Bytes, ReadError> {
        let mut copy = vec![0; bytes];
        file.read_exact_at(&mut copy, at as u64).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Invalid("it has been truncated"),
            _ => ReadError::Io(error),
        })?;
        Ok(Bytes(copy))
    }

    pub(super) fn slice(&self, at: usize, bytes: usize) -> &[u8] {
        self.0.get(at..at + bytes).unwrap_or_default()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.slice(at, N).try_into().unwrap_or([0; N])
    }

    pub(super) fn u64(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    pub(super) fn u8(&self, at: usize) -> u8 {
        u8::from_ne_bytes(self.array(at))
    }

    pub(super) fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }
}
