//! Consumes a topic for a runner. A thread polls the broker and keeps a few messages ready, so a task may take as long
//! as it needs without the group declaring the runner dead, and a broker that hangs does not block the runner.
//!
//! ```text
//!   broker --> subscriber thread --> ready --> runner
//!                     ^------------ done --------'
//! ```

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{EventsError, KafkaMessage, Position, Topic};

/// How many messages are kept ready.
const ROOM: usize = 256;
/// The longest time until the commit of a finished message.
const POLL: Duration = Duration::from_millis(100);
/// Between two attempts to reach the brokers.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long leaving the group may take.
const FAREWELL: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct FeedState {
    ready: VecDeque<KafkaMessage>,
    done: Vec<Position>,
    closed: bool,
}

#[derive(Debug, Default)]
struct SharedFeed {
    state: Mutex<FeedState>,
    changed: Condvar,
}

impl SharedFeed {
    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives messages until it is dropped, across outages.
#[derive(Debug)]
pub(crate) struct Feed {
    shared: Arc<SharedFeed>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    pub(crate) fn start(topic: Topic, group: String) -> io::Result<Self> {
        let shared = Arc::new(SharedFeed::default());
        let theirs = shared.clone();
        let thread = thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || keep_subscribed(&topic, &group, &theirs))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The messages that are ready, `most` at most; waits for the first for `timeout`.
    pub(crate) fn take(&self, most: usize, timeout: Duration) -> Vec<KafkaMessage> {
        let state = self.shared.lock();
        let (mut state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| state.ready.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let count = state.ready.len().min(most);
        state.ready.drain(..count).collect()
    }

    /// Marks these messages as done: they need not be delivered again.
    pub(crate) fn done(&self, messages: &[KafkaMessage]) {
        let mut state = self.shared.lock();
        state.done.extend(messages.iter().map(|one| one.position));
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A client that hangs ends with the process.
        let deadline = Instant::now() + FAREWELL;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn keep_subscribed(topic: &Topic, group: &str, shared: &SharedFeed) {
    while !shared.lock().closed {
        // The legacy client panics if an outage takes away what it expects.
        let followed = catch_unwind(AssertUnwindSafe(|| follow(topic, group, shared)));
        if followed.unwrap_or(Err(EventsError::Panicked)).is_err() {
            // The relay logs the outage.
            let retry_at = Instant::now() + RETRY_AFTER;
            while Instant::now() < retry_at && !shared.lock().closed {
                thread::sleep(POLL);
            }
        }
    }
}

/// Receives messages until the broker fails or the feed is closed.
fn follow(topic: &Topic, group: &str, shared: &SharedFeed) -> Result<(), EventsError> {
    let mut subscriber = topic.subscriber(group)?;
    // Messages of an earlier subscriber are delivered again.
    shared.lock().done.clear();
    loop {
        let (room, done, closed) = {
            let mut state = shared.lock();
            let done = std::mem::take(&mut state.done);
            (state.ready.len() < ROOM, done, state.closed)
        };
        if !done.is_empty() {
            subscriber.commit(&done)?;
        }
        if closed {
            return Ok(());
        }
        let messages = subscriber.poll(room, POLL)?;
        if !messages.is_empty() {
            shared.lock().ready.extend(messages);
            shared.changed.notify_one();
        }
    }
}
