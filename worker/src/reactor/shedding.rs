//! Refuses requests that would wait too long for a thread, and those that have. See `shedding`.

use std::time::{Duration, Instant};

use super::Reactor;
use crate::connection::{Connection, ConnectionState, ThreadWork};
use crate::handoff;
use crate::shedding::{CombinedLoad, LoadShedding, QueuePlace, Refusal, WorkerLoad};

/// How long figures of siblings are used: reading them takes time with many workers.
const SIBLINGS_FOR: Duration = Duration::from_millis(1);
/// A socket does not tell shorter waits reliably: the kernel counts ticks of its timer.
const LEAST_UNSEEN: Duration = Duration::from_millis(12);
/// The most late requests that one turn takes from the queue that all workers share.
const MOST_TAKEN: usize = 32;

/// After a failed attempt nothing is taken from there for this time.
const PAUSE: Duration = Duration::from_secs(1);

/// What the event loop keeps from one request to the next.
#[derive(Debug)]
pub(super) struct SheddingState {
    /// How busy the siblings were.
    siblings: CombinedLoad,
    read_at: Instant,
    /// This worker serves since then.
    began: Instant,
    /// No late request is taken from the shared queue before.
    takes_from: Instant,
}

impl SheddingState {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            siblings: CombinedLoad::default(),
            read_at: now,
            began: now,
            takes_from: now,
        }
    }
}

impl Reactor {
    /// A request has become whole: it waits for a thread, or is refused.
    pub(super) fn queue_request(&mut self, mut connection: Box<Connection>) {
        let Some(shedding) = self.shared.shedding.clone() else {
            return self.await_thread(connection, ThreadWork::Respond);
        };
        let checked = match connection.lifecycle().keeps_place() {
            // A sibling has let it in.
            true => match shedding.is_late(connection.lifecycle().ready_at(), self.now) {
                true => Err(shedding.refuse_late(self.now)),
                false => Ok(()),
            },
            false => self.check_new(&shedding, &mut connection),
        };
        match checked {
            Ok(()) => self.await_thread(connection, ThreadWork::Respond),
            Err(refusal) => self.turn_away(connection, refusal),
        }
    }

    fn check_new(
        &mut self,
        shedding: &LoadShedding,
        connection: &mut Connection,
    ) -> Result<(), Refusal> {
        let now = self.shared.millis.at(self.now);
        let own = WorkerLoad::of(self.shared.slot(), self.shared.ready.len(), now);
        let place = QueuePlace {
            handed_on: usize::try_from(self.handoff.queued()).unwrap_or(usize::MAX),
            can_move: !connection.is_bound(),
        };
        self.read_siblings(now);
        let siblings = &self.shedding.siblings;
        if place.finds_thread(&own, siblings) {
            return Ok(());
        }
        let waited = self.note_unseen_wait(connection);
        shedding.check_new(&own, siblings, place, self.now, waited)
    }

    /// How long the first request of a connection has waited before the connection was accepted, without the time in which
    /// this worker booted: a socket may be there for the very reason that requests wait meanwhile. It gets the place that
    /// it would have had.
    fn note_unseen_wait(&self, connection: &mut Connection) -> Duration {
        if !connection.is_first_request() {
            return Duration::ZERO;
        }
        let served_for = self.now.saturating_duration_since(self.shedding.began);
        let waited = connection.transport().socket().unread_for().min(served_for);
        match self.now.checked_sub(waited) {
            Some(since) if waited >= LEAST_UNSEEN => {
                connection.lifecycle_mut().keep_place(since);
                waited
            }
            _ => Duration::ZERO,
        }
    }

    fn read_siblings(&mut self, now: u64) {
        let state = &mut self.shedding;
        if self.now.saturating_duration_since(state.read_at) >= SIBLINGS_FOR {
            state.siblings = self.shared.siblings.load(now);
            state.read_at = self.now;
        }
    }

    /// Answers a whole request with 503; the connection goes on.
    pub(super) fn turn_away(&mut self, mut connection: Box<Connection>, refusal: Refusal) {
        let has_waited = connection.has_request() || connection.lifecycle_mut().give_up_place();
        let since = match has_waited {
            true => connection.lifecycle().ready_at(),
            false => self.now,
        };
        let may_stay = self.shared.may_stay(&connection, refusal);
        let (date, ids) = (self.date.at(self.now), &mut self.request_ids);
        let after = connection.begin_whole_refusal(refusal.response(), may_stay, since, date, ids);
        let stats = self.shared.slot().event_loop();
        stats.count_refusal(refusal.reason);
        self.shared.note_refusal(refusal, self.now);
        let _ = connection.flush(after);
        if !matches!(connection.state(), ConnectionState::Sending(_)) {
            self.end_response(&mut connection);
        }
        self.go_on_after_own(connection);
    }

    /// Refuses the requests that have waited too long, and says so in the log: here and in the queue that all workers share.
    pub(super) fn turn_away_late(&mut self) {
        let Some(shedding) = self.shared.shedding.clone() else {
            return;
        };
        shedding.report(self.now);
        let Some(late_before) = shedding.late_before(self.now) else {
            return;
        };
        let is_late = |at: Instant| at <= late_before;
        let ready = &self.shared.ready;
        if ready.oldest_request().is_some_and(is_late) {
            let fit = |it: &Connection| it.has_request() && is_late(it.lifecycle().ready_at());
            for connection in ready.take_all(fit) {
                self.turn_away_one(connection);
            }
        }
        for _ in 0..MOST_TAKEN {
            if !self.oldest_shared().is_some_and(is_late) {
                break;
            }
            // It comes back here as a request that keeps its place.
            match handoff::take(&self.handoff) {
                Ok(Some(connection)) => self.admit(Box::new(connection)),
                Ok(None) => break,
                Err(_) => self.shedding.takes_from = self.now + PAUSE,
            }
        }
    }

    /// When the first request in the queue of all workers became whole, if this worker may take it.
    fn oldest_shared(&self) -> Option<Instant> {
        let may_take =
            self.has_place() && self.drain.is_none() && self.now >= self.shedding.takes_from;
        may_take.then(|| handoff::oldest(&self.handoff)).flatten()
    }

    fn turn_away_one(&mut self, connection: Box<Connection>) {
        if let Some(shedding) = &self.shared.shedding {
            let refusal = shedding.refuse_late(self.now);
            self.turn_away(connection, refusal);
        }
    }

    /// When the first of the waiting requests has waited too long.
    pub(super) fn next_late(&self) -> Option<Instant> {
        let shedding = self.shared.shedding.as_ref()?;
        shedding.late_before(self.now)?;
        let oldest = [self.shared.ready.oldest_request(), self.oldest_shared()];
        shedding.deadline(oldest.into_iter().flatten().min()?)
    }
}
