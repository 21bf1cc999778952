//! Who leads, who sleeps, and who wakes whom.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::leadership::Leadership;
use crate::{Poll, model, spawn};

/// The life of the first follower, until it has led once.
fn follow_until_led(leadership: &Leadership<()>, wake: impl Fn()) -> bool {
    follow_as(0, leadership, wake)
}

/// The same for thread `index`.
fn follow_as(index: usize, leadership: &Leadership<()>, wake: impl Fn()) -> bool {
    while leadership.follow(index, &wake) {
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
        let leadership = Arc::new(Leadership::new((), 1));
        let lead = leadership.try_lead().expect("nobody leads");
        let follower = spawn(&leadership, |leadership| {
            follow_until_led(leadership, || ())
        });
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
        let leadership = Arc::new(Leadership::new((), 1));
        let follower = spawn(&leadership, |leadership| {
            follow_until_led(leadership, || ())
        });
        leadership.open();
        assert!(follower.join().expect("no panic"));
    });
}

#[test]
fn one_thread_leads_at_a_time() {
    model(|| {
        let leadership = Arc::new(Leadership::new(0, 2));
        let threads = [(); 2].map(|()| {
            spawn(&leadership, |leadership| {
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
        let leadership = Arc::new(Leadership::new((), 1));
        let lead = leadership.try_lead().expect("nobody leads");
        let watchdog = spawn(&leadership, |leadership| {
            leadership.register_watchdog();
            leadership.sleep_until_call(0, None);
        });
        leadership.let_go(lead, false);
        leadership.note_call();
        watchdog.join().expect("no panic");
    });
}

#[test]
fn a_watchdog_that_sees_a_call_sees_that_nobody_leads() {
    model(|| {
        let leadership = Arc::new(Leadership::new((), 1));
        let lead = leadership.try_lead().expect("nobody leads");
        let watchdog = spawn(&leadership, |leadership| {
            leadership.calls() == 0 || !leadership.is_led()
        });
        leadership.let_go(lead, false);
        leadership.note_call();
        assert!(watchdog.join().expect("no panic"));
    });
}

/// The watchdog sleeps for the second time while a second call begins.
#[test]
fn the_watchdog_is_woken_again() {
    model(|| {
        let leadership = Arc::new(Leadership::new((), 1));
        let lead = leadership.try_lead().expect("nobody leads");
        let watchdog = spawn(&leadership, |leadership| {
            leadership.register_watchdog();
            let mut seen = 0;
            while seen < 2 && leadership.is_led() {
                leadership.sleep_until_call(seen, None);
                seen = leadership.calls();
            }
        });
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
        let leadership = Arc::new(Leadership::new((), 1));
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

/// All threads that serve are inside the application; the watchdog leads, and calls one up.
#[test]
fn a_thread_that_is_called_up_leads() {
    model(|| {
        let leadership = Arc::new(Leadership::new((), 1));
        let poll = Arc::new(Poll::new());
        let reserve = {
            let (leadership, poll) = (Arc::clone(&leadership), Arc::clone(&poll));
            thread::spawn(move || follow_as(1, &leadership, || poll.wake()))
        };
        leadership.stand_in(|(), needed| {
            leadership.set_serving(2);
            while needed() {
                poll.wait();
            }
        });
        assert!(reserve.join().expect("no panic"));
    });
}

/// Two threads serve, and one of them is put in reserve while a follower is promoted: somebody leads.
#[test]
fn a_thread_that_goes_into_reserve_takes_no_promotion_with_it() {
    model(|| {
        let leadership = Arc::new(Leadership::new((), 2));
        let ends = Arc::new(AtomicUsize::new(0));
        let threads = [0, 1].map(|index| {
            let (leadership, ends) = (Arc::clone(&leadership), Arc::clone(&ends));
            thread::spawn(move || {
                let led = follow_as(index, &leadership, || ());
                if led {
                    ends.fetch_add(1, Ordering::Relaxed);
                    leadership.dismiss(0);
                }
            })
        });
        leadership.open();
        leadership.set_serving(1);
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert!(ends.load(Ordering::Relaxed) >= 1);
    });
}

/// The watchdog sleeps while somebody leads, and no call wakes it.
#[test]
fn a_leader_that_resigns_wakes_the_watchdog_or_a_follower() {
    for with_follower in [false, true] {
        model(move || {
            let leadership = Arc::new(Leadership::new((), 1));
            let lead = leadership.try_lead().expect("nobody leads");
            let follower = with_follower.then(|| {
                let follower = spawn(&leadership, |leadership| {
                    follow_until_led(leadership, || ())
                });
                while leadership.idle() == 0 {
                    thread::yield_now();
                }
                follower
            });
            let watchdog = (!with_follower).then(|| {
                spawn(&leadership, |leadership| {
                    leadership.register_watchdog();
                    leadership.sleep_until_call(0, None);
                    assert!(!leadership.is_led());
                })
            });
            leadership.resign(lead);
            if let Some(follower) = follower {
                assert!(follower.join().expect("no panic"));
            }
            if let Some(watchdog) = watchdog {
                watchdog.join().expect("no panic");
            }
        });
    }
}

#[test]
fn a_thread_in_reserve_ends_with_the_others() {
    model(|| {
        let leadership = Arc::new(Leadership::new((), 1));
        let reserve = spawn(&leadership, |leadership| follow_as(1, leadership, || ()));
        leadership.dismiss(0);
        assert!(!reserve.join().expect("no panic"));
        assert_eq!(leadership.sleeping(), 0);
    });
}

#[test]
fn all_end_when_they_are_dismissed() {
    model(|| {
        let leadership = Arc::new(Leadership::new((), 1));
        let lead = leadership.try_lead().expect("nobody leads");
        let follower = spawn(&leadership, |leadership| {
            follow_until_led(leadership, || ())
        });
        let watchdog = spawn(&leadership, |leadership| {
            leadership.register_watchdog();
            leadership.sleep_until_call(0, None);
        });
        leadership.dismiss(7);
        assert!(!follower.join().expect("no panic"), "nobody promotes it");
        watchdog.join().expect("no panic");
        leadership.dismiss(8);
        assert_eq!(leadership.dismissed(), Some(7), "the first code counts");
        drop(lead);
    });
}
