//! The bytes of a debug section, as gimli reads them: shared, bounds-checked, and metered.
//!
//! A file may lie: a line program that claims every address, units that all point at one table, entries nested a million
//! deep. Every read is charged to an allowance of the thread, and refused when that is spent or when the parser's stack has
//! grown past its share; so neither time, memory nor stack depend on more than the size of the file. Called by `debug_info`.
use std::borrow::Cow;
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use gimli::{Error, LittleEndian, Reader, ReaderOffsetId, Result};

/// Stack that a parser may use below `Allowance::give`. Threads that parse have twice this (`resolve`).
pub(crate) const STACK_BYTES: usize = 4 << 20;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static STACK_BASE: Cell<usize> = const { Cell::new(0) };
}

/// The right to read so many bytes on this thread; what is left comes back when it ends.
pub(crate) struct Allowance;

impl Allowance {
    pub(crate) fn give(bytes: u64) -> Allowance {
        let here = 0u8;
        LEFT.set(bytes);
        STACK_BASE.set(ptr::from_ref(&here).addr());
        Allowance
    }

    pub(crate) fn left(&self) -> u64 {
        LEFT.get()
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        LEFT.set(0);
    }
}

/// Every read passes here. An exhausted allowance looks to the parser like the end of the data.
#[inline]
fn charge(bytes: usize) -> Result<()> {
    let here = 0u8;
    let left = LEFT.get();
    let depth = STACK_BASE.get().abs_diff(ptr::from_ref(&here).addr());
    // One more than was read: skipping nothing, for ever, is work too.
    let cost = bytes as u64 + 1;
    if left < cost || depth > STACK_BYTES {
        LEFT.set(0);
        return Err(Error::UnexpectedEof(ReaderOffsetId(0)));
    }
    LEFT.set(left - cost);
    Ok(())
}

/// `data[start..end]`.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    data: Arc<[u8]>,
    start: usize,
    end: usize,
}

impl Bytes {
    pub(crate) fn new(data: Arc<[u8]>) -> Bytes {
        Bytes { start: 0, end: data.len(), data }
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    #[inline]
    fn check(&self, bytes: usize) -> Result<()> {
        if bytes > self.end - self.start {
            return Err(Error::UnexpectedEof(self.offset_id()));
        }
        Ok(())
    }
}

impl Reader for Bytes {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    #[inline]
    fn len(&self) -> usize {
        self.end - self.start
    }

    fn empty(&mut self) {
        self.end = self.start;
    }

    #[inline]
    fn truncate(&mut self, len: usize) -> Result<()> {
        self.check(len)?;
        self.end = self.start + len;
        Ok(())
    }

    #[inline]
    fn offset_from(&self, base: &Bytes) -> usize {
        self.start - base.start
    }

    #[inline]
    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId((self.data.as_ptr().addr() + self.start) as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let offset = usize::try_from(id.0).ok()?.checked_sub(self.data.as_ptr().addr() + self.start)?;
        (offset <= self.len()).then_some(offset)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let found = self.rest().iter().position(|b| *b == byte);
        charge(found.unwrap_or(self.len()))?;
        found.ok_or(Error::UnexpectedEof(self.offset_id()))
    }

    #[inline]
    fn skip(&mut self, len: usize) -> Result<()> {
        charge(0)?;
        self.check(len)?;
        self.start += len;
        Ok(())
    }

    #[inline]
    fn split(&mut self, len: usize) -> Result<Bytes> {
        let mut front = self.clone();
        front.truncate(len)?;
        self.skip(len)?;
        Ok(front)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        charge(self.len())?;
        Ok(Cow::Borrowed(self.rest()))
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        charge(self.len())?;
        std::str::from_utf8(self.rest()).map(Cow::Borrowed).map_err(|_| Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        charge(self.len())?;
        Ok(String::from_utf8_lossy(self.rest()))
    }

    #[inline]
    fn read_slice(&mut self, buf: &mut [u8]) -> Result<()> {
        charge(buf.len())?;
        self.check(buf.len())?;
        buf.copy_from_slice(&self.data[self.start..self.start + buf.len()]);
        self.start += buf.len();
        Ok(())
    }
}
