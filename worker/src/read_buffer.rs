//! The bytes that were read from a client and not used yet.

/// The number of bytes that one read asks for.
const PIECE: usize = 16 * 1024;

/// A buffer that is filled at its end and used up from its beginning.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// The bytes that have been read and not consumed.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room for at least `PIECE` more bytes, after the present ones.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.make_space(PIECE);
        &mut self.bytes[self.end..]
    }

    fn make_space(&mut self, count: usize) {
        if self.bytes.len() - self.end < count {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < count {
                let length = (self.end + count).next_power_of_two();
                self.bytes.resize(length, 0);
            }
        }
    }

    /// Notes that `count` bytes of [`ReadBuffer::space`] were filled.
    pub(crate) fn fill(&mut self, count: usize) {
        self.end += count;
    }

    /// Puts back bytes that were read elsewhere.
    pub(crate) fn refill(&mut self, bytes: &[u8]) {
        self.make_space(bytes.len());
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.fill(bytes.len());
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }
}
