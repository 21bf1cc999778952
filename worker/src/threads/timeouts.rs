//! Requests that the application holds for longer than `timeout`.

use std::time::Duration;

use super::{TURN, ThreadPool};
use crate::in_flight::Found;
use crate::reactor::Reactor;

impl ThreadPool {
    /// Answers for threads whose application has been waited for longer than `timeout`, and returns
    /// how long until the next one will have been.
    pub(super) fn check_seats(&self, reactor: &mut Reactor) -> Duration {
        let limit = self.shared.settings.timeout;
        if limit.is_zero() {
            return TURN;
        }
        let now = reactor.now;
        if self.shared.settings.reload.enabled {
            let in_flight = self.shared.in_flight.iter();
            in_flight.for_each(|seat| seat.remark(limit, now, &self.shared));
            return TURN;
        }
        let mut timeout = TURN;
        for seat in &self.shared.in_flight {
            match seat.check(limit, now) {
                Found::Idle => {}
                Found::Busy(since) => {
                    let age = now.saturating_duration_since(since);
                    timeout = timeout.min(limit.saturating_sub(age));
                }
                Found::Expired(expired) => {
                    reactor.given_up += 1;
                    expired.answer(&self.shared, now);
                    self.shared.tell_of_timeout();
                }
            }
        }
        timeout
    }
}
