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
use super::{Limits, RequestError, Rules, Sender, authority};
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
    /// `head` belongs to the request that is being read, not to the one before.
    has_head: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Scan),
    Length { left: u64, spool: Spool },
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
        let limits = &rules.limits;
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
            self.framing = Framing::of(&self.head, limits.body)?;
            return self.begin_body(inbox, limits);
        }
        self.read_body(inbox, limits)
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
    }

    /// Whether the last request came in chunks, so that its bytes cannot be put together again.
    pub(crate) fn was_chunked(&self) -> bool {
        self.framing.length == Length::Chunked
    }

    fn begin_body(&mut self, inbox: &mut Inbox, limits: &Limits) -> Result<Step, RequestError> {
        self.stage = match self.framing.length {
            Length::None | Length::Known(0) => return self.complete(Spool::default()),
            Length::Known(left) => {
                let mut spool = Spool::default();
                spool.expect(left);
                Stage::Length { left, spool }
            }
            Length::Chunked => Stage::Chunked {
                decoder: Chunked::default(),
                spool: Spool::default(),
            },
        };
        let wants_continue = self.framing.expects_continue && inbox.is_empty();
        match self.read_body(inbox, limits)? {
            Step::MoreBody if wants_continue => Ok(Step::Continue),
            step => Ok(step),
        }
    }

    fn read_body(&mut self, inbox: &mut Inbox, limits: &Limits) -> Result<Step, RequestError> {
        let complete = match &mut self.stage {
            Stage::Head(_) => return Ok(Step::Idle),
            Stage::Length { left, spool } => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let run = most.min(inbox.filled().len());
                spool.push(&inbox.filled()[..run], limits)?;
                inbox.consume(run);
                *left -= run as u64;
                *left == 0
            }
            Stage::Chunked { decoder, spool } => {
                let taken = decoder.decode(inbox.filled(), |data| spool.push(data, limits))?;
                inbox.consume(taken);
                decoder.is_complete()
            }
        };
        if !complete {
            return Ok(Step::MoreBody);
        }
        match std::mem::take(&mut self.stage) {
            Stage::Length { spool, .. } | Stage::Chunked { spool, .. } => self.complete(spool),
            Stage::Head(_) => Ok(Step::Idle),
        }
    }

    fn complete(&mut self, spool: Spool) -> Result<Step, RequestError> {
        self.stage = Stage::default();
        self.body = spool.finish()?;
        Ok(Step::Request)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::http::limits::BODY_IN_MEMORY;

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
        let rules = rules();
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
        let body: Vec<u8> = (0..BODY_IN_MEMORY * 3).map(|at| (at % 251) as u8).collect();
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
