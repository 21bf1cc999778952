//! The event loop of a worker: owns every connection that no request thread works on, reads heads
//! and bodies, drains slow responses, and keeps the deadlines of clients. It never runs the
//! application and never waits but in its poll.
//!
//! It has no thread of its own: whoever leads (see `threads`) turns it.

mod admission;
mod deadlines;
mod drain;
mod polling;
mod preface;
mod rebalancing;
mod spare;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use oxicorn_common::{Handoff, SignalPipe};
use slab::Slab;

use crate::acceptor::Acceptor;
use crate::connection::{Awaited, Connection, NO_TOKEN, Phase, Received, Then};
use crate::http::Decoded;
use crate::http::date::DateCache;
use crate::http::encode::CONTINUE;
use crate::pace::Pace;
use crate::preface::Preface;
use crate::response_writer::Flushed;
use crate::timers::Timers;
use crate::tls::TlsConfig;
use crate::worker_shared::WorkerShared;

use drain::Drain;
use polling::LONGEST_TURN;
use spare::SpareBuffers;

const WAKER: usize = usize::MAX - 1;
const SIGNALS: usize = usize::MAX - 2;
const FIRST_LISTENER: usize = usize::MAX / 2;

/// While requests wait, the poll is looked at again after this: what has come meanwhile gets its place
/// behind them, and before what comes later.
const LONGEST_ABSENCE: Duration = Duration::from_millis(1);
/// Events that one turn deals with. As many requests wait then with their buffers, which had better be
/// fewer than the cache has room for; who came first is told of first.
const EVENTS: usize = 32;
/// Connections that one turn between two requests accepts from one listener.
const ACCEPTS: usize = 8;
/// How long a client may go on sending after its connection was refused more.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    pub(crate) acceptor: Acceptor,
    /// Listeners that have had an event and may hold a connection.
    knocks: Vec<usize>,
    pub(crate) handoff: Handoff,
    signals: SignalPipe,
    pub(crate) table: Slab<TableEntry>,
    /// Tokens of connections that stopped to let others have their turn.
    eager: Vec<usize>,
    /// Tokens of connections whose bodies wait for the memory of others, the longest waiting first.
    crowded: VecDeque<usize>,
    pub(crate) timers: Timers,
    spare: SpareBuffers,
    pub(crate) preface: Arc<Preface>,
    date: DateCache,
    /// Handshakes that this turn may go on with.
    handshakes_left: usize,
    pub(crate) shared: Arc<WorkerShared>,
    drain: Option<Drain>,
    /// To be left at once, whatever is under way.
    quit: bool,
    /// Requests that were answered 504 while their threads are still in the application.
    pub(crate) given_up: usize,
    pub(crate) now: Instant,
    /// A signal may have come to the thread that waited in the poll.
    pub(crate) interrupted: bool,
    /// When signals are to be looked after without an interruption.
    pub(crate) signals_due: Instant,
    /// When the last turn began.
    last_turn: Instant,
    /// The last event came within moments.
    brisk: bool,
    /// There is a processor for each worker.
    has_processor: bool,
    /// Whoever leads runs what is ready.
    runs_ready: bool,
    /// Log lines wait for their receiver.
    logs_wait: bool,
    /// No place could be made for a client that waits at the door: not before then again, unless a
    /// place gets free.
    shut_until: Option<Instant>,
    /// Who waits at the door was left to siblings a moment ago.
    left_to_siblings: bool,
    /// When to look at the door without being woken for it.
    door_due: Instant,
    /// No warning of that before then.
    warn_after: Instant,
    /// No client moves to a sibling before then.
    rebalance_after: Instant,
}

/// A place in the table.
#[derive(Debug)]
pub(crate) enum TableEntry {
    Here(Box<Connection>),
    /// Ready or with a request thread; what the poll has said of it meanwhile.
    Away {
        readable: bool,
        hung_up: bool,
    },
}

/// Whether there is a processor for each of `workers`: looking into the poll again and again is then
/// nobody else's loss.
fn has_processor(workers: usize) -> bool {
    std::thread::available_parallelism().is_ok_and(|count| workers <= count.get())
}

const AWAY: TableEntry = TableEntry::Away {
    readable: false,
    hung_up: false,
};

impl Reactor {
    pub(crate) fn new(
        shared: Arc<WorkerShared>,
        listeners: Vec<oxicorn_common::Listener>,
        handoff: Handoff,
        signals: SignalPipe,
        tls: Option<TlsConfig>,
    ) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(WAKER))?;
        let signal_fd = signals.as_fd().as_raw_fd();
        poll.registry().register(
            &mut SourceFd(&signal_fd),
            Token(SIGNALS),
            Interest::READABLE,
        )?;
        let mut acceptor = Acceptor::new(&poll, listeners, handoff.clone(), FIRST_LISTENER)?;
        acceptor.set_open(true, true)?;
        let reactor = Self {
            poll,
            events: Events::with_capacity(EVENTS),
            has_processor: has_processor(shared.settings.workers),
            acceptor,
            knocks: Vec::new(),
            handoff,
            signals,
            table: Slab::new(),
            eager: Vec::new(),
            crowded: VecDeque::new(),
            timers: Timers::default(),
            spare: SpareBuffers::new(Instant::now()),
            preface: Arc::new(Preface::new(&shared.settings, tls)),
            date: DateCache::new(),
            handshakes_left: 0,
            shared,
            drain: None,
            quit: false,
            given_up: 0,
            now: Instant::now(),
            interrupted: false,
            signals_due: Instant::now(),
            last_turn: Instant::now(),
            brisk: false,
            runs_ready: true,
            logs_wait: false,
            shut_until: None,
            left_to_siblings: false,
            door_due: Instant::now(),
            warn_after: Instant::now(),
            rebalance_after: Instant::now(),
        };
        Ok((reactor, waker))
    }

    /// Waits for something to happen, for at most `timeout`, and deals with all of it. Requests
    /// that are whole end up in `ready`. What siblings have given away is taken only when a thread is
    /// `free` for it.
    pub(crate) fn turn(&mut self, timeout: Duration, free: bool) -> io::Result<()> {
        self.runs_ready = free;
        let accepts = self.is_open();
        if accepts {
            // A time that is past would have the poll never wait.
            self.shut_until = None;
        }
        self.acceptor
            .set_open(accepts, accepts && free && self.has_place())?;
        // Workers take turns; one that is busy may not come back for a while.
        let most = if timeout.is_zero() { ACCEPTS } else { 1 };
        let timeout = self.poll_timeout(timeout);
        self.look_at_door()?;
        self.wait(timeout)?;
        if self.events.is_empty() && self.now.duration_since(self.last_turn) >= LONGEST_TURN {
            // The kernel wakes one process per connection. One that is killed at that moment takes the wake with it, and the
            // connection would wait for the next; who joins again finds it.
            self.acceptor.yield_to_siblings()?;
        }
        self.last_turn = self.now;
        self.shared.slot().beat();
        self.handshakes_left = preface::HANDSHAKES;
        let mut signalled = false;
        self.read_crowded();
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token().0 {
                WAKER => {}
                SIGNALS => signalled = true,
                token => match self.acceptor.index_of(token) {
                    Some(index) => self.knocks.push(index),
                    None => self.wake(token, event.is_readable(), event.is_read_closed()),
                },
            }
        }
        self.events = events;
        for token in std::mem::take(&mut self.eager) {
            self.wake(token, false, false);
        }
        for index in std::mem::take(&mut self.knocks) {
            self.accept(index, most);
        }
        self.expire();
        self.pass_on_kept();
        self.rebalance();
        self.tend_logs();
        self.spare.tend(self.now);
        if signalled {
            self.obey_signals()?;
        }
        Ok(())
    }

    /// Whether events may have waited for a millisecond: other requests were run meanwhile.
    pub(crate) fn is_due(&self) -> bool {
        self.now.saturating_duration_since(self.last_turn) >= LONGEST_ABSENCE
    }

    /// Puts a connection that a request thread is done with where it belongs.
    pub(crate) fn settle(&mut self, mut connection: Box<Connection>) {
        if connection.token == NO_TOKEN {
            if !std::mem::take(&mut connection.adopted) {
                return self.admit(connection);
            }
            self.shared.adopted.fetch_sub(1, Ordering::SeqCst);
            connection.token = self.table.insert(AWAY);
            self.count_connections();
        }
        if let Some(TableEntry::Away { readable, hung_up }) = self.table.get(connection.token) {
            connection.readable |= readable;
            connection.hung_up |= hung_up;
        }
        self.place(connection);
    }

    fn place(&mut self, mut connection: Box<Connection>) {
        match connection.phase {
            // The application's stream is let go of by a request thread, as the application runs
            // nowhere else.
            Phase::Dead if connection.writer.has_pieces() && !connection.given_up => {
                self.wait_for_thread(connection);
            }
            Phase::Dead => self.forget(connection),
            Phase::Ready => self.wait_for_thread(connection),
            Phase::Receiving => self.receive(connection, false),
            Phase::Sending => {
                if connection.awaited != Awaited::Room {
                    connection.await_taking(Awaited::Room, self.now, self.taking());
                }
                self.hold(connection, true);
            }
            Phase::Lingering => {
                if !matches!(connection.awaited, Awaited::End | Awaited::Acknowledgement) {
                    connection.transport.finish();
                    connection.transport.shutdown(std::net::Shutdown::Write);
                    connection.await_within(Awaited::End, self.now, LINGER);
                }
                let mut scratch = connection.buffers.take().unwrap_or_default();
                let ended = connection.discard(&mut scratch.input);
                if ended {
                    self.forget(connection)
                } else {
                    self.hold(connection, false)
                }
            }
        }
    }

    fn wait_for_thread(&mut self, mut connection: Box<Connection>) {
        self.table[connection.token] = AWAY;
        connection.begin_waiting(self.now);
        self.shared.ready.push(connection);
    }

    /// Reads what there is of the next request. Its `last` chance: what the socket does not have is
    /// overdue.
    fn receive(&mut self, mut connection: Box<Connection>, last: bool) {
        let mut buffers = match connection.buffers.take() {
            Some(buffers) => buffers,
            None => self.spare.take(),
        };
        if connection.preface_state.is_some() {
            match self.open(connection, buffers) {
                Some(through) => (connection, buffers) = through,
                None => return,
            }
        }
        buffers.decoder.may_wait = self.runs_ready;
        buffers.decoder.others_ahead = !self.crowded.is_empty();
        match connection.receive(&mut buffers, &self.shared.rules) {
            Received::Request => {
                connection.buffers = Some(buffers);
                connection.phase = Phase::Ready;
                self.place(connection);
            }
            Received::Waiting(Decoded::Idle) => {
                self.spare.keep(buffers);
                if last {
                    return self.give_up_on(connection);
                }
                // A new connection has the time of a head to say something.
                if connection.awaited != Awaited::Head {
                    let timeout = self.shared.settings.keepalive;
                    connection.await_within(Awaited::Request, self.now, timeout);
                }
                self.rest(connection);
            }
            Received::Waiting(step) => {
                connection.buffers = Some(buffers);
                let settings = &self.shared.settings;
                match step {
                    Decoded::MoreHead if connection.awaited == Awaited::Head => {}
                    Decoded::MoreHead => {
                        connection.await_within(Awaited::Head, self.now, settings.header_timeout);
                    }
                    _ => {
                        if step == Decoded::Crowded {
                            // It is us who do not read: all its time is before it.
                            connection.awaited = Awaited::Request;
                            if !self.crowded.contains(&connection.token) {
                                self.crowded.push_back(connection.token);
                            }
                        }
                        connection.await_body(self.now, Pace::of_body(settings));
                    }
                }
                match step {
                    Decoded::Continue => self.ask_for_body(connection),
                    _ if last && connection.is_overdue(self.now) => self.give_up_on(connection),
                    _ => self.hold(connection, false),
                }
            }
            Received::Closed => {
                self.spare.keep(buffers);
                self.part(connection);
            }
            Received::Refused(error) => {
                connection.buffers = Some(buffers);
                self.refuse(connection, &error);
            }
        }
    }

    /// Reads bodies that have waited for the memory of others, in the order in which they came, as far as
    /// there is some: later ones would be read first again and again otherwise.
    fn read_crowded(&mut self) {
        let mut waiting = std::mem::take(&mut self.crowded);
        while let Some(token) = waiting.pop_front() {
            self.wake(token, false, false);
            if !self.crowded.is_empty() {
                break;
            }
        }
        self.crowded.append(&mut waiting);
    }

    /// Tells a client that waits for it to send its body. The response before may have filled the
    /// socket: what this one does not take at once is sent as responses are, before anything else is.
    fn ask_for_body(&mut self, mut connection: Box<Connection>) {
        connection.writer.bytes.extend_from_slice(CONTINUE);
        connection.then = Then::KeepAlive;
        connection.phase = match connection.writer.flush(&connection.transport) {
            Ok(Flushed::Done) => return self.hold(connection, false),
            Ok(_) => Phase::Sending,
            Err(_) => Phase::Dead,
        };
        self.place(connection);
    }

    /// The poll has something to say of a connection.
    fn wake(&mut self, token: usize, readable: bool, closed: bool) {
        match self.table.get_mut(token) {
            Some(TableEntry::Away {
                readable: more,
                hung_up,
            }) => {
                *more |= readable;
                *hung_up |= closed;
            }
            Some(entry) => {
                let TableEntry::Here(mut connection) = std::mem::replace(entry, AWAY) else {
                    return;
                };
                connection.readable |= readable;
                connection.hung_up |= closed;
                connection.eager = false;
                if connection.phase == Phase::Sending {
                    self.push_on(connection)
                } else {
                    self.place(connection)
                }
            }
            // Closed by an earlier event of the same batch.
            None => {}
        }
    }

    /// Sends more of a response that the client takes slowly.
    fn push_on(&mut self, mut connection: Box<Connection>) {
        connection.phase = match connection.writer.flush(&connection.transport) {
            Ok(Flushed::Done) => {
                let now = self.now;
                connection.conclude(&self.shared, now);
                Phase::after(connection.then)
            }
            Ok(Flushed::Blocked) => Phase::Sending,
            Ok(Flushed::Yielded) => {
                connection.eager = true;
                Phase::Sending
            }
            Ok(Flushed::NeedsPiece) => Phase::Ready,
            Err(_) => Phase::Dead,
        };
        self.place(connection);
    }
}
