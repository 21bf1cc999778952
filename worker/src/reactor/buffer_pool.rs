//! Buffers that requests are read into. They are kept from one request to the next, and freed if a large head has
//! made them larger than most requests need.

use std::time::{Duration, Instant};

use crate::connection::RequestBuffers;
use crate::sys;

/// Buffers that are kept for the next request.
const KEPT: usize = 64;
/// Larger ones, in bytes, are freed.
const USUAL: usize = 48 * 1024;
/// After this many bytes of freed buffers a search of the whole heap is worthwhile.
const WORTH_A_TRIM: usize = 4 * 1024 * 1024;
/// The least time between two searches of the heap.
const TRIMS_APART: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct BufferPool {
    #[allow(clippy::vec_box, reason = "boxes move on as they are")]
    kept: Vec<Box<RequestBuffers>>,
    /// Freed bytes that the allocator may still hold.
    freed: usize,
    trim_after: Instant,
}

impl BufferPool {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            kept: Vec::new(),
            freed: 0,
            trim_after: now,
        }
    }

    pub(super) fn take(&mut self) -> Box<RequestBuffers> {
        self.kept.pop().unwrap_or_default()
    }

    pub(super) fn keep(&mut self, mut buffers: Box<RequestBuffers>) {
        let size = buffers.size();
        if size > USUAL || self.kept.len() >= KEPT {
            self.freed += size;
        } else {
            buffers.clear();
            self.kept.push(buffers);
        }
    }

    /// After a burst of large heads: returns to the kernel what the allocator holds.
    pub(super) fn tend(&mut self, now: Instant) {
        if self.freed > WORTH_A_TRIM && now >= self.trim_after {
            self.freed = 0;
            self.trim_after = now + TRIMS_APART;
            sys::trim_heap();
        }
    }
}
