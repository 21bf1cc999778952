//! Frames of gunicorn's control protocol: a length of four octets, the highest first, and as many octets of JSON.
//!
//! ```text
//!   | 00 00 00 2c | {"id": 1, "command": "show workers", ..} |
//! ```
//!
//! A frame may announce up to 16 MiB, as in gunicorn. No request of the protocol is longer than a few hundred octets, so
//! the server keeps far less of one: it reads what is longer to its end, without keeping it, and refuses it.

/// The longest frame of the protocol.
const MOST_ANNOUNCED: usize = 16 * 1024 * 1024;

const LENGTH_OCTETS: usize = 4;

/// One frame, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Payload(Vec<u8>),
    /// It was longer than the reader keeps, and has been dropped.
    Dropped {
        length: usize,
    },
    /// No frame of the protocol is as long: this is something else, and what follows cannot be read.
    Foreign {
        length: usize,
    },
}

/// Finds the frames in the octets of a stream, however these are cut.
#[derive(Debug)]
pub(crate) struct FrameDecoder {
    octets: Vec<u8>,
    /// Longer frames are dropped.
    most_kept: usize,
    /// What is still to come of a frame that is dropped, and its length.
    dropping: Option<(usize, usize)>,
}

impl FrameDecoder {
    pub(crate) fn new(most_kept: usize) -> Self {
        Self {
            octets: Vec::new(),
            most_kept,
            dropping: None,
        }
    }

    /// For a client, which trusts its server.
    pub(crate) fn of_client() -> Self {
        Self::new(MOST_ANNOUNCED)
    }

    pub(crate) fn feed(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        self.drop_rest();
    }

    /// The next frame, if it is whole.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        if let Some((0, length)) = self.dropping {
            self.dropping = None;
            return Some(Frame::Dropped { length });
        }
        let length = self.announced()?;
        if length > MOST_ANNOUNCED {
            return Some(Frame::Foreign { length });
        }
        if length > self.most_kept {
            self.octets.drain(..LENGTH_OCTETS);
            self.dropping = Some((length, length));
            self.drop_rest();
            return self.next();
        }
        let end = LENGTH_OCTETS + length;
        if self.octets.len() < end {
            return None;
        }
        let rest = self.octets.split_off(end);
        let mut payload = std::mem::replace(&mut self.octets, rest);
        payload.drain(..LENGTH_OCTETS);
        Some(Frame::Payload(payload))
    }

    /// Whether [`FrameDecoder::next`] would return something.
    pub(crate) fn has_whole(&self) -> bool {
        match (self.dropping, self.announced()) {
            (Some((left, _)), _) => left == 0,
            (None, None) => false,
            (None, Some(length)) if length > MOST_ANNOUNCED => true,
            (None, Some(length)) => self.octets.len() >= LENGTH_OCTETS + length,
        }
    }

    fn announced(&self) -> Option<usize> {
        if self.dropping.is_some() {
            return None;
        }
        let length = self.octets.first_chunk::<LENGTH_OCTETS>()?;
        usize::try_from(u32::from_be_bytes(*length)).ok()
    }

    fn drop_rest(&mut self) {
        if let Some((left, _)) = &mut self.dropping {
            let count = self.octets.len().min(*left);
            self.octets.drain(..count);
            *left -= count;
        }
    }
}

/// Appends a frame with this payload. A payload that no frame can have is cut, and is no JSON then.
pub(crate) fn append_frame(payload: &[u8], octets: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(MOST_ANNOUNCED)];
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    octets.extend_from_slice(&length.to_be_bytes());
    octets.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        append_frame(payload, &mut octets);
        octets
    }

    fn all(decoder: &mut FrameDecoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next()).collect()
    }

    #[test]
    fn frames_may_be_cut_anywhere() {
        let payloads: [&[u8]; 4] = [b"{}", b"", b"{\"id\": 1}", &[0xff; 70]];
        let stream: Vec<u8> = payloads.iter().flat_map(|it| framed(it)).collect();
        let expected = payloads.map(|it| Frame::Payload(it.to_vec()));
        for size in 1..=stream.len() {
            let mut decoder = FrameDecoder::new(100);
            let mut found = Vec::new();
            for part in stream.chunks(size) {
                decoder.feed(part);
                found.extend(all(&mut decoder));
            }
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(!decoder.has_whole());
        }
    }

    #[test]
    fn what_is_too_long_is_dropped_without_being_kept() {
        let mut decoder = FrameDecoder::new(100);
        decoder.feed(&5000_u32.to_be_bytes());
        assert_eq!(decoder.next(), None);
        for _ in 0..50 {
            assert_eq!(decoder.next(), None);
            decoder.feed(&[b'x'; 100]);
            assert!(decoder.octets.is_empty(), "nothing of it is kept");
        }
        assert_eq!(decoder.next(), Some(Frame::Dropped { length: 5000 }));
        decoder.feed(&framed(b"{}"));
        assert_eq!(all(&mut decoder), [Frame::Payload(b"{}".to_vec())]);
    }

    #[test]
    fn one_that_is_dropped_and_the_next_may_come_together() {
        let mut decoder = FrameDecoder::new(10);
        let both = [framed(&[b'x'; 11]), framed(b"{}")].concat();
        decoder.feed(&both);
        let expected = [
            Frame::Dropped { length: 11 },
            Frame::Payload(b"{}".to_vec()),
        ];
        assert_eq!(all(&mut decoder), expected);
    }

    #[test]
    fn a_length_beyond_the_protocol_is_not_skipped() {
        let mut decoder = FrameDecoder::new(100);
        decoder.feed(b"GET / HTTP/1.1\r\n\r\n");
        let length = usize::try_from(u32::from_be_bytes(*b"GET ")).expect("a length");
        assert_eq!(decoder.next(), Some(Frame::Foreign { length }));
        decoder = FrameDecoder::new(100);
        decoder.feed(
            &u32::try_from(MOST_ANNOUNCED)
                .expect("a length")
                .to_be_bytes(),
        );
        assert_eq!(decoder.next(), None, "the longest");
    }
}
