//! Words aligned to cache lines, so that no vector load straddles two of them, and kept for reuse.
//!
//! An operation makes and drops many megabytes of ring elements. Returning those to the system each time costs more
//! in page faults than the arithmetic does; each thread keeps some of what it drops instead.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

const LINE: usize = 8;
/// Smaller buffers are left to the allocator.
const SMALLEST_KEPT: usize = 1 << 7;
/// A thread keeps at most so many lines: 64 MiB.
const MOST_KEPT: usize = 1 << 20;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u64; LINE]);

/// A fixed number of 64-bit words, aligned to 64 bytes.
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Default)]
struct Pool {
    kept: Vec<Vec<Line>>,
    lines: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

impl Pool {
    /// The smallest kept buffer of at least `count` lines, unless it is more than twice that.
    fn take(&mut self, count: usize) -> Option<Vec<Line>> {
        let fits = self
            .kept
            .iter()
            .enumerate()
            .filter(|(_, b)| b.len() >= count && b.len() <= 2 * count);
        let (index, _) = fits.min_by_key(|(_, b)| b.len())?;
        let found = self.kept.swap_remove(index);
        self.lines -= found.len();
        Some(found)
    }

    fn keep(&mut self, lines: Vec<Line>) {
        self.lines += lines.len();
        self.kept.push(lines);
        // The oldest go first; they are the least likely to be in the cache.
        while self.lines > MOST_KEPT {
            self.lines -= self.kept.remove(0).len();
        }
    }
}

impl Buffer {
    /// `len` words, all zero.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut buffer = Self::unspecified(len);
        buffer.fill(0);
        buffer
    }

    /// `len` words of unspecified content: write before you read.
    pub(crate) fn unspecified(len: usize) -> Self {
        let count = len.div_ceil(LINE);
        let kept = if count >= SMALLEST_KEPT {
            POOL.try_with(|pool| pool.borrow_mut().take(count))
                .ok()
                .flatten()
        } else {
            None
        };
        Self {
            lines: kept.unwrap_or_else(|| vec![Line([0; LINE]); count]),
            len,
        }
    }
}

impl Buffer {
    /// The same memory as twice as many 32-bit words.
    pub(crate) fn narrow(&self) -> &[u32] {
        // SAFETY: as in `deref`; `2 * len` words of half the size fill the same bytes, and any bits are a `u32`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), 2 * self.len) }
    }

    /// The same memory as twice as many 32-bit words, to write.
    pub(crate) fn narrow_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `narrow`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), 2 * self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if lines.len() >= SMALLEST_KEPT && lines.len() <= MOST_KEPT {
            // The pool is gone while a thread ends; the memory is freed then.
            let _ = POOL.try_with(|pool| pool.borrow_mut().keep(lines));
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::unspecified(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Buffer {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        // SAFETY: `lines` holds at least `len` words: a `Line` is exactly eight of them (repr(C), size 64, align 64),
        // all initialised, and the vector is contiguous. The borrow of `self` covers the slice's life.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `deref`; the borrow of `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Buffer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zeroed_however_often_they_are_reused() {
        for len in [0, 1, 7, 1000, 5000, 4096] {
            for _ in 0..3 {
                let mut buffer = Buffer::zeroed(len);
                assert!(buffer.len() == len && buffer.iter().all(|w| *w == 0));
                assert_eq!(buffer.as_ptr() as usize % 64, 0);
                buffer.fill(u64::MAX);
                assert_eq!(buffer.clone()[..], buffer[..]);
            }
        }
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_share() {
        let many: Vec<Buffer> = (0..40).map(|_| Buffer::zeroed(1 << 19)).collect();
        drop(many);
        POOL.with_borrow(|pool| {
            assert!(pool.lines <= MOST_KEPT && pool.lines > 0);
            assert_eq!(pool.lines, pool.kept.iter().map(Vec::len).sum::<usize>());
        });
    }
}
