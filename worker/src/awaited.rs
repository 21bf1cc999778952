//! What a client is waited for, and until when.

use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::pace::Pace;

/// What the client is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Awaited {
    /// The next request of a kept-alive connection.
    #[default]
    Request,
    /// A head, from its first byte on, or from the beginning of the connection.
    Head,
    /// To get through what comes before the first request.
    Preface,
    Body,
    /// To take the response.
    Room,
    /// To shut its side.
    End,
    /// The same, after it has taken the rest of a long response, slowly.
    Acknowledgement,
}

impl Connection {
    /// Sets what the client is waited for and how long; zero is for ever.
    pub(crate) fn await_within(&mut self, awaited: Awaited, now: Instant, timeout: Duration) {
        self.awaited = awaited;
        self.awaited_since = now;
        self.deadline = (!timeout.is_zero()).then(|| now + timeout);
    }

    /// The client owes a body: begins its time, or goes on with it for what has just arrived.
    pub(crate) fn await_body(&mut self, now: Instant, pace: Pace) {
        self.deadline = match self.awaited {
            Awaited::Body => pace.extend(self.deadline, self.arrived, now),
            _ => pace.begin(now),
        };
        self.awaited = Awaited::Body;
    }

    /// The client has to take its response: begins its time.
    pub(crate) fn await_taking(&mut self, awaited: Awaited, now: Instant, pace: Pace) {
        self.awaited = awaited;
        self.deadline = pace.begin(now);
        self.taking.look(&self.transport, self.writer.total());
    }

    /// Gives the client more time for what it has taken since the last look.
    pub(crate) fn look_at_taken(&mut self, now: Instant, pace: Pace) {
        let more = self.taking.look(&self.transport, self.writer.total());
        self.deadline = pace.extend(self.deadline, more, now);
    }

    /// Whether what is awaited should have come.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
