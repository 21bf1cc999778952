//! Buffers that requests are read into: kept from one request to the next, and freed where a large head
//! has made them larger than most requests need.

use std::time::{Duration, Instant};

use crate::connection::RequestBuffers;
use crate::sys;

/// Buffers that are kept for the next request.
const KEPT: usize = 64;
/// Larger ones, in bytes, are freed.
const USUAL: usize = 48 * 1024;
/// So many bytes of freed buffers are worth a look at the whole heap.
const WORTH_A_TRIM: usize = 4 * 1024 * 1024;
/// The heap is not looked at more often.
const TRIMS_APART: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct BufferPool {
    #[allow(clippy::vec_box, reason = "boxes move on as they are")]
    kept: Vec<Box<RequestBuffers>>,
    /// Bytes that have been freed and that the allocator may still have.
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

    /// After a burst of large heads: gives the kernel back what the allocator keeps.
    pub(super) fn tend(&mut self, now: Instant) {
        if self.freed > WORTH_A_TRIM && now >= self.trim_after {
            self.freed = 0;
            self.trim_after = now + TRIMS_APART;
            sys::trim_heap();
        }
    }
}
