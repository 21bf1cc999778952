//! What a thread runs next: the request that became whole first, be it in this worker's queue or in the
//! one that all workers share.

use std::sync::atomic::Ordering;

use log::warn;
use oxicorn_common::clock::monotonic_millis;

use super::{ThreadPool, lock};
use crate::connection::Connection;
use crate::handoff;

/// How long nothing is taken over after that has failed, in milliseconds.
const PAUSE: u64 = 1000;

impl ThreadPool {
    /// The request that has waited longest, here or on its way between workers.
    pub(super) fn next(&self) -> Option<Box<Connection>> {
        let oldest = || self.shared.ready.oldest();
        if self.handoff.may_hold_any() && handoff::holds_older(&self.handoff, oldest()) {
            match self.take_over() {
                Some(connection) if oldest().is_none_or(|it| connection.whole_at <= it) => {
                    return Some(connection);
                }
                Some(connection) => self.shared.ready.push(connection),
                None => {}
            }
        }
        self.shared.ready.pop()
    }

    pub(super) fn anything_waits(&self) -> bool {
        !self.shared.ready.is_empty() || (self.handoff.may_hold_any() && self.may_take_over())
    }

    fn may_take_over(&self) -> bool {
        let shared = &self.shared;
        let connections = shared.slot().connections();
        connections + shared.adopted.load(Ordering::Relaxed) < shared.most_connections
            && !shared.is_draining()
            && monotonic_millis() >= self.takes_over_from.load(Ordering::Relaxed)
    }

    /// Takes a request that no thread of its worker had the time for.
    fn take_over(&self) -> Option<Box<Connection>> {
        let taken = match self.may_take_over() {
            true => handoff::take(&self.handoff),
            false => return None,
        };
        let mut connection = match taken {
            Ok(connection) => Box::new(connection?),
            Err(error) => {
                warn!("cannot take over a connection: {error}; next attempt in a second");
                let until = monotonic_millis() + PAUSE;
                self.takes_over_from.store(until, Ordering::Relaxed);
                return None;
            }
        };
        self.preface.doubt(&mut connection);
        if connection.keeps_place && connection.receive_whole(&self.shared.rules) {
            self.shared.adopted.fetch_add(1, Ordering::SeqCst);
            return Some(connection);
        }
        // It idles, or waits for the rest of a request: that is the reactor's business.
        lock(&self.returned).push(connection);
        self.wake_leader();
        None
    }
}
