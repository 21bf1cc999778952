//! Connections that go from a thread to the leader.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::adoptions::Adoptions;
use crate::returned::Returned;
use crate::{Poll, model, spawn};

/// A thread gives a connection back while its client sends the next request: the leader must not sleep on it.
#[test]
fn a_connection_that_is_given_back_is_read() {
    model(|| {
        let returned = Arc::new(Returned::new());
        let poll = Arc::new(Poll::new());
        let socket = Arc::new(AtomicBool::new(false));
        let event = Arc::new(AtomicBool::new(false));
        let client = {
            let (poll, socket) = (Arc::clone(&poll), Arc::clone(&socket));
            let event = Arc::clone(&event);
            thread::spawn(move || {
                socket.store(true, Ordering::Release);
                event.store(true, Ordering::Release);
                poll.wake();
            })
        };
        let giver = {
            let (returned, poll) = (Arc::clone(&returned), Arc::clone(&poll));
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                let is_quiet = |(): &mut ()| !socket.load(Ordering::Acquire);
                if returned.give((), is_quiet) {
                    poll.wake();
                }
            })
        };
        // The leader: edges come once, and are kept for connections that are away.
        let mut readable = false;
        let mut here = false;
        while !(here && readable) {
            poll.wait();
            readable |= event.swap(false, Ordering::AcqRel);
            returned.end_turn();
            if !returned.take().is_empty() {
                here = true;
                // The thread's own look.
                readable |= socket.load(Ordering::Acquire);
            }
        }
        client.join().expect("no panic");
        giver.join().expect("no panic");
    });
}

/// A worker that drains does not end while a thread has a connection that the reactor does not know of.
#[test]
fn a_drain_waits_for_what_was_taken_over() {
    model(|| {
        let adoptions = Arc::new(Adoptions::new());
        let thread = spawn(&adoptions, |adoptions| adoptions.begin());
        adoptions.close();
        // A thread that is turned away is counted for a moment.
        let is_finished = adoptions.count() == 0;
        let has_taken = thread.join().expect("no panic");
        assert!(!(is_finished && has_taken));
        assert_eq!(adoptions.count(), usize::from(has_taken));
    });
}
