//! One control client: the octets that it sends, the requests in them, and the answers that it has not taken yet. A state
//! machine without I/O.
//!
//! ```text
//!   octets --> frames --> request --> (the master) --> answer --> octets
//!                 ^                                                 |
//!                 '---- the next one, when the client has taken ----'
//! ```
//!
//! One request at a time: nothing is read while an answer waits for its client, or for the master. So what a client can
//! make the master keep is one short request and one answer, however it behaves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::frame::{Frame, FrameDecoder, append_frame};
use super::request::ControlRequest;

/// As in gunicorn: a client that says nothing for longer is gone.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// The longest request. The longest command has some hundred octets.
pub(crate) const MOST_REQUEST: usize = 64 * 1024;
/// A client that takes nothing of its answer for longer has no place of its own any more.
const PATIENCE: Duration = Duration::from_secs(5);
/// A client that has not taken as much of its progress gets no more of it before the answer.
const MOST_PROGRESS: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct ControlSession {
    decoder: FrameDecoder,
    /// What the client has to take, and how much of it it has taken.
    out: Vec<u8>,
    taken: usize,
    /// The id of the request that the master has not answered, and whether its client wants progress.
    open: Option<(Value, bool)>,
    /// Every request is answered with this.
    refusal: Option<String>,
    /// The client sends nothing more.
    has_ended: bool,
    /// The connection ends when the client has taken what is there.
    is_closing: bool,
    /// When octets last came or went.
    active_at: Instant,
}

impl ControlSession {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            decoder: FrameDecoder::new(MOST_REQUEST),
            out: Vec::new(),
            taken: 0,
            open: None,
            refusal: None,
            has_ended: false,
            is_closing: false,
            active_at: now,
        }
    }

    /// A client that may not control this server: its first request is answered with the reason.
    pub(crate) fn refused(reason: String, now: Instant) -> Self {
        Self {
            refusal: Some(reason),
            ..Self::new(now)
        }
    }

    /// Whether octets of the client can be used now.
    pub(crate) fn wants_input(&self) -> bool {
        !self.has_ended && !self.is_closing && self.open.is_none() && self.unsent().is_empty()
    }

    pub(crate) fn receive(&mut self, octets: &[u8], now: Instant) {
        self.active_at = now;
        self.decoder.feed(octets);
    }

    /// The client has closed its side.
    pub(crate) fn end_input(&mut self) {
        self.has_ended = true;
    }

    /// The next request for the master. What is no request is answered here.
    pub(crate) fn next_request(&mut self) -> Option<ControlRequest> {
        if self.open.is_some() || self.is_closing || !self.unsent().is_empty() {
            return None;
        }
        let bad = match self.decoder.next()? {
            Frame::Payload(payload) => match ControlRequest::parse(&payload) {
                Ok(request) => match self.refusal.clone() {
                    None => {
                        self.open = Some((request.id.clone(), request.wants_progress));
                        return Some(request);
                    }
                    Some(reason) => (request.id, reason, true),
                },
                Err(bad) => (bad.id, bad.error, bad.is_foreign),
            },
            Frame::Dropped { length } => {
                let text = format!("Invalid argument: {length} octets, {MOST_REQUEST} at most");
                (0.into(), text, false)
            }
            Frame::Foreign { length } => {
                let text = format!("Message too large: {length}");
                (0.into(), text, true)
            }
        };
        let (id, error, ends) = bad;
        self.push(&json!({"id": id, "status": "error", "error": error}));
        self.is_closing = ends;
        None
    }

    /// Whether the master has not answered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.open.is_some()
    }

    /// Tells a client that wants it what happens until the answer.
    pub(crate) fn report(&mut self, data: &Value) {
        if let Some((id, true)) = &self.open
            && self.out.len() - self.taken < MOST_PROGRESS
        {
            let frame = json!({"id": id, "status": "progress", "data": data});
            self.push(&frame);
        }
    }

    /// The answer to the open request.
    pub(crate) fn answer(&mut self, answer: Result<Value, String>) {
        let Some((id, _)) = self.open.take() else {
            return;
        };
        self.push(&match answer {
            Ok(data) => json!({"id": id, "status": "ok", "data": data}),
            Err(error) => json!({"id": id, "status": "error", "error": error}),
        });
    }

    /// What the client has to take.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.out[self.taken..]
    }

    /// The client has taken `count` octets more.
    pub(crate) fn sent(&mut self, count: usize, now: Instant) {
        self.active_at = now;
        self.taken += count;
        if self.taken == self.out.len() {
            (self.out, self.taken) = (Vec::new(), 0);
        }
    }

    /// Whether nothing is left to do for this client.
    pub(crate) fn is_over(&self) -> bool {
        let is_quiet = self.open.is_none() && self.unsent().is_empty();
        is_quiet && (self.is_closing || (self.has_ended && !self.decoder.has_whole()))
    }

    /// Whether a request is there that the master has not been given, because another came first.
    pub(crate) fn is_pending(&self) -> bool {
        let can_go_on = self.open.is_none() && !self.is_closing && self.unsent().is_empty();
        can_go_on && self.decoder.has_whole()
    }

    /// When the client counts as gone; `None` while it waits for the master.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.is_none().then(|| self.active_at + IDLE_TIMEOUT)
    }

    /// Since when a client has been silent that may make room for another one: it is owed nothing, or has not taken what it
    /// is owed for a while.
    pub(crate) fn idle_since(&self, now: Instant) -> Option<Instant> {
        let takes_nothing = now.saturating_duration_since(self.active_at) >= PATIENCE;
        let is_idle = self.open.is_none() && (self.unsent().is_empty() || takes_nothing);
        is_idle.then_some(self.active_at)
    }

    fn push(&mut self, frame: &Value) {
        append_frame(frame.to_string().as_bytes(), &mut self.out);
    }
}

#[cfg(test)]
mod tests;
