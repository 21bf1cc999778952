//! The read buffer and the decoder of a request. An idle connection has none.

use crate::http::RequestDecoder;
use crate::rate_limits::LimitFields;
use crate::read_buffer::ReadBuffer;

/// The buffers of a request. A connection has them while a request arrives or is served, not while it idles.
#[derive(Debug, Default)]
pub(crate) struct RequestBuffers {
    pub(crate) input: ReadBuffer,
    pub(crate) decoder: RequestDecoder,
    /// What the response will say of rate limits.
    pub(crate) limits: LimitFields,
}

impl RequestBuffers {
    /// Their capacity in bytes, used or not.
    pub(crate) fn size(&self) -> usize {
        self.input.capacity() + self.decoder.head.capacity()
    }

    /// Clears them: a head that was begun must not continue with the next client's bytes.
    pub(crate) fn clear(&mut self) {
        self.input.clear();
        self.decoder.abandon();
        self.limits.clear();
    }
}
