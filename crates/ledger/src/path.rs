//! A path without an allocator. It names a file and opens none; `identity` and the sampler's `environment` build them.

use core::ffi::CStr;

use crate::decimal::Decimal;

/// A path of less than `N` bytes that ends in a zero byte.
#[derive(Clone, Copy, Debug)]
pub struct PathBuffer<const N: usize> {
    bytes: [u8; N],
    used: usize,
}

impl<const N: usize> PathBuffer<N> {
    /// The path of no bytes.
    pub const EMPTY: PathBuffer<N> = PathBuffer { bytes: [0; N], used: 0 };

    /// Appends in place, since copies of paths are what fills a small stack. `None` if there is no room: then the path stays
    /// as it was.
    pub fn push(&mut self, more: &[u8]) -> Option<()> {
        let room = self.bytes.len().checked_sub(1)?;
        self.bytes.get_mut(self.used..room)?.get_mut(..more.len())?.copy_from_slice(more);
        self.used += more.len();
        Some(())
    }

    /// Appends a number in decimal digits, as [`PathBuffer::push`] does.
    pub fn push_number(&mut self, number: u64) -> Option<()> {
        self.push(Decimal::new(number).digits())
    }

    /// Takes back what was pushed since the path had this length in bytes.
    pub fn cut(&mut self, used: usize) {
        self.bytes.get_mut(used..).unwrap_or_default().fill(0);
        self.used = used;
    }

    /// The path without its zero byte.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// The path as the kernel takes it.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_takes_what_fits_and_gives_it_back() {
        let mut path = PathBuffer::<8>::EMPTY;
        assert_eq!((path.push(b"/a"), path.push_number(42)), (Some(()), Some(())));
        assert_eq!((path.bytes(), path.as_c_str()), (&b"/a42"[..], c"/a42"));
        assert_eq!(path.push(b"/toolong"), None, "there is no room for it");
        assert_eq!(path.push(b"/bc"), Some(()));
        assert_eq!(path.push(b"d"), None, "the last byte stays zero");
        path.cut(2);
        assert_eq!((path.bytes(), path.as_c_str()), (&b"/a"[..], c"/a"));
    }
}
