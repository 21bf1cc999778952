//! The loop of a request thread: follows, leads, and runs the application for whole requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use log::error;
use mio::Waker;
use nix::sys::eventfd::EventFd;
use oxicorn_common::scoreboard::RestartReason;

use super::blocking_estimator::BlockingEstimator;
use super::leader_inbox::{ForLeader, LeaderInbox};
use super::leadership::{Lead, Leadership};
use super::request_source::RequestSource;
use super::rules::{BeforeCall, before_call};
use super::{TURN, main_thread, timeouts};
use crate::connection::Connection;
use crate::reactor::Reactor;
use crate::request_handler::RequestHandler;
use crate::worker_shared::WorkerShared;

pub(super) struct ThreadPool {
    pub(super) shared: Arc<WorkerShared>,
    pub(super) leadership: Leadership<Reactor>,
    leader: LeaderInbox,
    requests: RequestSource,
    estimator: BlockingEstimator,
    /// The thread on which the last call began, and the kind of its request.
    last_thread: AtomicUsize,
    last_kind: AtomicUsize,
    /// Becomes readable when the threads are to end, for a main thread that waits.
    pub(super) over: EventFd,
}

impl ThreadPool {
    pub(super) fn new(
        shared: Arc<WorkerShared>,
        reactor: Reactor,
        waker: Waker,
        over: EventFd,
    ) -> Self {
        Self {
            leader: LeaderInbox::new(waker),
            requests: RequestSource::new(reactor.handoff().clone(), Arc::clone(reactor.preface())),
            leadership: Leadership::new(reactor, shared.slot().serving_threads()),
            shared,
            estimator: BlockingEstimator::default(),
            last_thread: AtomicUsize::new(0),
            last_kind: AtomicUsize::new(0),
            over,
        }
    }

    /// The loop of request thread `index`.
    pub(super) fn work(&self, index: usize) {
        let mut handler = RequestHandler::new(&self.shared, index);
        while self.leadership.follow(index, || self.leader.wake()) {
            if let Some(reactor) = self.leadership.try_lead() {
                self.lead(reactor, &mut handler);
            }
        }
    }

    /// Turns the reactor and runs its requests, until another thread leads and nothing waits.
    fn lead<'a>(&'a self, mut reactor: Lead<'a, Reactor>, handler: &mut RequestHandler<'_>) {
        reactor.set_now(Instant::now());
        loop {
            if self.is_in_reserve(handler) {
                return self.leadership.resign(reactor);
            }
            let mut next = None;
            if !reactor.is_due() {
                next = self.next();
            }
            if next.is_none() {
                self.take_back(&mut reactor);
                if self.is_over(&mut reactor) {
                    return;
                }
                let timeout = match self.requests.may_have_any(&self.shared) {
                    true => Duration::ZERO,
                    false => TURN,
                };
                if !self.turn(&mut reactor, timeout, true) {
                    return;
                }
                main_thread::attend_to_signals(&self.shared, &mut reactor);
                next = self.next();
            }
            let Some(connection) = next else { continue };
            match self.run(reactor, connection, handler) {
                Some(again) => reactor = again,
                None => return,
            }
        }
    }

    /// Runs a request, and further ones while another thread leads; leads again when none does.
    fn run<'a>(
        &'a self,
        mut reactor: Lead<'a, Reactor>,
        mut connection: Box<Connection>,
        handler: &mut RequestHandler<'_>,
    ) -> Option<Lead<'a, Reactor>> {
        let mut kind = self.estimator.slot_for(&connection);
        let others_wait = !self.shared.ready.is_empty();
        let forecast = self.estimator.forecast(kind);
        let before = before_call(self.leadership.idle(), others_wait, forecast);
        if before == BeforeCall::ShareReady {
            reactor.share_requests();
        }
        // One reading of the clock between two requests is enough for both.
        let mut started = reactor.now();
        self.leadership
            .let_go(reactor, before == BeforeCall::Promote);
        loop {
            let ended = self.serve(&mut connection, kind, started, handler);
            if let Some(mut reactor) = self.leadership.try_lead() {
                reactor.set_now(ended);
                reactor.settle(connection);
                return Some(reactor);
            }
            let may_wait = !self.shared.is_draining();
            self.leader.give(ForLeader::Served(connection), may_wait);
            if self.is_in_reserve(handler) {
                return None;
            }
            connection = self.next()?;
            kind = self.estimator.slot_for(&connection);
            started = Instant::now();
        }
    }

    fn serve(
        &self,
        connection: &mut Connection,
        kind: usize,
        started: Instant,
        handler: &mut RequestHandler<'_>,
    ) -> Instant {
        let alone = self.all_others_rest();
        // Relaxed: `note_call` publishes them. If two calls begin at once, the watchdog may see either.
        self.last_thread.store(handler.index(), Ordering::Relaxed);
        self.last_kind.store(kind, Ordering::Relaxed);
        self.leadership.note_call();
        if let Some(refusal) = self.shared.take_up(connection, started) {
            return handler.turn_away(connection, refusal, started);
        }
        let sample = self.estimator.begin(kind, started, alone);
        let ended = handler.serve(connection, started);
        self.estimator.learn(&sample, ended);
        self.shared.note_served(started, ended);
        ended
    }

    /// The request thread on which the last call began.
    pub(super) fn last_thread(&self) -> usize {
        self.last_thread.load(Ordering::Relaxed)
    }

    /// Whether the last call is of a kind that takes long.
    pub(super) fn is_last_long(&self) -> bool {
        let kind = self.last_kind.load(Ordering::Relaxed);
        self.estimator.forecast(kind).is_long()
    }

    /// One turn of the reactor; requests are run afterwards if a thread is `free`. False if it was the last turn.
    pub(super) fn turn(&self, reactor: &mut Reactor, timeout: Duration, free: bool) -> bool {
        let busy = !free || !self.all_others_rest();
        let timeout = timeouts::check(&self.shared, reactor, busy).min(timeout);
        let outcome = reactor.turn(timeout, free);
        self.leader.end_turn();
        if self.shared.app.retires() {
            self.shared.master.ask_for_replacement(RestartReason::Exit);
        }
        if let Err(error) = &outcome {
            error!("the event loop failed: {error}");
            self.dismiss(1);
        }
        outcome.is_ok()
    }

    /// Takes the connections that other threads no longer need.
    pub(super) fn take_back(&self, reactor: &mut Reactor) {
        for given in self.leader.take() {
            match given {
                ForLeader::Served(connection) => reactor.settle(connection),
                ForLeader::TakenOver(connection) => {
                    reactor.admit(connection);
                    self.shared.adoptions.end();
                }
            }
        }
    }

    /// Whether the worker's life is over; then ends the threads.
    pub(super) fn is_over(&self, reactor: &mut Reactor) -> bool {
        let over = reactor.is_finished() || self.leadership.dismissed().is_some();
        if over {
            reactor.end_shared();
            self.dismiss(0);
        }
        over
    }

    /// Ends all threads that are not stuck.
    pub(super) fn dismiss(&self, code: i32) {
        self.leadership.dismiss(code);
        // A full counter is readable too.
        let _ = self.over.write(1);
    }

    /// Whether the application holds the one request thread.
    pub(super) fn is_only_thread_busy(&self) -> bool {
        self.shared.in_flight.len() == 1 && !self.leadership.is_led() && self.leadership.idle() == 0
    }

    /// Whether the calling thread has been put in reserve: what waits is for the others.
    fn is_in_reserve(&self, handler: &RequestHandler<'_>) -> bool {
        handler.index() >= self.leadership.serving()
    }

    /// Whether only the calling request thread is not asleep.
    fn all_others_rest(&self) -> bool {
        self.leadership.sleeping() + 1 >= self.shared.in_flight.len()
    }

    /// Whether whole requests wait, here or in the queue between workers.
    pub(super) fn has_waiting(&self) -> bool {
        self.requests.may_have_any(&self.shared)
    }

    /// The threads that serve at first.
    pub(super) fn first_serving(&self) -> usize {
        self.shared.slot().serving_threads()
    }

    /// From now on `count` threads serve, of which `proven` have been worth it.
    pub(super) fn set_serving(&self, count: usize, proven: usize) {
        self.shared.slot().set_serving_threads(count, proven);
        self.leadership.set_serving(count);
    }

    fn next(&self) -> Option<Box<Connection>> {
        self.requests.next(&self.shared, &self.leader)
    }
}
