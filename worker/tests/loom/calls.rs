//! Who answers for a call that takes too long.

use std::time::{Duration, Instant};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::timed_call::{CallTime, TimedCall};
use crate::{model, spawn};

/// Either the thread answers or the leader.
#[test]
fn a_call_that_is_given_up_has_one_answer() {
    model(|| {
        let start = Instant::now();
        let call = Arc::new(TimedCall::new(""));
        let answers = Arc::new(AtomicUsize::new(0));
        let thread = {
            let (call, answers) = (Arc::clone(&call), Arc::clone(&answers));
            thread::spawn(move || {
                call.begin(start, |it| *it = "client");
                if call.end(|_| ()) {
                    answers.fetch_add(1, Ordering::Relaxed);
                }
                // The next call has nothing to do with it.
                call.begin(start + Duration::from_secs(2), |it| *it = "next");
            })
        };
        let found = call.check(Duration::from_secs(1), start + Duration::from_secs(2));
        if let CallTime::Over { call, answered, .. } = found {
            assert_eq!((call, answered), ("client", false));
            answers.fetch_add(1, Ordering::Relaxed);
        }
        thread.join().expect("no panic");
        assert_eq!(answers.load(Ordering::Relaxed), 1);
    });
}

/// A response that the thread has begun gets no 504 behind it, and one that the leader has answered does not begin.
#[test]
fn a_response_begins_once() {
    model(|| {
        let start = Instant::now();
        let call = Arc::new(TimedCall::new(()));
        let thread = spawn(&call, move |call| {
            call.begin(start, |()| ());
            call.begin_response()
        });
        let late = start + Duration::from_secs(2);
        let first = call.check(Duration::from_secs(1), late);
        let begun = thread.join().expect("no panic");
        if let CallTime::Over { answered, .. } = first {
            assert_eq!(answered, begun);
        }
        if begun {
            // The piece was seen late, or is seen now.
            let second = call.check(Duration::from_secs(1), late + Duration::from_secs(2));
            assert!(!matches!(
                second,
                CallTime::Over {
                    answered: false,
                    ..
                }
            ));
        }
    });
}

/// The client takes its time, and the application has the whole `timeout` after that.
#[test]
fn a_wait_for_the_client_is_not_the_applications() {
    model(|| {
        let start = Instant::now();
        let call = Arc::new(TimedCall::new(()));
        // In seconds since `start`.
        let clock = Arc::new(AtomicUsize::new(0));
        call.begin(start, |()| ());
        let thread = {
            let (call, clock) = (Arc::clone(&call), Arc::clone(&clock));
            thread::spawn(move || {
                call.while_waiting(|| clock.store(10, Ordering::Release));
            })
        };
        let seconds = clock.load(Ordering::Acquire) as u64;
        let now = start + Duration::from_secs(seconds);
        let found = call.check(Duration::from_secs(1), now);
        assert!(!matches!(found, CallTime::Over { .. }));
        thread.join().expect("no panic");
    });
}
