//! Requests that the application holds for longer than `timeout`.

use std::time::Duration;

use super::{Crew, TURN};
use crate::reactor::Reactor;
use crate::seat::Found;

impl Crew {
    /// Answers for threads whose application has been waited for longer than `timeout`, and returns
    /// how long until the next one will have been.
    pub(super) fn check_seats(&self, reactor: &mut Reactor) -> Duration {
        let limit = self.station.settings.timeout;
        if limit.is_zero() {
            return TURN;
        }
        let now = reactor.now;
        if self.station.settings.reload.enabled {
            let seats = self.station.seats.iter();
            seats.for_each(|seat| seat.remark(limit, now, &self.station));
            return TURN;
        }
        let mut patience = TURN;
        for seat in &self.station.seats {
            match seat.check(limit, now) {
                Found::Idle => {}
                Found::Busy(since) => {
                    let age = now.saturating_duration_since(since);
                    patience = patience.min(limit.saturating_sub(age));
                }
                Found::Expired(expired) => {
                    reactor.given_up += 1;
                    expired.answer(&self.station, now);
                    self.station.tell_of_timeout();
                }
            }
        }
        patience
    }
}
