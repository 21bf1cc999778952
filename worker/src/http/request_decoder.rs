//! Turns the bytes of one connection into requests: a state machine without I/O, except that it writes long bodies
//! to files.
//!
//! ```text
//!   Head --whole head--> [Decoded::Head] --> Body --whole body--> Decoded::Request, and Head again
//! ```

use oxicorn_common::request::{Body, RequestHead, Scheme};

use super::chunked::Chunked;
use super::first_line::put_line;
use super::framing::{Framing, Length};
use super::head::Scan;
use super::spool::Spool;
use super::{PeerTrust, RequestError, Rules, authority};
use crate::read_buffer::ReadBuffer;

/// What the caller must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// Nothing of a request has arrived.
    Idle,
    /// A head is incomplete.
    MoreHead,
    /// The head is whole, and [`Rules::stops_at_head`] or [`Rules::stops_before_body`] asks to say so.
    Head,
    /// A body is incomplete.
    MoreBody,
    /// A body is incomplete, and the client waits for `100 Continue` before it sends it.
    Continue,
    /// A body may come later, and none of it has been read: try again when waiting requests have been served.
    Crowded,
    /// The request in `head` and `body` is whole.
    Request,
}

/// The current request, or the last one.
#[derive(Debug, Default)]
pub(crate) struct RequestDecoder {
    pub(crate) head: RequestHead,
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) scheme: Scheme,
    /// Other whole requests run soon and free their memory, so that this body may wait for it.
    may_wait: bool,
    /// Bodies of other clients already wait for that memory.
    others_ahead: bool,
    /// `head` belongs to the current request, not to the one before.
    has_head: bool,
    stage: DecoderStage,
}

#[derive(Debug)]
enum DecoderStage {
    Head(Scan),
    /// The head is whole, and the caller knows.
    Begun,
    Length {
        length: u64,
        spool: Spool,
    },
    Chunked {
        decoder: Chunked,
        spool: Spool,
    },
}

impl Default for DecoderStage {
    fn default() -> Self {
        Self::Head(Scan::default())
    }
}

impl RequestDecoder {
    /// Uses as much of `buffer` as it can.
    pub(crate) fn advance(
        &mut self,
        buffer: &mut ReadBuffer,
        rules: &Rules,
        trust: PeerTrust,
    ) -> Result<Decoded, RequestError> {
        if let DecoderStage::Head(scan) = &mut self.stage {
            if buffer.is_empty() {
                return Ok(Decoded::Idle);
            }
            self.has_head = false;
            let Some(end) = scan.find_end(buffer.filled(), rules)? else {
                return Ok(Decoded::MoreHead);
            };
            scan.parse(buffer.filled(), end, rules, &mut self.head)?;
            buffer.consume(end);
            self.has_head = true;
            self.scheme = rules.fields.apply(&mut self.head, trust)?;
            authority::settle(&mut self.head, trust)?;
            self.framing = Framing::of(&self.head, rules.limits.body)?;
            if rules.stops_at_head || (rules.stops_before_body && self.framing.has_body()) {
                self.stage = DecoderStage::Begun;
                return Ok(Decoded::Head);
            }
            return self.begin_body(buffer, rules);
        }
        match self.stage {
            DecoderStage::Begun => self.begin_body(buffer, rules),
            _ => self.read_body(buffer, rules),
        }
    }

    /// Room for more of the body, up to its capacity, so that reads bypass the buffer; `None` if there is none.
    pub(crate) fn room(&mut self, rules: &Rules) -> Result<Option<&mut Vec<u8>>, RequestError> {
        match &mut self.stage {
            DecoderStage::Length { spool, .. } => {
                match self.may_wait && spool.can_wait(self.others_ahead, &rules.storage) {
                    true => Ok(None),
                    false => Ok(Some(spool.room(&rules.storage)?)),
                }
            }
            DecoderStage::Head(_) | DecoderStage::Begun | DecoderStage::Chunked { .. } => Ok(None),
        }
    }

    /// The caller is about to wait for the client.
    pub(crate) fn pause(&mut self, rules: &Rules) -> Result<(), RequestError> {
        match &mut self.stage {
            DecoderStage::Length { spool, .. } | DecoderStage::Chunked { spool, .. } => {
                Ok(spool.pause(&rules.storage)?)
            }
            DecoderStage::Head(_) | DecoderStage::Begun => Ok(()),
        }
    }

    /// Sets whether a body `may_wait` for the memory of requests that run soon, and whether `others_ahead` do.
    pub(crate) fn set_order(&mut self, may_wait: bool, others_ahead: bool) {
        (self.may_wait, self.others_ahead) = (may_wait, others_ahead);
    }

    /// Goes on behind the body of the current request, which nobody will read, if all of it is in `buffer`.
    pub(crate) fn skip_body(&mut self, buffer: &mut ReadBuffer, rules: &Rules) -> bool {
        let skipped = matches!(
            self.advance(buffer, rules, PeerTrust::default()),
            Ok(Decoded::Request)
        );
        self.body = Body::default();
        if !skipped {
            self.stage = DecoderStage::default();
        }
        skipped
    }

    /// Takes the whole request.
    pub(crate) fn take(&mut self) -> (RequestHead, Body) {
        (
            std::mem::take(&mut self.head),
            std::mem::take(&mut self.body),
        )
    }

    /// Returns the head of a request that was taken, for the log.
    pub(crate) fn return_head(&mut self, head: RequestHead) {
        self.head = head;
    }

    /// The request is rejected. Returns whether `head` is whole; if it is not, it becomes the first line of the
    /// request, for the log.
    pub(crate) fn refuse(&mut self, buffer: &ReadBuffer) -> bool {
        if !self.has_head {
            put_line(buffer.filled(), &mut self.head);
            self.scheme = Scheme::default();
        }
        self.has_head
    }

    /// Abandons the current request, so that another client's can be read.
    pub(crate) fn abandon(&mut self) {
        self.stage = DecoderStage::default();
        // It may be whole, but no thread will run it: it must not count as waiting.
        self.body = Body::default();
        // The next client may be refused before it has sent a head: nothing of this one may be left then.
        self.has_head = false;
        self.head.clear();
        self.scheme = Scheme::default();
        self.framing = Framing::default();
    }

    /// Whether the last request was chunked, so that its original bytes cannot be restored.
    pub(crate) fn was_chunked(&self) -> bool {
        self.framing.length == Length::Chunked
    }

    fn begin_body(
        &mut self,
        buffer: &mut ReadBuffer,
        rules: &Rules,
    ) -> Result<Decoded, RequestError> {
        self.stage = match self.framing.length {
            Length::None | Length::Known(0) => {
                self.stage = DecoderStage::default();
                self.body = Body::default();
                return Ok(Decoded::Request);
            }
            Length::Known(length) => DecoderStage::Length {
                length,
                spool: Spool::new(length, &rules.storage),
            },
            Length::Chunked => DecoderStage::Chunked {
                decoder: Chunked::default(),
                spool: Spool::new(0, &rules.storage),
            },
        };
        let wants_continue = self.framing.expects_continue && buffer.is_empty();
        match self.read_body(buffer, rules)? {
            Decoded::MoreBody if wants_continue => Ok(Decoded::Continue),
            step => Ok(step),
        }
    }

    fn read_body(
        &mut self,
        buffer: &mut ReadBuffer,
        rules: &Rules,
    ) -> Result<Decoded, RequestError> {
        let complete = match &mut self.stage {
            DecoderStage::Head(_) | DecoderStage::Begun => return Ok(Decoded::Idle),
            DecoderStage::Length { length, spool } => {
                spool.cut_excess(|next| buffer.refill(next));
                let left = length.saturating_sub(spool.length());
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let run = most.min(buffer.filled().len());
                if run > 0 {
                    if self.may_wait && spool.can_wait(self.others_ahead, &rules.storage) {
                        return Ok(Decoded::Crowded);
                    }
                    spool.push(&buffer.filled()[..run], &rules.storage)?;
                    buffer.consume(run);
                }
                left == run as u64
            }
            DecoderStage::Chunked { decoder, spool } => {
                let taken = decoder.decode(buffer.filled(), |data| {
                    if spool.length() + data.len() as u64 > rules.limits.body {
                        return Err(RequestError::BodyTooLarge);
                    }
                    Ok(spool.push(data, &rules.storage)?)
                })?;
                buffer.consume(taken);
                decoder.is_complete()
            }
        };
        if !complete {
            return Ok(Decoded::MoreBody);
        }
        match std::mem::take(&mut self.stage) {
            DecoderStage::Length { spool, .. } | DecoderStage::Chunked { spool, .. } => {
                self.body = spool.finish(&rules.storage)?;
                Ok(Decoded::Request)
            }
            DecoderStage::Head(_) | DecoderStage::Begun => Ok(Decoded::Idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;

    use oxicorn_common::Settings;

    use super::*;
    use crate::http::Limits;
    use crate::http::storage::BodyStorage;

    fn rules() -> Rules {
        Rules {
            limits: Limits {
                body: 1 << 20,
                ..Limits::default()
            },
            ..Rules::default()
        }
    }

    /// The bodies of the requests in `input`, which arrives in pieces of `size`.
    fn bodies(input: &[u8], size: usize) -> Result<Vec<Vec<u8>>, u16> {
        let (mut buffer, mut decoder) = (ReadBuffer::default(), RequestDecoder::default());
        let settings = Settings {
            body_buffer_size: 60_000,
            ..Settings::default()
        };
        let rules = Rules {
            storage: Arc::new(BodyStorage::from(&settings)),
            ..rules()
        };
        let mut bodies = Vec::new();
        for piece in input.chunks(size) {
            buffer.refill(piece);
            while let Decoded::Request = decoder
                .advance(&mut buffer, &rules, PeerTrust::default())
                .map_err(|error| error.status().as_u16())?
            {
                let mut body = Vec::new();
                decoder
                    .body
                    .read_to_end(&mut body)
                    .expect("a readable body");
                bodies.push(body);
            }
        }
        Ok(bodies)
    }

    #[test]
    fn requests_follow_one_another_however_they_are_split() {
        let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\
            POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n\
            POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
            POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        let expected: Vec<&[u8]> = vec![b"", b"hello", b"abcde", b""];
        for size in 1..=input.len() {
            assert_eq!(
                bodies(input, size).expect("valid"),
                expected,
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn a_long_body_goes_to_a_file_and_comes_back_whole() {
        let body: Vec<u8> = (0..200_000).map(|at| (at % 251) as u8).collect();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let input = [head.as_bytes(), &body].concat();
        assert_eq!(bodies(&input, 10_000), Ok(vec![body]));
    }

    #[test]
    fn a_chunked_body_over_the_limit_is_refused_when_it_gets_there() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
        let input = format!("{head}{}", chunk.repeat(17));
        assert_eq!(bodies(input.as_bytes(), 10_000), Err(413));
    }

    #[test]
    fn nothing_of_an_abandoned_request_is_left_for_the_next_client() {
        let (mut buffer, mut decoder) = (ReadBuffer::default(), RequestDecoder::default());
        buffer.refill(b"DELETE /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
        let decoded = decoder.advance(&mut buffer, &rules(), PeerTrust::default());
        assert_eq!(decoded.ok(), Some(Decoded::Request));
        decoder.head.id.push_str("one");
        decoder.abandon();
        let is_empty = |head: &RequestHead| {
            head.fields().next().is_none() && head.method().is_empty() && head.id.is_empty()
        };
        assert!(is_empty(&decoder.head) && decoder.head.bytes.is_empty());
        buffer.refill(b"PROXY nonsense\r\n");
        assert!(!decoder.refuse(&buffer), "there is no head");
        assert_eq!(decoder.head.bytes, b"PROXY nonsense");
        assert!(decoder.head.fields().next().is_none() && decoder.head.target().is_empty());
    }

    #[test]
    fn a_client_that_asks_is_told_to_continue() {
        let (mut buffer, mut decoder) = (ReadBuffer::default(), RequestDecoder::default());
        let rules = rules();
        buffer.refill(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(
            decoder
                .advance(&mut buffer, &rules, PeerTrust::default())
                .ok(),
            Some(Decoded::Continue)
        );
        buffer.refill(b"x");
        assert_eq!(
            decoder
                .advance(&mut buffer, &rules, PeerTrust::default())
                .ok(),
            Some(Decoded::Request)
        );
    }
}
