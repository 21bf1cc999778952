//! The memory for the request bodies of one worker: a budget for all of them together, and buffers that go from
//! one body to the next.
//!
//! The allocator gives a long buffer back to the kernel, which then zeroes each page of the next one. That takes
//! longer than filling it, so a few buffers are kept.
//!
//! No thread waits for the lock of the list. An application may fork at any time, and a lock that another
//! thread holds at that moment stays locked in the child.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Buffers up to this size are left to the allocator.
const SHORT: usize = 32 * 1024;
/// Longer buffers are multiples of this, so that they fit other bodies of a similar length.
const STEP: usize = 64 * 1024;
/// The total size of the buffers that are kept, at most.
const KEPT: usize = 4 * 1024 * 1024;
/// The size of a buffer for bytes on their way to a file.
const SCRATCH: usize = 2 * STEP;

/// A worker's memory for bodies.
#[derive(Debug, Default)]
pub struct BodyMemory {
    /// In bytes, of all bodies together.
    budget: usize,
    used: AtomicUsize,
    /// Bytes of whole bodies that wait for a thread.
    waiting: AtomicUsize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl BodyMemory {
    /// `budget` is in bytes. Kept buffers that no body uses come on top: 4 MiB at most.
    pub fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            budget,
            ..Self::default()
        })
    }

    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes that bodies use now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes of whole bodies that wait for a thread.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// An empty buffer for a body.
    pub fn buffer(self: &Arc<Self>) -> BodyBuffer {
        BodyBuffer {
            bytes: Vec::new(),
            counted: 0,
            waiting: 0,
            memory: Some(Arc::clone(self)),
        }
    }

    /// A buffer for bytes on their way to a file. It does not count towards the budget, so the caller gives it
    /// back at once.
    pub fn scratch(&self) -> Vec<u8> {
        self.take(SCRATCH)
            .unwrap_or_else(|| Vec::with_capacity(SCRATCH))
    }

    /// Keeps the buffer for another body, or frees it.
    pub fn give_back(&self, mut bytes: Vec<u8>) {
        let size = bytes.capacity();
        if size <= SHORT || size > KEPT {
            return;
        }
        bytes.clear();
        if let Ok(mut kept) = self.kept.try_lock() {
            let mut others = kept.iter().map(Vec::capacity).sum::<usize>();
            while others + size > KEPT {
                others -= kept.remove(0).capacity();
            }
            kept.push(bytes);
        }
    }

    /// An empty buffer of at least `size`, but not much more. `None` if the system has no memory for it: the
    /// client chooses the length of its body and must not be able to end the worker.
    fn take(&self, size: usize) -> Option<Vec<u8>> {
        let most = size.saturating_add(size / 4).saturating_add(STEP);
        let found = self.kept.try_lock().ok().and_then(|mut kept| {
            // The last one is still in the processor's cache.
            let fits = |it: &Vec<u8>| (size..=most).contains(&it.capacity());
            let at = kept.iter().rposition(fits)?;
            Some(kept.remove(at))
        });
        found.or_else(|| {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(size).ok().map(|()| bytes)
        })
    }

    fn claim(&self, size: usize) -> bool {
        let within = |used: usize| used.checked_add(size).filter(|&it| it <= self.budget);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .is_ok()
    }

    fn release(&self, size: usize) {
        self.used.fetch_sub(size, Ordering::Relaxed);
    }
}

/// The bytes of a body in memory. They count towards the worker's budget as long as they exist.
#[derive(Debug, Default)]
pub struct BodyBuffer {
    bytes: Vec<u8>,
    counted: usize,
    /// Its part of [`BodyMemory::waiting`].
    waiting: usize,
    /// `None` if the buffer counts towards no budget.
    memory: Option<Arc<BodyMemory>>,
}

impl BodyBuffer {
    /// Makes room for `count` more bytes. False if the budget or the system does not have them.
    pub fn reserve(&mut self, count: usize) -> bool {
        let length = self.bytes.len().saturating_add(count);
        if length <= self.bytes.capacity() {
            return true;
        }
        let Some(memory) = &self.memory else {
            return self.bytes.try_reserve(count).is_ok();
        };
        // The length to come may be unknown, so the buffer doubles; if that is too much, it grows as needed.
        let ample = rounded(length.max(self.bytes.len() * 2));
        let claimed = [ample, rounded(length)].into_iter().find_map(|size| {
            let more = size.saturating_sub(self.counted);
            if !memory.claim(more) {
                return None;
            }
            let larger = memory.take(size);
            if larger.is_none() {
                memory.release(more);
            }
            larger.map(|it| (size, it))
        });
        let Some((size, mut larger)) = claimed else {
            return false;
        };
        larger.extend_from_slice(&self.bytes);
        memory.give_back(std::mem::replace(&mut self.bytes, larger));
        self.counted = self.counted.max(size);
        true
    }

    /// The body is whole, and waits for a thread until [`BodyBuffer::begin`].
    pub fn wait(&mut self) {
        if let Some(memory) = &self.memory
            && self.waiting == 0
        {
            self.waiting = self.bytes.len();
            memory.waiting.fetch_add(self.waiting, Ordering::Relaxed);
        }
    }

    /// A thread has taken it up.
    pub fn begin(&mut self) {
        if let Some(memory) = &self.memory {
            memory.waiting.fetch_sub(self.waiting, Ordering::Relaxed);
            self.waiting = 0;
        }
    }

    /// The bytes, which may be filled up to their capacity: see [`BodyBuffer::reserve`].
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for BodyBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl From<Vec<u8>> for BodyBuffer {
    /// Counts towards no budget.
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            counted: 0,
            waiting: 0,
            memory: None,
        }
    }
}

impl Drop for BodyBuffer {
    fn drop(&mut self) {
        self.begin();
        if let Some(memory) = &self.memory {
            memory.release(self.counted);
            memory.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

fn rounded(size: usize) -> usize {
    match size > SHORT {
        true => size.checked_next_multiple_of(STEP).unwrap_or(size),
        false => size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_keep_to_the_budget_together() {
        let memory = BodyMemory::new(4 * STEP);
        let (mut first, mut second) = (memory.buffer(), memory.buffer());
        assert!(first.reserve(3 * STEP) && !second.reserve(STEP + 1) && second.reserve(STEP));
        assert_eq!(memory.used(), 4 * STEP);
        drop(first);
        assert_eq!(memory.used(), STEP);
        second.bytes_mut().extend_from_slice(&[b'a'; STEP]);
        assert!(second.reserve(1), "there is room again");
        assert_eq!(second.as_ref(), [b'a'; STEP]);
        second.wait();
        assert_eq!(memory.waiting(), STEP);
        second.begin();
        assert_eq!(memory.waiting(), 0);
        second.wait();
        drop(second);
        assert_eq!((memory.used(), memory.waiting()), (0, 0));
        assert!(BodyBuffer::from(vec![1]).reserve(5 * STEP));
    }

    #[test]
    fn what_the_system_has_no_memory_for_is_no_room_and_costs_no_budget() {
        let memory = BodyMemory::new(usize::MAX);
        let mut buffer = memory.buffer();
        for count in [1 << 60, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
            assert!(!buffer.reserve(count), "{count}");
            assert_eq!(memory.used(), 0, "{count}");
        }
        assert!(buffer.reserve(1) && !BodyBuffer::from(vec![1]).reserve(usize::MAX));
    }

    #[test]
    fn a_buffer_goes_from_body_to_body() {
        let memory = BodyMemory::new(1 << 30);
        let address = |buffer: &mut BodyBuffer| buffer.bytes_mut().as_ptr().addr();
        let mut buffer = memory.buffer();
        assert!(buffer.reserve(100_000));
        buffer.bytes_mut().push(b'a');
        let before = address(&mut buffer);
        drop(buffer);
        let mut buffer = memory.buffer();
        assert!(buffer.reserve(110_000));
        assert_eq!((address(&mut buffer), buffer.as_ref()), (before, &b""[..]));
        drop(buffer);
        let large = |length: usize| {
            let mut buffer = memory.buffer();
            assert!(buffer.reserve(length));
            buffer
        };
        drop([
            large(KEPT),
            large(KEPT / 2),
            large(KEPT / 2),
            large(2 * KEPT),
        ]);
        let kept = memory.kept.lock().expect("free");
        assert!(kept.iter().map(Vec::capacity).sum::<usize>() <= KEPT);
    }
}
