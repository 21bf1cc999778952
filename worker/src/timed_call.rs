//! One call of the application on one thread, and the right to answer its client. Either that thread has it, or the
//! leader, once it has waited for the call longer than `timeout`; never both.
//!
//! `timeout` covers the response, and then each piece of a stream. Time in which the thread waits for its client does
//! not count. The thread counts pieces and the leader sees that there are more, so that a piece costs neither lock
//! nor clock. A piece is dated to the moment at which the leader notices it: at most a second late.

use std::time::{Duration, Instant};

use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, lock};

/// `T` describes the call; its memory is reused for the next one.
#[derive(Debug)]
pub(crate) struct TimedCall<T> {
    state: Mutex<CallState<T>>,
    /// Pieces of responses that the application has made on this thread, including heads.
    pieces: AtomicU64,
    /// The thread waits for its client.
    waits: AtomicBool,
}

/// Locked for a few instructions at the start and the end of a call, and when the leader looks.
#[derive(Debug)]
struct CallState<T> {
    call: T,
    /// The start of the application's time: the beginning of the call, or its last piece.
    since: Option<Instant>,
    /// The value of `pieces` at that time.
    pieces: u64,
    /// Bytes of a response may have been sent.
    answered: bool,
    given_up: bool,
    warned: Warned,
}

/// The warnings that a call has had.
#[derive(Debug, Default)]
struct Warned {
    slow: bool,
    late: bool,
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warning {
    /// `slow_request` is over.
    Slow,
    /// `timeout` is over, and the call continues all the same.
    Late,
}

/// Whether a call is due for a warning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lateness<W> {
    /// There is no call, or it has had the warning.
    NoCall,
    /// It is due in this time.
    Left(Duration),
    Due(W),
}

/// The state of a thread's call, as a leader sees it.
#[derive(Debug)]
pub(crate) enum CallTime<T> {
    /// There is no call, or the leader has taken it over before.
    NoCall,
    /// The application has this much time left.
    Left(Duration),
    /// The application has exceeded its time. The client is the leader's now.
    Over {
        call: T,
        age: Duration,
        /// Bytes of a response may have been sent.
        answered: bool,
    },
}

impl<T> TimedCall<T> {
    pub(crate) fn new(call: T) -> Self {
        Self {
            state: Mutex::new(CallState {
                call,
                since: None,
                pieces: 0,
                answered: false,
                given_up: false,
                warned: Warned::default(),
            }),
            pieces: AtomicU64::new(0),
            waits: AtomicBool::new(false),
        }
    }

    /// The call begins; `fill` describes it.
    pub(crate) fn begin(&self, now: Instant, fill: impl FnOnce(&mut T)) {
        let mut state = lock(&self.state);
        state.since = Some(now);
        // Relaxed: only this thread writes it.
        state.pieces = self.pieces.load(Ordering::Relaxed);
        state.answered = false;
        state.warned = Warned::default();
        fill(&mut state.call);
    }

    /// The application has returned. False if the leader has taken the call over, and the client is no longer
    /// this thread's.
    pub(crate) fn end(&self, clear: impl FnOnce(&mut T)) -> bool {
        let mut state = lock(&self.state);
        state.since = None;
        clear(&mut state.call);
        !std::mem::take(&mut state.given_up)
    }

    /// The first part of the response is sent while the application makes the rest; false as with [`TimedCall::end`].
    pub(crate) fn begin_response(&self) -> bool {
        self.note_piece();
        let mut state = lock(&self.state);
        state.answered = true;
        !state.given_up
    }

    /// The application has made a piece of the response. Called by the thread that it runs on.
    pub(crate) fn note_piece(&self) {
        // Relaxed: if a leader sees it late, it only grants more time.
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `wait`, which waits for the client.
    pub(crate) fn while_waiting<W>(&self, wait: impl FnOnce() -> W) -> W {
        // Relaxed: until a leader sees it, the wait counts as the application's.
        self.waits.store(true, Ordering::Relaxed);
        let outcome = wait();
        self.note_piece();
        // Release: a leader that sees the end of the wait also sees the piece. Otherwise it would count the whole
        // wait as the application's.
        self.waits.store(false, Ordering::Release);
        outcome
    }

    /// Reads what describes the call, if there is one.
    pub(crate) fn read<W>(&self, read: impl FnOnce(&T) -> W) -> Option<W> {
        let state = lock(&self.state);
        state.since.is_some().then(|| read(&state.call))
    }

    /// Takes the call over if the application has taken longer than `limit`.
    pub(crate) fn check(&self, limit: Duration, now: Instant) -> CallTime<T>
    where
        T: Default,
    {
        let mut state = lock(&self.state);
        let Some(age) = self.age(&mut state, now) else {
            return CallTime::NoCall;
        };
        if age < limit {
            return CallTime::Left(limit - age);
        }
        state.given_up = true;
        CallTime::Over {
            call: std::mem::take(&mut state.call),
            age,
            answered: state.answered,
        }
    }

    /// If the application has, for the first time, taken longer than `limit`, returns the result of `read`, which is
    /// given its time. The call continues.
    pub(crate) fn warn<W>(
        &self,
        about: Warning,
        limit: Duration,
        now: Instant,
        read: impl FnOnce(&T, Duration) -> W,
    ) -> Lateness<W> {
        let mut state = lock(&self.state);
        let warned = match about {
            Warning::Slow => state.warned.slow,
            Warning::Late => state.warned.late,
        };
        let Some(age) = self.age(&mut state, now).filter(|_| !warned) else {
            return Lateness::NoCall;
        };
        if age < limit {
            return Lateness::Left(limit - age);
        }
        match about {
            Warning::Slow => state.warned.slow = true,
            Warning::Late => state.warned.late = true,
        }
        Lateness::Due(read(&state.call, age))
    }

    /// The application's time so far, as far as can be seen `now`.
    fn age(&self, state: &mut MutexGuard<'_, CallState<T>>, now: Instant) -> Option<Duration> {
        let since = state.since.filter(|_| !state.given_up)?;
        // Acquire, and before `pieces`: see `while_waiting`.
        let waits = self.waits.load(Ordering::Acquire);
        let pieces = self.pieces.load(Ordering::Relaxed);
        if waits || pieces != state.pieces {
            state.pieces = pieces;
            // Never earlier, if the call began after the clock was read.
            state.since = Some(since.max(now));
        }
        state
            .since
            .map(|since| now.saturating_duration_since(since))
    }
}
