//! Chooses the request that a thread runs next: the one that became whole first, in this worker's queue or in the one
//! that all workers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use log::warn;
use oxicorn_common::Handoff;
use oxicorn_common::clock::monotonic_millis;

use super::leader_inbox::{ForLeader, LeaderInbox};
use crate::connection::Connection;
use crate::handoff;
use crate::preface::Preface;
use crate::worker_shared::WorkerShared;

/// After a failed attempt, nothing is taken over for this time, in milliseconds.
const PAUSE: u64 = 1000;

#[derive(Debug)]
pub(super) struct RequestSource {
    handoff: Handoff,
    preface: Arc<Preface>,
    /// In milliseconds of [`monotonic_millis`]: nothing is taken over before, because an attempt has failed.
    takes_over_from: AtomicU64,
}

impl RequestSource {
    pub(super) fn new(handoff: Handoff, preface: Arc<Preface>) -> Self {
        Self {
            handoff,
            preface,
            takes_over_from: AtomicU64::new(0),
        }
    }

    /// The request that has waited longest, here or in the queue between workers.
    pub(super) fn next(
        &self,
        shared: &WorkerShared,
        leader: &LeaderInbox,
    ) -> Option<Box<Connection>> {
        let oldest = || shared.ready.oldest();
        if self.handoff.may_hold_any() && handoff::holds_older(&self.handoff, oldest()) {
            match self.take_over(shared, leader) {
                Some(connection)
                    if oldest().is_none_or(|it| connection.lifecycle().ready_at() <= it) =>
                {
                    return Some(connection);
                }
                Some(connection) => shared.ready.push(connection),
                None => {}
            }
        }
        shared.ready.pop()
    }

    /// Whether [`RequestSource::next`] may return one.
    pub(super) fn may_have_any(&self, shared: &WorkerShared) -> bool {
        !shared.ready.is_empty() || (self.handoff.may_hold_any() && self.may_take_over(shared))
    }

    fn may_take_over(&self, shared: &WorkerShared) -> bool {
        let connections = shared.slot().connections();
        connections + shared.adoptions.count() < shared.most_connections
            && !shared.is_draining()
            && monotonic_millis() >= self.takes_over_from.load(Ordering::Relaxed)
    }

    /// Takes a request that no thread of its worker had time for.
    fn take_over(&self, shared: &WorkerShared, leader: &LeaderInbox) -> Option<Box<Connection>> {
        if !self.may_take_over(shared) || !shared.adoptions.begin() {
            return None;
        }
        let mut connection = match handoff::take(&self.handoff) {
            Ok(Some(connection)) => Box::new(connection),
            Ok(None) => {
                shared.adoptions.end();
                return None;
            }
            Err(error) => {
                shared.adoptions.end();
                warn!("cannot take over a connection: {error}; next attempt in a second");
                let until = monotonic_millis() + PAUSE;
                self.takes_over_from.store(until, Ordering::Relaxed);
                return None;
            }
        };
        self.preface.verify(&mut connection);
        if connection.lifecycle().keeps_place() && connection.receive_whole(&shared.rules) {
            return Some(connection);
        }
        // It idles, or waits for the rest of a request: the reactor handles that.
        leader.give(ForLeader::TakenOver(connection), false);
        None
    }
}
