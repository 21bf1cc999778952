//! One call of the application on one thread, and who may answer its client: that thread, or the leader that has
//! waited longer than `timeout` for it. Never both.
//!
//! `timeout` covers the response, and then each piece of a stream. Time in which the thread waits for its client does
//! not count. The thread counts pieces and the leader sees that there are more, so that a piece costs neither lock
//! nor clock. A piece is dated to the moment at which the leader notices it: at most a second late.

use std::time::{Duration, Instant};

use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, lock};

/// `T` is what is known of the call; its memory is used again by the next one.
#[derive(Debug)]
pub(crate) struct TimedCall<T> {
    state: Mutex<CallState<T>>,
    /// Pieces of responses that the application has made on this thread, heads included.
    pieces: AtomicU64,
    /// The thread waits for its client.
    waits: AtomicBool,
}

/// Locked for a few instructions at the beginning and the end of a call, and by the leader's looks.
#[derive(Debug)]
struct CallState<T> {
    call: T,
    /// Since when the application has been waited for: the beginning, or its last piece.
    since: Option<Instant>,
    /// What `pieces` was then.
    pieces: u64,
    /// Bytes of a response may have left.
    answered: bool,
    given_up: bool,
    warned: bool,
}

/// How a leader finds the call of a thread.
#[derive(Debug)]
pub(crate) enum CallTime<T> {
    /// There is none, or it has been given up before.
    NoCall,
    /// The application may be waited for so much longer.
    Left(Duration),
    /// It has been waited for too long. The client is the leader's now.
    Over {
        call: T,
        age: Duration,
        /// Bytes of a response may have left.
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
                warned: false,
            }),
            pieces: AtomicU64::new(0),
            waits: AtomicBool::new(false),
        }
    }

    /// The application is called; `fill` notes for whom.
    pub(crate) fn begin(&self, now: Instant, fill: impl FnOnce(&mut T)) {
        let mut state = lock(&self.state);
        state.since = Some(now);
        // Relaxed: this thread alone writes it.
        state.pieces = self.pieces.load(Ordering::Relaxed);
        state.answered = false;
        state.warned = false;
        fill(&mut state.call);
    }

    /// The application has returned; false when the leader has given the call up, and the client is not this
    /// thread's any more.
    pub(crate) fn end(&self, clear: impl FnOnce(&mut T)) -> bool {
        let mut state = lock(&self.state);
        state.since = None;
        clear(&mut state.call);
        !std::mem::take(&mut state.given_up)
    }

    /// The response begins to leave while the application goes on making it; false as with [`TimedCall::end`].
    pub(crate) fn begin_response(&self) -> bool {
        self.note_piece();
        let mut state = lock(&self.state);
        state.answered = true;
        !state.given_up
    }

    /// The application has made a piece of the response; called by the thread that it runs on.
    pub(crate) fn note_piece(&self) {
        // Relaxed: a leader that sees it later only gives more time.
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `wait`, which waits for the client.
    pub(crate) fn while_waiting<W>(&self, wait: impl FnOnce() -> W) -> W {
        // Relaxed: until a leader sees it, the application is waited for a little longer.
        self.waits.store(true, Ordering::Relaxed);
        let outcome = wait();
        self.note_piece();
        // Release: a leader that sees the end of the wait sees the piece. Else it would take the whole wait for
        // the application's.
        self.waits.store(false, Ordering::Release);
        outcome
    }

    /// Gives the call up when the application has been waited for longer than `limit`.
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

    /// Whether, for the first time, the application has been waited for longer than `limit`; the call goes on.
    /// Returns what `read` says of it.
    pub(crate) fn warn<W>(
        &self,
        limit: Duration,
        now: Instant,
        read: impl FnOnce(&T) -> W,
    ) -> Option<W> {
        let mut state = lock(&self.state);
        let is_late = self.age(&mut state, now).is_some_and(|age| age >= limit);
        if !is_late || std::mem::replace(&mut state.warned, true) {
            return None;
        }
        Some(read(&state.call))
    }

    /// How long the application has been waited for, as far as can be seen `now`.
    fn age(&self, state: &mut MutexGuard<'_, CallState<T>>, now: Instant) -> Option<Duration> {
        let since = state.since.filter(|_| !state.given_up)?;
        // Acquire, and before `pieces`: see `while_waiting`.
        let waits = self.waits.load(Ordering::Acquire);
        let pieces = self.pieces.load(Ordering::Relaxed);
        if waits || pieces != state.pieces {
            state.pieces = pieces;
            // Never back, where the call began after the clock was read.
            state.since = Some(since.max(now));
        }
        state
            .since
            .map(|since| now.saturating_duration_since(since))
    }
}
