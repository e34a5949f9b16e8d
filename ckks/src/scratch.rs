//! Buffers that each thread keeps and hands out again, so that hot loops neither allocate nor clear memory.

use crate::kernel::Buffer;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// A thread keeps at most so many buffers.
const KEPT: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Words of unspecified content; write before you read.
pub(crate) struct Scratch {
    buffer: Option<Buffer>,
    len: usize,
}

/// A scratch buffer of `len` words.
pub(crate) fn take(len: usize) -> Scratch {
    let kept = POOL.with_borrow_mut(|pool| {
        // The smallest that fits, so that large buffers stay for large requests.
        let fits = pool
            .iter()
            .enumerate()
            .filter(|(_, b)| b.len() >= len)
            .min_by_key(|(_, b)| b.len());
        fits.map(|(i, _)| i).map(|i| pool.swap_remove(i))
    });
    Scratch {
        buffer: Some(kept.unwrap_or_else(|| Buffer::zeroed(len))),
        len,
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // The pool may be gone while a thread ends; the buffer is freed then.
            let _ = POOL.try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() == KEPT {
                    let smallest = pool
                        .iter()
                        .enumerate()
                        .min_by_key(|(_, b)| b.len())
                        .map(|(i, _)| i);
                    smallest.map(|i| pool.swap_remove(i));
                }
                pool.push(buffer);
            });
        }
    }
}

impl Deref for Scratch {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        self.buffer.as_ref().map_or(&[], |b| &b[..self.len])
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u64] {
        self.buffer.as_mut().map_or(&mut [], |b| &mut b[..self.len])
    }
}
