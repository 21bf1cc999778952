//! The event loop of a worker. It owns every connection that no request thread works on, reads heads and
//! bodies, sends responses that clients take slowly, and keeps the deadlines of clients. It never runs the
//! application, and waits only in its poll.
//!
//! ```text
//!   admission --> receive --> ready queue --> (request thread) --> settle
//!                    ^  \                                         /  |  \
//!                    |   +--> sending (a refusal) <--------------+   |   +--> closing
//!                    +-----------------------------------------------+
//! ```
//!
//! It has no thread of its own: the leader turns it (see `threads`).

mod admission;
mod buffer_pool;
mod closing;
mod deadlines;
mod drain;
mod health;
mod limiting;
mod poller;
mod receive;
mod sending;
mod sharing;
mod shedding;
mod static_files;
mod table;
mod timers;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::warn;
use mio::Waker;
use oxicorn_common::{Handoff, Listener, SignalPipe};

use crate::acceptor::Acceptor;
use crate::connection::{Connection, ConnectionState, ThreadWork};
use crate::http::date::DateCache;
use crate::preface::Preface;
use crate::request_ids::RequestIds;
use crate::static_files::StaticFiles;
use crate::tls::TlsConfig;
use crate::worker_shared::WorkerShared;

use buffer_pool::BufferPool;
use poller::{FIRST_LISTENER, Poller, SIGNALS, WAKER};
use table::ConnectionTable;
use timers::Timers;

/// While requests wait, the loop polls again after this time, so that new requests are queued in the order
/// of their arrival.
const LONGEST_ABSENCE: Duration = Duration::from_millis(1);
/// An idle worker turns at least this often, for its heartbeat.
const LONGEST_TURN: Duration = Duration::from_secs(1);
/// The same while log lines wait for their receiver.
const LOG_TURN: Duration = Duration::from_millis(100);
/// The same while connections wait for room in the queue to the siblings.
const QUEUE_TURN: Duration = Duration::from_millis(10);
/// The most connections that one turn between two requests accepts from one listener.
const ACCEPTS: usize = 8;
/// The most handshakes that one turn continues. A signature takes up to a few milliseconds, and other
/// clients must not wait for many that have just arrived.
const HANDSHAKES: usize = 4;

pub(crate) struct Reactor {
    shared: Arc<WorkerShared>,
    now: Instant,
    poller: Poller,
    acceptor: Acceptor,
    accepting: admission::Pause,
    /// Listeners that have had an event and may hold a connection.
    ready_listeners: Vec<usize>,
    preface: Arc<Preface>,
    table: ConnectionTable,
    timers: Timers,
    buffers: BufferPool,
    /// Tokens of connections that have yielded their turn.
    yielded: Vec<usize>,
    /// Tokens of connections whose bodies wait for the memory of others, the longest waiting first.
    crowded: VecDeque<usize>,
    /// Handshakes that this turn may still continue.
    handshakes_left: usize,
    /// The leader also runs requests.
    runs_requests: bool,
    date: DateCache,
    request_ids: RequestIds,
    limits: limiting::LimitState,
    /// Boxed: most servers have none.
    static_files: Option<Box<StaticFiles>>,
    /// A buffer for the responses of `static_files`.
    spare: Vec<u8>,
    handoff: Handoff,
    shedding: shedding::SheddingState,
    /// No connection moves to a sibling before then.
    rebalance_after: Instant,
    signals: SignalPipe,
    /// When to check for signals even without an interruption.
    signals_due: Instant,
    drain: Option<drain::Drain>,
    /// The worker must end at once, without waiting for requests.
    quit: bool,
    /// Requests that were answered 504 while their threads are still in the application.
    timed_out: usize,
    /// When the last turn began.
    last_turn: Instant,
    /// Log lines wait for their receiver.
    logs_wait: bool,
}

impl Reactor {
    pub(crate) fn new(
        shared: Arc<WorkerShared>,
        listeners: Vec<Listener>,
        handoff: Handoff,
        signals: SignalPipe,
        tls: Option<TlsConfig>,
    ) -> io::Result<(Self, Waker)> {
        let now = Instant::now();
        let (poller, waker) = Poller::new(shared.settings.workers, signals.as_fd())?;
        let mut acceptor =
            Acceptor::new(poller.poll(), listeners, handoff.clone(), FIRST_LISTENER)?;
        acceptor.set_open(true, true)?;
        let request_ids = RequestIds::new(&shared.settings);
        let rules = shared
            .rate_limiter
            .as_ref()
            .map_or(0, |it| it.rules().len());
        let static_files = StaticFiles::new(&shared.settings).map(Box::new);
        let reactor = Self {
            preface: Arc::new(Preface::new(&shared.settings, tls)),
            shared,
            now,
            poller,
            acceptor,
            accepting: admission::Pause::new(now),
            ready_listeners: Vec::new(),
            table: ConnectionTable::default(),
            timers: Timers::default(),
            buffers: BufferPool::new(now),
            yielded: Vec::new(),
            crowded: VecDeque::new(),
            handshakes_left: 0,
            runs_requests: true,
            date: DateCache::new(),
            request_ids,
            limits: limiting::LimitState::new(rules, now),
            static_files,
            spare: Vec::new(),
            handoff,
            shedding: shedding::SheddingState::new(now),
            rebalance_after: now,
            signals,
            signals_due: now,
            drain: None,
            quit: false,
            timed_out: 0,
            last_turn: now,
            logs_wait: false,
        };
        Ok((reactor, waker))
    }

    pub(crate) fn handoff(&self) -> &Handoff {
        &self.handoff
    }

    pub(crate) fn preface(&self) -> &Arc<Preface> {
        &self.preface
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// The leader has read the clock.
    pub(crate) fn set_now(&mut self, now: Instant) {
        self.now = now;
    }

    /// A request was answered 504 while its thread is still in the application.
    pub(crate) fn count_timeout(&mut self) {
        self.timed_out += 1;
    }

    /// Whether a signal may have come to the leader, or the time to check for one has come; the next check
    /// is due after `pause`.
    pub(crate) fn take_signals_due(&mut self, pause: Duration) -> bool {
        let is_due = self.poller.take_interrupted() || self.now >= self.signals_due;
        if is_due {
            self.signals_due = self.now + pause;
        }
        is_due
    }

    /// Lets the kernel wake idle siblings first.
    pub(crate) fn yield_to_siblings(&self) {
        if let Err(error) = self.acceptor.yield_to_siblings() {
            warn!("cannot watch a listener: {error}");
        }
    }

    /// Waits for events, for at most `timeout`, and handles them. Whole requests go into the ready queue.
    /// Takes connections that siblings have given away only when a thread is `free` for them.
    pub(crate) fn turn(&mut self, timeout: Duration, free: bool) -> io::Result<()> {
        self.runs_requests = free;
        self.open_listeners(free)?;
        // Workers take turns, one connection each; a busy one may take long to return here.
        let most_accepts = if timeout.is_zero() { ACCEPTS } else { 1 };
        self.look_at_listeners()?;
        self.show_connections();
        self.now = self.poller.wait(self.poll_timeout(timeout), self.now)?;
        self.last_turn = self.now;
        let heartbeat = self.shared.millis.at(self.now);
        self.shared.slot().set_heartbeat(heartbeat);
        self.handshakes_left = HANDSHAKES;
        let mut signalled = false;
        self.read_crowded();
        let mut listeners = std::mem::take(&mut self.ready_listeners);
        let events = self.poller.take_events();
        for event in &events {
            match event.token().0 {
                WAKER => {}
                SIGNALS => signalled = true,
                token => match self.acceptor.index_of(token) {
                    Some(index) => listeners.push(index),
                    None => self.wake(token, event.is_readable(), event.is_read_closed()),
                },
            }
        }
        self.poller.put_back(events);
        for token in std::mem::take(&mut self.yielded) {
            self.wake(token, false, false);
        }
        for index in listeners.drain(..) {
            self.accept(index, most_accepts);
        }
        self.ready_listeners = listeners;
        self.expire();
        self.turn_away_late();
        self.pass_on_kept();
        self.rebalance();
        self.report_all_limited();
        // Log lines may wait for a receiver that is slow.
        self.logs_wait = oxicorn_common::logging::tend();
        self.buffers.tend(self.now);
        if signalled {
            self.obey_signals()?;
        }
        self.show_connections();
        Ok(())
    }

    /// Whether events may have waited for a millisecond, because other requests were run.
    pub(crate) fn is_due(&self) -> bool {
        self.now.saturating_duration_since(self.last_turn) >= LONGEST_ABSENCE
    }

    /// How long the poll may wait.
    fn poll_timeout(&self, most: Duration) -> Duration {
        if !self.yielded.is_empty() || !self.crowded.is_empty() {
            return Duration::ZERO;
        }
        let longest = if self.keeps_any() {
            QUEUE_TURN
        } else if self.logs_wait || (self.drain.is_some() && !self.shared.stack_log.is_idle()) {
            LOG_TURN
        } else {
            LONGEST_TURN
        };
        let drain = self.drain.as_ref().map(drain::Drain::deadline);
        let next = [
            self.timers.next(),
            self.accepting.until(),
            drain,
            self.next_late(),
        ];
        let lefts = next
            .iter()
            .flatten()
            .map(|at| at.saturating_duration_since(self.now));
        lefts.fold(most.min(longest), Duration::min)
    }

    /// The poll reports an event of a connection, or its turn has come again.
    fn wake(&mut self, token: usize, readable: bool, closed: bool) {
        if let Some(mut connection) = self.table.wake(token, readable, closed) {
            connection.begin_turn();
            match connection.state() {
                ConnectionState::Sending(after) => self.send(connection, after),
                _ => self.place(connection),
            }
        }
    }

    /// Takes back a connection from a request thread.
    pub(crate) fn settle(&mut self, mut connection: Box<Connection>) {
        match connection.token() {
            Some(token) => self.table.catch_up(token, &mut connection),
            None if !connection.take_adopted() => return self.admit(connection),
            None => {
                self.shared.adoptions.end();
                self.table.add(&mut connection);
                self.count_connections();
            }
        }
        self.place(connection);
    }

    /// Passes a connection to the step that its state asks for.
    fn place(&mut self, connection: Box<Connection>) {
        match connection.state() {
            ConnectionState::Preface(state) => self.go_on_with_preface(connection, state),
            ConnectionState::Idle | ConnectionState::Head | ConnectionState::Body => {
                self.receive(connection, false);
            }
            ConnectionState::Ready(work) => self.await_thread(connection, work),
            ConnectionState::Sending(_) => self.await_room(connection),
            ConnectionState::Lingering(stage) => self.linger(connection, stage),
            // A request thread closes the application's stream: the application's code runs nowhere else.
            ConnectionState::Closed if connection.writer().has_pieces() => {
                self.await_thread(connection, ThreadWork::Abandon);
            }
            ConnectionState::Closed | ConnectionState::TimedOut => self.close(connection),
        }
    }

    /// A connection needs a request thread: the first free one takes it.
    fn await_thread(&mut self, mut connection: Box<Connection>, work: ThreadWork) {
        connection.count_octets(|| self.shared.slot().event_loop());
        connection.lifecycle_mut().await_thread(work, self.now);
        self.shared.ready.push(connection);
    }

    /// Keeps a connection until the poll or a timer reports it.
    fn hold(&mut self, mut connection: Box<Connection>, for_writing: bool) {
        let Some(token) = connection.token() else {
            return self.close(connection);
        };
        let for_writing =
            for_writing || (connection.is_in_preface() && connection.transport().wants_to_write());
        if let Err(error) = self.poller.watch(&mut connection, token, for_writing) {
            warn!("cannot watch a client: {error}");
            return self.close(connection);
        }
        // An event may come for a connection that already waits for its turn: it must not get two.
        if connection.has_yielded() && !self.yielded.contains(&token) {
            self.yielded.push(token);
        }
        connection.count_octets(|| self.shared.slot().event_loop());
        if let Some(at) = connection.timer_to_set(self.now) {
            self.timers.set(at, token);
        }
        self.table.put(token, connection);
    }
}
