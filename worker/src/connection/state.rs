//! The states of a connection, and how long it waits for its client in each: a state machine without I/O.
//! Each transition is a method, so that no file can bring a connection into a state that is not known here.
//!
//! ```text
//!   Preface --> Head --> Body --> Ready --> Sending --> Idle --> Head ..
//!                 |        |        |          |
//!                 +--------+--------+----------+--> Lingering --> Closed
//! ```

use std::time::{Duration, Instant};

use crate::pace::Pace;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// The bytes before the first request are incomplete.
    Preface(PrefaceState),
    /// Waits for the next request of a kept-alive connection.
    Idle,
    /// Waits for a head: from its first byte on, or from the start of the connection.
    Head,
    /// Waits for a body.
    Body,
    /// Waits for a request thread, or is with one.
    Ready(ThreadWork),
    /// The client takes the response slowly.
    Sending(AfterResponse),
    /// Our side is shut down; bytes that still arrive are read and dropped, so that the client can read the
    /// answer (RFC 9112 section 9.6).
    Lingering(Linger),
    /// To be closed and forgotten.
    Closed,
    /// As `Closed`; another thread has told the client that its request took too long.
    TimedOut,
}

/// How far the bytes before the first request have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrefaceState {
    /// The connection is new to this worker.
    New,
    /// It may begin with a header of the PROXY protocol.
    ProxyHeader,
    /// No byte has come that would tell TLS from other protocols.
    FirstByte,
    /// A handshake has come, and has not been read yet.
    Hello,
    Handshake,
}

/// Why a request thread is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ThreadWork {
    /// A request is whole.
    Respond,
    /// The client has taken all the pieces that a streamed response has made so far.
    NextPiece(AfterResponse),
    /// A streamed response ends early: the application's iterator is closed on a request thread.
    Abandon,
}

/// The step after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterResponse {
    KeepAlive,
    Close,
    Linger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linger {
    /// Shut down our side.
    Begin,
    /// Wait until the client shuts down its side.
    End,
    /// First the client must acknowledge the rest of a long response.
    Acknowledgement,
}

/// A state with its times.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    state: ConnectionState,
    /// Since when it waits, in a state that has one time in all.
    since: Instant,
    /// When the client's time is over; `None` is never.
    deadline: Option<Instant>,
    /// `deadline` belongs to this state, not to the one before.
    is_timed: bool,
    /// When the request became whole, or when the next piece of the stream became due.
    ready_at: Instant,
    /// `ready_at` comes from the sibling that has read the request.
    keeps_place: bool,
}

impl Lifecycle {
    /// A new connection whose preface has not been read yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: ConnectionState::Preface(PrefaceState::New),
            since: now,
            deadline: None,
            is_timed: false,
            ready_at: now,
            keeps_place: false,
        }
    }

    pub(crate) fn state(&self) -> ConnectionState {
        self.state
    }

    pub(crate) fn is_new(&self) -> bool {
        self.state == ConnectionState::Preface(PrefaceState::New)
    }

    /// Whether it waits for the client's next bytes, of a request or of what precedes it.
    pub(crate) fn is_receiving(&self) -> bool {
        use ConnectionState::{Body, Head, Idle, Preface};
        matches!(self.state, Preface(_) | Idle | Head | Body)
    }

    /// Since when it waits, in a state that has one time in all.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When its request became whole, or its next piece became due: requests run in this order.
    pub(crate) fn ready_at(&self) -> Instant {
        self.ready_at
    }

    /// Whether a sibling has read its request.
    pub(crate) fn keeps_place(&self) -> bool {
        self.keeps_place
    }

    /// A sibling handed it over between two requests.
    pub(crate) fn resume(&mut self) {
        self.state = ConnectionState::Idle;
    }

    /// A sibling handed it over with a request that became whole at `ready_at`.
    pub(crate) fn keep_place(&mut self, ready_at: Instant) {
        self.ready_at = ready_at;
        self.keeps_place = true;
    }

    /// The worker takes it in. `first` is the part of a preface to expect, if any.
    pub(crate) fn admit(&mut self, first: Option<PrefaceState>, now: Instant, timeout: Duration) {
        match (self.is_new(), first) {
            (true, Some(first)) => self.wait(ConnectionState::Preface(first), now, timeout),
            // Its request is whole.
            (false, _) if self.keeps_place => {}
            _ => self.wait(ConnectionState::Head, now, timeout),
        }
    }

    /// The preface continues with `next`, within the same time.
    pub(crate) fn advance_preface(&mut self, next: PrefaceState) {
        self.state = ConnectionState::Preface(next);
    }

    /// The preface is complete: a head comes next.
    pub(crate) fn end_preface(&mut self, now: Instant, timeout: Duration) {
        self.wait(ConnectionState::Head, now, timeout);
    }

    /// No byte of the next request has come. A new connection keeps the time for its head.
    pub(crate) fn await_request(&mut self, now: Instant, timeout: Duration) {
        if self.state != ConnectionState::Head {
            self.wait(ConnectionState::Idle, now, timeout);
        }
    }

    /// A head is incomplete; its time does not grow.
    pub(crate) fn await_head(&mut self, now: Instant, timeout: Duration) {
        if self.state != ConnectionState::Head {
            self.wait(ConnectionState::Head, now, timeout);
        }
    }

    /// A body is incomplete: starts its time, or extends it for the octets that have `arrived`.
    pub(crate) fn await_body(&mut self, now: Instant, pace: Pace, arrived: u64) {
        match self.state {
            ConnectionState::Body => self.extend(now, pace, arrived),
            _ => self.restart_body(now, pace),
        }
    }

    /// The server does not read the body now, so the client's time starts again.
    pub(crate) fn restart_body(&mut self, now: Instant, pace: Pace) {
        self.time(ConnectionState::Body, pace.begin(now));
    }

    /// A request that keeps its place is refused: false if there is none.
    pub(crate) fn give_up_place(&mut self) -> bool {
        std::mem::take(&mut self.keeps_place)
    }

    /// A request thread is needed.
    pub(crate) fn await_thread(&mut self, work: ThreadWork, now: Instant) {
        if !std::mem::take(&mut self.keeps_place) {
            self.ready_at = now;
        }
        self.state = ConnectionState::Ready(work);
    }

    /// The client does not take all of a response at once. Its time begins with [`Lifecycle::await_room`].
    pub(crate) fn begin_sending(&mut self, after: AfterResponse) {
        if !matches!(self.state, ConnectionState::Sending(_)) {
            self.state = ConnectionState::Sending(after);
            self.is_timed = false;
        }
    }

    /// Whether the time of a client that takes its response has not begun.
    pub(crate) fn needs_time(&self) -> bool {
        matches!(self.state, ConnectionState::Sending(_)) && !self.is_timed
    }

    /// The client has a limited time to take its response; it begins now.
    pub(crate) fn await_room(&mut self, now: Instant, pace: Pace) {
        self.time(self.state, pace.begin(now));
    }

    /// All of a response is sent.
    pub(crate) fn end_response(&mut self, after: AfterResponse) {
        self.state = match after {
            AfterResponse::KeepAlive => ConnectionState::Idle,
            AfterResponse::Linger => ConnectionState::Lingering(Linger::Begin),
            AfterResponse::Close => ConnectionState::Closed,
        };
    }

    /// The preface has failed, and the client was told why.
    pub(crate) fn begin_linger(&mut self) {
        self.state = ConnectionState::Lingering(Linger::Begin);
    }

    /// Our side is shut down: the client has `timeout` to shut down its own.
    pub(crate) fn await_end(&mut self, now: Instant, timeout: Duration) {
        self.wait(ConnectionState::Lingering(Linger::End), now, timeout);
    }

    /// The client has not acknowledged all of a response yet; false if no time limit applies.
    pub(crate) fn await_acknowledgement(&mut self, now: Instant, pace: Pace) -> bool {
        let state = ConnectionState::Lingering(Linger::Acknowledgement);
        self.time(state, pace.begin(now));
        self.deadline.is_some()
    }

    /// The client gets more time, for the `octets` that it has sent or taken.
    pub(crate) fn extend(&mut self, now: Instant, pace: Pace, octets: u64) {
        self.deadline = pace.extend(self.deadline, octets, now);
    }

    /// Sets the deadline of the current state.
    pub(crate) fn end_at(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    pub(crate) fn close(&mut self) {
        self.state = ConnectionState::Closed;
    }

    /// Another thread has told the client that its request took too long.
    pub(crate) fn time_out(&mut self) {
        self.state = ConnectionState::TimedOut;
    }

    /// Zero means no limit.
    fn wait(&mut self, state: ConnectionState, now: Instant, timeout: Duration) {
        self.since = now;
        self.time(state, (!timeout.is_zero()).then(|| now + timeout));
    }

    fn time(&mut self, state: ConnectionState, deadline: Option<Instant>) {
        self.state = state;
        self.deadline = deadline;
        self.is_timed = true;
    }
}

#[cfg(test)]
mod tests;
