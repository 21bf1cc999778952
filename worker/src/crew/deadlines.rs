//! Requests that the application holds for longer than `timeout`.

use std::time::{Duration, Instant};

use super::{Crew, TURN};
use crate::reactor::Reactor;

impl Crew {
    /// Answers for threads that have been inside the application for longer than `timeout`, and
    /// returns how long until the next one will have been.
    pub(super) fn check_seats(&self, reactor: &mut Reactor) -> Duration {
        let limit = self.station.settings.timeout;
        if limit.is_zero() {
            return TURN;
        }
        if self.station.settings.reload.enabled {
            let seats = self.station.seats.iter();
            seats.for_each(|seat| seat.remark(limit, &self.station));
            return TURN;
        }
        let mut oldest = None;
        for seat in &self.station.seats {
            let Some(since) = seat.since() else { continue };
            match seat.expire(limit) {
                Some(expired) => {
                    reactor.given_up += 1;
                    expired.answer(&self.station);
                    self.station.tell_of_timeout();
                }
                None => oldest = Some(oldest.map_or(since, |other: Instant| other.min(since))),
            }
        }
        oldest.map_or(TURN, |since| {
            TURN.min(limit.saturating_sub(since.elapsed()))
        })
    }
}
