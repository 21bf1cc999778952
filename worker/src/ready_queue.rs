//! The whole requests of a worker that wait for a thread, in the order in which they became whole. Streams whose
//! next piece is due wait here too.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::connection::Connection;

#[derive(Debug, Default)]
pub(crate) struct ReadyQueue {
    queue: Mutex<VecDeque<Box<Connection>>>,
    /// The length, for a look without the lock.
    length: AtomicUsize,
}

impl ReadyQueue {
    /// Inserts behind all that have waited as long or longer: nearly always at the end.
    pub(crate) fn push(&self, connection: Box<Connection>) {
        let mut queue = self.lock();
        let mut place = queue.len();
        while place > 0
            && queue[place - 1].lifecycle().ready_at() > connection.lifecycle().ready_at()
        {
            place -= 1;
        }
        queue.insert(place, connection);
        self.length.store(queue.len(), Ordering::Release);
    }

    /// The connection that has waited longest.
    pub(crate) fn pop(&self) -> Option<Box<Connection>> {
        self.take(VecDeque::pop_front)
    }

    /// The connection that has waited shortest, if it is `fit`.
    pub(crate) fn pop_last_if(&self, fit: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        self.take(|queue| queue.pop_back_if(|last| fit(last)))
    }

    /// All connections that are `fit`, the longest waiting first.
    pub(crate) fn take_all(&self, fit: impl Fn(&Connection) -> bool) -> VecDeque<Box<Connection>> {
        let take = |queue: &mut VecDeque<Box<Connection>>| {
            let (fitting, rest) = queue.drain(..).partition(|it| fit(it));
            *queue = rest;
            Some(fitting)
        };
        self.take(take).unwrap_or_default()
    }

    /// Since when the first has waited.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lock()
            .front()
            .map(|first| first.lifecycle().ready_at())
    }

    /// Since when the first request has waited whose response has not begun.
    pub(crate) fn oldest_request(&self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let queue = self.lock();
        let first = queue.iter().find(|it| it.has_request())?;
        Some(first.lifecycle().ready_at())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    fn take<T>(&self, take: impl FnOnce(&mut VecDeque<Box<Connection>>) -> Option<T>) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut queue = self.lock();
        let taken = take(&mut queue);
        self.length.store(queue.len(), Ordering::Release);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<Connection>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oxicorn_common::request::{Local, Peer};

    use super::*;
    use crate::connection::ThreadWork;
    use crate::socket::Socket;

    fn waiting_since(moment: Instant) -> Box<Connection> {
        let (stream, _) = mio::net::UnixStream::pair().expect("a socket pair");
        let mut connection = Connection::new(Socket::Unix(stream), Peer::Unix, Local::Unix);
        connection
            .lifecycle_mut()
            .await_thread(ThreadWork::Respond, moment);
        Box::new(connection)
    }

    #[test]
    fn who_came_first_is_first_whenever_it_was_queued() {
        let queue = ReadyQueue::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(queue.is_empty() && queue.pop().is_none() && queue.oldest().is_none());
        for millis in [2, 4, 1, 3, 4] {
            queue.push(waiting_since(at(millis)));
        }
        assert_eq!((queue.len(), queue.oldest()), (5, Some(at(1))));
        assert!(
            queue
                .pop_last_if(|last| last.lifecycle().ready_at() < at(4))
                .is_none()
        );
        assert!(
            queue
                .pop_last_if(|last| last.lifecycle().ready_at() == at(4))
                .is_some()
        );
        let even = queue.take_all(|it| {
            it.lifecycle().ready_at() != at(1) && it.lifecycle().ready_at() != at(3)
        });
        assert!(
            even.iter()
                .map(|it| it.lifecycle().ready_at())
                .eq([at(2), at(4)])
        );
        let left = std::iter::from_fn(|| queue.pop());
        assert!(left.map(|it| it.lifecycle().ready_at()).eq([at(1), at(3)]));
        assert!(queue.is_empty());
    }
}
