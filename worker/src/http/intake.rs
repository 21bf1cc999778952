//! A request on its way in: a state machine over the bytes of one connection, without I/O but for
//! the spooling of long bodies.
//!
//! ```text
//!   Head --whole head--> Body --whole body--> Step::Request, and Head again
//! ```

use oxicorn_common::request::{Body, Head, Scheme};

use super::chunked::Chunked;
use super::first_line::put_line;
use super::framing::{Framing, Length};
use super::head::Scan;
use super::spool::Spool;
use super::{RequestError, Rules, Sender, authority};
use crate::inbox::Inbox;

/// What the caller is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing of a request has arrived.
    Idle,
    /// A head is incomplete.
    MoreHead,
    /// A body is incomplete.
    MoreBody,
    /// A body is incomplete, and the client waits for `100 Continue` before it sends it.
    Continue,
    /// A body is to come later, and none of it is taken: to be tried again when requests that are whole
    /// have been served.
    Crowded,
    /// The request in `head` and `body` is whole.
    Request,
}

/// The request that is being read, or was read last.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) framing: Framing,
    pub(crate) scheme: Scheme,
    /// Requests that are whole are run soon, so that a body may wait for the memory of theirs.
    pub(crate) may_wait: bool,
    /// `head` belongs to the request that is being read, not to the one before.
    has_head: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Scan),
    Length { length: u64, spool: Spool },
    Chunked { decoder: Chunked, spool: Spool },
}

impl Default for Stage {
    fn default() -> Self {
        Self::Head(Scan::default())
    }
}

impl Intake {
    /// Takes what it can use from `inbox`.
    pub(crate) fn advance(
        &mut self,
        inbox: &mut Inbox,
        rules: &Rules,
        sender: Sender,
    ) -> Result<Step, RequestError> {
        if let Stage::Head(scan) = &mut self.stage {
            if inbox.is_empty() {
                return Ok(Step::Idle);
            }
            self.has_head = false;
            let Some(end) = scan.find_end(inbox.filled(), rules)? else {
                return Ok(Step::MoreHead);
            };
            scan.parse(inbox.filled(), end, rules, &mut self.head)?;
            inbox.consume(end);
            self.has_head = true;
            self.scheme = rules.fields.apply(&mut self.head, sender)?;
            authority::settle(&mut self.head, sender)?;
            self.framing = Framing::of(&self.head, rules.limits.body)?;
            return self.begin_body(inbox, rules);
        }
        self.read_body(inbox, rules)
    }

    /// What more of the body may be read into, up to its capacity and without a detour by the inbox;
    /// `None` where that is not known.
    pub(crate) fn room(&mut self, rules: &Rules) -> Result<Option<&mut Vec<u8>>, RequestError> {
        match &mut self.stage {
            Stage::Length { spool, .. } => match self.may_wait && spool.can_wait(&rules.storage) {
                true => Ok(None),
                false => Ok(Some(spool.room(&rules.storage)?)),
            },
            Stage::Head(_) | Stage::Chunked { .. } => Ok(None),
        }
    }

    /// The client is waited for.
    pub(crate) fn pause(&mut self, rules: &Rules) -> Result<(), RequestError> {
        match &mut self.stage {
            Stage::Length { spool, .. } | Stage::Chunked { spool, .. } => {
                Ok(spool.pause(&rules.storage)?)
            }
            Stage::Head(_) => Ok(()),
        }
    }

    /// The request is refused: makes `head` what there is to tell of it, which may be no more than
    /// the line that it began with. Whether it is a whole one.
    pub(crate) fn refuse(&mut self, inbox: &Inbox) -> bool {
        if !self.has_head {
            put_line(inbox.filled(), &mut self.head);
            self.scheme = Scheme::default();
        }
        self.has_head
    }

    /// Gives up the request that is being read, so that another client's can be.
    pub(crate) fn abandon(&mut self) {
        self.stage = Stage::default();
        // Whole, perhaps, and nobody will run it: it shall not count as one that waits.
        self.body = Body::default();
    }

    /// Whether the last request came in chunks, so that its bytes cannot be put together again.
    pub(crate) fn was_chunked(&self) -> bool {
        self.framing.length == Length::Chunked
    }

    fn begin_body(&mut self, inbox: &mut Inbox, rules: &Rules) -> Result<Step, RequestError> {
        self.stage = match self.framing.length {
            Length::None | Length::Known(0) => {
                self.stage = Stage::default();
                self.body = Body::default();
                return Ok(Step::Request);
            }
            Length::Known(length) => Stage::Length {
                length,
                spool: Spool::new(length, &rules.storage),
            },
            Length::Chunked => Stage::Chunked {
                decoder: Chunked::default(),
                spool: Spool::new(0, &rules.storage),
            },
        };
        let wants_continue = self.framing.expects_continue && inbox.is_empty();
        match self.read_body(inbox, rules)? {
            Step::MoreBody if wants_continue => Ok(Step::Continue),
            step => Ok(step),
        }
    }

    fn read_body(&mut self, inbox: &mut Inbox, rules: &Rules) -> Result<Step, RequestError> {
        let complete = match &mut self.stage {
            Stage::Head(_) => return Ok(Step::Idle),
            Stage::Length { length, spool } => {
                spool.cut_excess(|next| inbox.refill(next));
                let left = length.saturating_sub(spool.length());
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let run = most.min(inbox.filled().len());
                if run > 0 {
                    if self.may_wait && spool.can_wait(&rules.storage) {
                        return Ok(Step::Crowded);
                    }
                    spool.push(&inbox.filled()[..run], &rules.storage)?;
                    inbox.consume(run);
                }
                left == run as u64
            }
            Stage::Chunked { decoder, spool } => {
                let taken = decoder.decode(inbox.filled(), |data| {
                    if spool.length() + data.len() as u64 > rules.limits.body {
                        return Err(RequestError::BodyTooLarge);
                    }
                    Ok(spool.push(data, &rules.storage)?)
                })?;
                inbox.consume(taken);
                decoder.is_complete()
            }
        };
        if !complete {
            return Ok(Step::MoreBody);
        }
        match std::mem::take(&mut self.stage) {
            Stage::Length { spool, .. } | Stage::Chunked { spool, .. } => {
                self.body = spool.finish(&rules.storage)?;
                Ok(Step::Request)
            }
            Stage::Head(_) => Ok(Step::Idle),
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
    use crate::http::storage::Storage;

    fn rules() -> Rules {
        Rules {
            limits: Limits {
                body: 1 << 20,
                ..Limits::default()
            },
            ..Rules::default()
        }
    }

    /// The bodies of the requests in `input`, which comes in pieces of `size`.
    fn bodies(input: &[u8], size: usize) -> Result<Vec<Vec<u8>>, u16> {
        let (mut inbox, mut intake) = (Inbox::default(), Intake::default());
        let settings = Settings {
            body_buffer_size: 60_000,
            ..Settings::default()
        };
        let rules = Rules {
            storage: Arc::new(Storage::from(&settings)),
            ..rules()
        };
        let mut bodies = Vec::new();
        for piece in input.chunks(size) {
            inbox.refill(piece);
            while let Step::Request = intake
                .advance(&mut inbox, &rules, Sender::default())
                .map_err(|error| error.status().as_u16())?
            {
                let mut body = Vec::new();
                intake.body.read_to_end(&mut body).expect("a readable body");
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
    fn a_client_that_asks_is_told_to_continue() {
        let (mut inbox, mut intake) = (Inbox::default(), Intake::default());
        let rules = rules();
        inbox.refill(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(
            intake.advance(&mut inbox, &rules, Sender::default()).ok(),
            Some(Step::Continue)
        );
        inbox.refill(b"x");
        assert_eq!(
            intake.advance(&mut inbox, &rules, Sender::default()).ok(),
            Some(Step::Request)
        );
    }
}
