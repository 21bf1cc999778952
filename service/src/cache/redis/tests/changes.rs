//! After a change no reader sees the old value.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use redis::cmd;

use super::super::testing::{Ground, Process, key, until};
use super::super::*;
use crate::model::TaskId;
use crate::store::testing;
use crate::store::{self, Now, PoolShape};

/// Has `reader` read from the store, and `writer` change it before the body can be kept.
fn overtaken(reader: &Process, writer: &Process, id: TaskId) {
    let (asked, when_asked) = channel();
    let (changed, when_changed) = channel();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let when_changed = std::sync::Mutex::new(when_changed);
            reader.status_by(id, || {
                asked.send(()).expect("a listener");
                let changed = when_changed.lock().expect("one user");
                changed.recv().expect("a change");
            })
        });
        when_asked.recv().expect("a question");
        writer.cancel(id);
        changed.send(()).expect("a listener");
        assert_eq!(
            reading.join().expect("no panic"),
            "pending",
            "it began before"
        );
    });
}

#[test]
fn what_was_read_before_a_change_is_not_kept_after_it() {
    let ground = Ground::new();
    let (one, two) = (ground.process(), ground.process());
    for (reader, writer) in [(&one, &one), (&one, &two)] {
        let id = ground.add_task();
        overtaken(reader, writer, id);
        assert_eq!(one.status(id), "cancelled");
        assert_eq!(two.status(id), "cancelled");
    }
}

#[test]
fn a_reader_that_joins_another_is_not_given_what_that_one_read_before() {
    let ground = Ground::new();
    let process = ground.process();
    let id = ground.add_task();
    let (asked, when_asked) = channel();
    let (go_on, when_going_on) = channel::<()>();
    std::thread::scope(|scope| {
        let process = &process;
        let first = scope.spawn(move || {
            let when_going_on = std::sync::Mutex::new(when_going_on);
            process.status_by(id, || {
                asked.send(()).expect("a listener");
                let _ = when_going_on.lock().expect("one user").recv();
            })
        });
        when_asked.recv().expect("a question");
        process.cancel(id);
        let joining = scope.spawn(move || process.status(id));
        until("the second waits", || {
            process.cache.single_flight.joined(&key(id)) == 1
        });
        drop(go_on);
        assert_eq!(first.join().expect("no panic"), "pending");
        assert_eq!(joining.join().expect("no panic"), "cancelled");
    });
}

#[test]
fn while_a_change_is_announced_nobody_keeps_anything() {
    let ground = Ground::new();
    let (one, two) = (ground.process(), ground.process());
    let id = ground.add_task();
    let keys = [key(id)];
    assert!(!one.remembers(id) && one.remembers(id));
    assert!(one.cache.announce(&keys));
    assert!(!one.remembers(id) && !two.remembers(id) && !one.remembers(id));
    // Another change of the same key begins before the first is settled.
    std::thread::scope(|scope| {
        let announced = scope.spawn(|| two.cache.announce(&keys));
        assert!(announced.join().expect("no panic"));
    });
    one.cache.settle(&keys);
    assert!(
        !one.remembers(id) && !one.remembers(id),
        "the second is not settled"
    );
    let left: i64 = ground.server.ask(cmd("PTTL").arg(ground.place(id)));
    assert!((1..=60_000).contains(&left), "{left}");
}

#[test]
fn a_change_frees_its_keys_for_the_next_reader() {
    let ground = Ground::new();
    let process = ground.process();
    let id = ground.add_task();
    assert_eq!(process.status(id), "pending");
    process.cancel(id);
    assert!(!process.remembers(id) && process.remembers(id));
    assert_eq!(process.status(id), "cancelled");
}

/// Whether a process that changes an object ever returns its old form while Redis hangs.
fn hung_at(step: &str) {
    let mut ground = Ground::new();
    ServiceSettings::of_mut(&mut ground.settings).redis_timeout = Duration::from_millis(50);
    let (writer, other) = (ground.process(), ground.process());
    let id = ground.add_task();
    assert_eq!(writer.status(id), "pending");
    assert!(other.remembers(id));
    let keys = [key(id)];
    match step {
        "announce" => {
            ground.server.pause();
            writer.cancel(id);
        }
        "settle" => {
            assert!(writer.cache.announce(&keys));
            ground.bare.cancel_task(id, Now::Store).expect("a change");
            ground.server.pause();
            writer.cache.settle(&keys);
        }
        // Announced while Redis hangs, committed when it works again.
        "commit" => {
            ground.server.pause();
            assert!(!writer.cache.announce(&keys) && !writer.cache.is_up());
            ground.server.resume();
            writer.wait_up();
            ground.bare.cancel_task(id, Now::Store).expect("a change");
            ground.server.pause();
            writer.cache.settle(&keys);
        }
        _ => {
            writer.cancel(id);
            ground.server.pause();
        }
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        assert_eq!(writer.status(id), "cancelled", "hung at {step}");
    }
    ground.server.resume();
    while !writer.cache.is_up() {
        assert_eq!(writer.status(id), "cancelled", "hung at {step}");
    }
    assert_eq!(writer.status(id), "cancelled", "hung at {step}");
    until("the other process sees it", || {
        other.status(id) == "cancelled"
    });
    until("it is remembered again", || writer.remembers(id));
    assert_eq!(writer.status(id), "cancelled", "hung at {step}");
    let stale = || ground.bare.stale_keys(10).expect("no error");
    until("nothing is left to tell", || stale().is_empty());
}

#[test]
fn a_process_sees_what_it_has_changed_wherever_redis_hangs() {
    for step in ["announce", "settle", "commit", "afterwards"] {
        hung_at(step);
    }
}

/// A process that cannot reach Redis.
#[derive(Debug)]
struct CutOff;

impl Invalidate for CutOff {
    fn announce(&self, _keys: &[String]) -> bool {
        false
    }

    fn settle(&self, _keys: &[String]) {}
}

fn cancel_cut_off(ground: &Ground, id: TaskId) {
    let context = testing::context(&ground.settings);
    let shape = PoolShape::of_worker(&ground.settings);
    let store = store::open(&context, shape, Arc::new(CutOff)).expect("a store");
    store.cancel_task(id, Now::Store).expect("a change");
    assert_eq!(ground.bare.stale_keys(10).expect("no error"), [key(id)]);
}

#[test]
fn what_a_dead_process_could_not_tell_is_told_before_anyone_reads() {
    let ground = Ground::new();
    let id = ground.add_task();
    assert_eq!(ground.process().status(id), "pending");
    cancel_cut_off(&ground, id);
    let process = ground.begin_process();
    while !process.cache.is_up() {
        assert_eq!(process.status(id), "cancelled");
    }
    assert_eq!(process.status(id), "cancelled");
    assert!(ground.bare.stale_keys(10).expect("no error").is_empty());
}

#[test]
fn what_another_process_could_not_tell_is_told_soon() {
    let ground = Ground::new();
    let process = ground.process();
    let id = ground.add_task();
    assert_eq!(process.status(id), "pending");
    cancel_cut_off(&ground, id);
    until("it is told", || process.status(id) == "cancelled");
    let stale = || ground.bare.stale_keys(10).expect("no error");
    until("it is struck off", || stale().is_empty());
}
