//! The read buffer and the decoder of a request. An idle connection has none.

use crate::http::RequestDecoder;
use crate::read_buffer::ReadBuffer;

/// The buffers of a request: a connection has them while one is in sight, and gives them back when it idles.
#[derive(Debug, Default)]
pub(crate) struct RequestBuffers {
    pub(crate) input: ReadBuffer,
    pub(crate) decoder: RequestDecoder,
}

impl RequestBuffers {
    /// The bytes that they have, used or not.
    pub(crate) fn size(&self) -> usize {
        self.input.capacity() + self.decoder.head.capacity()
    }

    /// Forgets whose they were: a head that was begun must not go on with the next client's bytes.
    pub(crate) fn clear(&mut self) {
        self.input.clear();
        self.decoder.abandon();
    }
}
