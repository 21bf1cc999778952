//! The protocols of the request threads under loom, which runs each test in every order in which its threads can
//! interleave, with every value that the memory orderings let a load return. A thread that nobody wakes is a deadlock,
//! and fails.
//!
//! The files are the worker's own, compiled with loom's primitives.
#![allow(dead_code, reason = "the worker uses what no test here needs")]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current, park};
    pub(crate) use std::sync::{PoisonError, TryLockError};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[path = "../src/adoptions.rs"]
mod adoptions;
#[path = "../src/threads/leadership.rs"]
mod leadership;
#[path = "../src/threads/returned.rs"]
mod returned;
#[path = "../src/timed_call.rs"]
mod timed_call;

use std::time::{Duration, Instant};

use loom::model::Builder;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use adoptions::Adoptions;
use leadership::Leadership;
use returned::Returned;
use sync::lock;
use timed_call::{CallTime, TimedCall};

/// Runs `test` in every order with up to three preemptions, which finds nearly all errors in a fraction of the time.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// A poll that another thread can interrupt, as a thread that leads waits in.
struct Poll {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Poll {
    fn new() -> Self {
        Self {
            woken: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    fn wait(&self) {
        let mut woken = lock(&self.woken);
        while !std::mem::take(&mut *woken) {
            woken = self.changed.wait(woken).expect("no panic");
        }
    }

    fn wake(&self) {
        *lock(&self.woken) = true;
        self.changed.notify_one();
    }
}

/// The life of a follower, until it has led once.
fn follow_until_led(leadership: &Leadership<()>, wake: impl Fn()) -> bool {
    while leadership.follow(&wake) {
        if let Some(lead) = leadership.try_lead() {
            drop(lead);
            return true;
        }
    }
    false
}

#[test]
fn a_follower_that_is_promoted_before_a_call_leads() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let lead = leadership.try_lead().expect("nobody leads");
        let follower = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || follow_until_led(&leadership, || ()))
        };
        while leadership.idle() == 0 {
            thread::yield_now();
        }
        // As a request thread does, which then does not come back.
        leadership.let_go(lead, true);
        leadership.note_call();
        assert!(follower.join().expect("no panic"));
    });
}

#[test]
fn the_first_follower_leads_whenever_it_comes() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let follower = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || follow_until_led(&leadership, || ()))
        };
        leadership.open();
        assert!(follower.join().expect("no panic"));
    });
}

#[test]
fn one_thread_leads_at_a_time() {
    model(|| {
        let leadership = Arc::new(Leadership::new(0));
        let threads = [(); 2].map(|()| {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || {
                if let Some(mut lead) = leadership.try_lead() {
                    *lead += 1;
                    leadership.let_go(lead, false);
                    leadership.note_call();
                    return 1;
                }
                0
            })
        });
        let led: i32 = threads.map(|it| it.join().expect("no panic")).iter().sum();
        assert_eq!(*leadership.try_lead().expect("all are done"), led);
    });
}

/// Nobody but the watchdog sees that the call lasts: it must not sleep through its beginning.
#[test]
fn a_call_wakes_the_watchdog() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let lead = leadership.try_lead().expect("nobody leads");
        let watchdog = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || {
                leadership.register_watchdog();
                leadership.sleep_until_call(0);
            })
        };
        leadership.let_go(lead, false);
        leadership.note_call();
        watchdog.join().expect("no panic");
    });
}

#[test]
fn a_watchdog_that_sees_a_call_sees_that_nobody_leads() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let lead = leadership.try_lead().expect("nobody leads");
        let watchdog = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || leadership.calls() == 0 || !leadership.is_led())
        };
        leadership.let_go(lead, false);
        leadership.note_call();
        assert!(watchdog.join().expect("no panic"));
    });
}

/// The watchdog sleeps for the second time while a second call begins.
#[test]
fn the_watchdog_is_woken_again() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let lead = leadership.try_lead().expect("nobody leads");
        let watchdog = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || {
                leadership.register_watchdog();
                let mut seen = 0;
                while seen < 2 && leadership.is_led() {
                    leadership.sleep_until_call(seen);
                    seen = leadership.calls();
                }
            })
        };
        // Two calls of threads that do not lead, while this one does.
        leadership.note_call();
        leadership.note_call();
        watchdog.join().expect("no panic");
        drop(lead);
    });
}

#[test]
fn a_follower_comes_while_the_watchdog_stands_in() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let poll = Arc::new(Poll::new());
        let follower = {
            let (leadership, poll) = (Arc::clone(&leadership), Arc::clone(&poll));
            thread::spawn(move || follow_until_led(&leadership, || poll.wake()))
        };
        leadership.stand_in(|(), needed| {
            while needed() {
                poll.wait();
            }
        });
        assert!(follower.join().expect("no panic"));
    });
}

#[test]
fn all_end_when_they_are_dismissed() {
    model(|| {
        let leadership = Arc::new(Leadership::new(()));
        let lead = leadership.try_lead().expect("nobody leads");
        let follower = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || follow_until_led(&leadership, || ()))
        };
        let watchdog = {
            let leadership = Arc::clone(&leadership);
            thread::spawn(move || {
                leadership.register_watchdog();
                leadership.sleep_until_call(0);
            })
        };
        leadership.dismiss(7);
        assert!(!follower.join().expect("no panic"), "nobody promotes it");
        watchdog.join().expect("no panic");
        leadership.dismiss(8);
        assert_eq!(leadership.dismissed(), Some(7), "the first code counts");
        drop(lead);
    });
}

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
        let thread = {
            let call = Arc::clone(&call);
            thread::spawn(move || {
                call.begin(start, |()| ());
                call.begin_response()
            })
        };
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

/// A worker that drains does not end while a thread has a connection that the reactor does not know of.
#[test]
fn a_drain_waits_for_what_was_taken_over() {
    model(|| {
        let adoptions = Arc::new(Adoptions::new());
        let thread = {
            let adoptions = Arc::clone(&adoptions);
            thread::spawn(move || adoptions.begin())
        };
        adoptions.close();
        // A thread that is turned away is counted for a moment.
        let is_finished = adoptions.count() == 0;
        let has_taken = thread.join().expect("no panic");
        assert!(!(is_finished && has_taken));
        assert_eq!(adoptions.count(), usize::from(has_taken));
    });
}
