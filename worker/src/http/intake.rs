//! A request on its way in: a state machine over the bytes of one connection, without I/O but for
//! the spooling of long bodies.
//!
//! ```text
//!   Head --whole head--> Body --whole body--> Step::Request, and Head again
//! ```

use oxicorn_common::request::{Body, Head};

use super::chunked::Chunked;
use super::framing::{Framing, Length};
use super::head::Scan;
use super::spool::Spool;
use super::{Limits, RequestError};
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
        limits: &Limits,
    ) -> Result<Step, RequestError> {
        if let Stage::Head(scan) = &mut self.stage {
            if inbox.is_empty() {
                return Ok(Step::Idle);
            }
            let Some(end) = scan.find_end(inbox.filled(), limits)? else {
                return Ok(Step::MoreHead);
            };
            scan.parse(inbox.filled(), end, &mut self.head)?;
            inbox.consume(end);
            self.framing = Framing::of(&self.head, limits.body)?;
            return self.begin_body(inbox, limits);
        }
        self.read_body(inbox, limits)
    }

    /// Whether a body is being read.
    pub(crate) fn in_body(&self) -> bool {
        !matches!(self.stage, Stage::Head(_))
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
