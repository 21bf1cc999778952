use std::cell::Cell;

use super::*;

const LOOK: Duration = Duration::from_millis(2);

/// A worker whose threads are looked at every 2 ms.
struct Worker {
    scaler: ThreadScaler,
    look: LoadLook,
    demand: ProcessorDemand,
    asked: Cell<u32>,
    /// How long a request takes, and how many are served at a time at most.
    service: f64,
    room: usize,
    /// Requests that have been served, and the part of another one.
    served: u64,
    rest: f64,
}

/// The load of a worker.
#[derive(Clone, Copy)]
struct TestLoad {
    /// The part of the looks that find requests that wait.
    waiting: f64,
    /// How many of its threads have a request.
    busy: usize,
    /// How many processors it uses.
    used: f64,
}

/// More requests than all threads can serve; what they use of one processor.
fn flood(used: f64) -> TestLoad {
    TestLoad {
        waiting: 1.0,
        busy: usize::MAX,
        used,
    }
}

fn calm(busy: usize) -> TestLoad {
    TestLoad {
        waiting: 0.0,
        busy,
        used: 0.0,
    }
}

impl Worker {
    fn new(least: usize, most: usize, parallel: usize) -> Self {
        let scaler = ThreadScaler::new((least, most), least, parallel, Instant::now());
        Self {
            look: scaler.last,
            scaler,
            demand: ProcessorDemand::default(),
            asked: Cell::new(0),
            service: 0.05,
            room: usize::MAX,
            served: 0,
            rest: 0.0,
        }
    }

    fn run(&mut self, time: u64, load: TestLoad) -> Vec<ThreadChange> {
        self.run_looks(u32::try_from(time * 500).expect("a short time"), load)
    }

    fn run_looks(&mut self, looks: u32, load: TestLoad) -> Vec<ThreadChange> {
        let mut changes = Vec::new();
        for count in 1..=looks {
            self.demand.used += LOOK.mul_f64(load.used);
            let busy = load.busy.min(self.serving());
            self.rest += LOOK.as_secs_f64() * busy.min(self.room) as f64 / self.service;
            self.served += self.rest as u64;
            self.rest = self.rest.fract();
            self.look = LoadLook {
                now: self.look.now + LOOK,
                waiting: f64::from(count % 10) < load.waiting * 10.0,
                refused: self.look.refused,
                busy,
                calls: self.served + busy as u64,
                oldest: Duration::from_secs_f64(
                    self.service * busy as f64 / busy.clamp(1, self.room) as f64,
                ),
            };
            changes.extend(self.scaler.look(self.look, || {
                self.asked.set(self.asked.get() + 1);
                self.demand
            }));
        }
        changes
    }

    fn serving(&self) -> usize {
        self.scaler.serving
    }
}

#[test]
fn threads_that_wait_get_company_at_once_and_up_to_the_limit() {
    let mut worker = Worker::new(2, 16, 1);
    let changes = worker.run(3, flood(0.1));
    let numbers: Vec<_> = changes.iter().map(ThreadChange::serving).collect();
    assert_eq!(numbers, [3, 4, 6, 9, 13, 16]);
    assert!(worker.run(60, flood(0.1)).is_empty());
}

#[test]
fn threads_that_compute_get_none() {
    // One that has the interpreter to itself, two on two processors, and two that share one interpreter.
    for (threads, parallel, used) in [(1, 2, 1.0), (2, 2, 1.9), (2, 1, 1.0)] {
        let mut worker = Worker::new(threads, 8, parallel);
        assert!(worker.run(5, flood(used)).is_empty());
    }
    let mut worker = Worker::new(2, 8, 2);
    let changes = worker.run(5, flood(1.0));
    assert!(!changes.is_empty(), "half of two processors is left");
}

#[test]
fn threads_that_get_no_processor_get_none() {
    let mut worker = Worker::new(2, 8, 1);
    worker.demand.is_runnable = true;
    assert!(worker.run(5, flood(0.2)).is_empty());
    worker.demand.is_runnable = false;
    assert!(!worker.run(1, flood(0.2)).is_empty());
}

#[test]
fn a_wait_now_and_then_is_no_reason() {
    let mut worker = Worker::new(2, 8, 1);
    let load = |waiting| TestLoad {
        waiting,
        ..flood(0.1)
    };
    assert!(worker.run(5, load(0.4)).is_empty());
    assert!(!worker.run(5, load(0.7)).is_empty());
}

#[test]
fn requests_that_are_refused_would_wait() {
    let mut worker = Worker::new(2, 16, 1);
    let none_waits = TestLoad {
        waiting: 0.0,
        ..flood(0.1)
    };
    for _ in 0..40 {
        worker.look.refused += 1;
        worker.run_looks(20, none_waits);
    }
    assert_eq!(worker.serving(), 16);
}

#[test]
fn what_nobody_has_looked_at_says_nothing() {
    let mut worker = Worker::new(2, 8, 1);
    worker.run(1, calm(0));
    worker.look.waiting = true;
    worker.scaler.look(worker.look, || worker.demand);
    worker.look.now += Duration::from_secs(20);
    let change = worker.scaler.look(worker.look, || worker.demand);
    assert_eq!((change, worker.serving()), (None, 2));
}

#[test]
fn threads_that_wait_for_each_other_go_back_and_the_next_try_comes_later() {
    let mut worker = Worker::new(2, 64, 1);
    (worker.service, worker.room) = (0.1, 1);
    let mut numbers = Vec::new();
    for _ in 0..60 {
        worker.run(1, flood(0.0));
        numbers.push(worker.serving());
    }
    assert!(numbers.iter().all(|&it| it <= 6), "{numbers:?}");
    let few = numbers.iter().filter(|&&it| it <= 3).count();
    assert!(few > 40 && worker.scaler.proven() <= 3, "{numbers:?}");
    // A pool of eight is worth eight.
    worker = Worker::new(2, 64, 1);
    worker.room = 8;
    let changes = worker.run(5, flood(0.0));
    let vain = ThreadChange::Vain { serving: 8 };
    assert_eq!((changes.last(), worker.serving()), (Some(&vain), 8));
}

#[test]
fn calls_that_only_begin_are_no_gain() {
    let mut worker = Worker::new(2, 64, 1);
    (worker.service, worker.room) = (0.4, 1);
    for _ in 0..60 {
        worker.run(1, flood(0.0));
        assert!(worker.serving() <= 13, "{}", worker.serving());
    }
}

#[test]
fn threads_that_begin_to_compute_go_back() {
    let mut worker = Worker::new(2, 32, 1);
    worker.run(3, flood(0.1));
    assert_eq!(worker.serving(), 32);
    worker.run(60, flood(0.99));
    assert_eq!(worker.serving(), 2);
    worker.run(4, flood(0.1));
    assert_eq!(worker.serving(), 32, "and come again");
    // As many as there are processors may compute.
    let mut worker = Worker::new(1, 32, 4);
    worker.run(5, flood(0.1));
    worker.run(60, flood(3.9));
    assert_eq!(worker.serving(), 4);
}

#[test]
fn they_go_back_when_nobody_needed_them_for_ten_seconds() {
    let mut worker = Worker::new(2, 8, 1);
    worker.run(2, flood(0.1));
    assert_eq!(worker.serving(), 8);
    assert!(worker.run(8, calm(5)).is_empty());
    worker.run(7, calm(5));
    assert_eq!(worker.serving(), 5);
    worker.run(9, calm(0));
    assert_eq!(worker.serving(), 5);
    let changes = worker.run(6, calm(0));
    assert_eq!(
        changes,
        [ThreadChange::Unneeded {
            serving: 2,
            peak: 0
        }]
    );
    assert!(!worker.scaler.is_extended(), "never below threads");
    assert!(worker.run(60, calm(0)).is_empty());
}

#[test]
fn all_that_are_needed_stay() {
    let mut worker = Worker::new(2, 8, 1);
    worker.run(2, flood(0.1));
    assert!(worker.run(60, calm(8)).is_empty());
    assert_eq!(worker.serving(), 8);
}

#[test]
fn a_worker_where_nothing_waits_is_asked_nothing() {
    let mut worker = Worker::new(2, 8, 1);
    worker.run(5, calm(2));
    assert_eq!(worker.asked.get(), 0);
    worker.run(1, flood(1.0));
    assert!(worker.asked.get() <= 2 * 10, "twice per window");
}

/// Serves a queue of requests that come at random, 20 a second, of which one in ten takes `long` seconds and the others 10 ms.
/// Returns the changes in 40 s.
fn serve_at_random(mut dice: u64, long: f64) -> Vec<ThreadChange> {
    let mut roll = move || {
        // xorshift64
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut worker = Worker::new(2, 16, 1);
    let (mut queue, mut running, mut changes) = (0, Vec::<(f64, f64)>::new(), Vec::new());
    for tick in 0..20_000 {
        let now = f64::from(tick) * LOOK.as_secs_f64();
        queue += usize::from(roll() < 20.0 * LOOK.as_secs_f64());
        running.retain(|&(_, until)| until > now);
        while queue > 0 && running.len() < worker.serving() {
            let takes = if roll() < 0.1 { long } else { 0.01 };
            running.push((now, now + takes));
            queue -= 1;
            worker.look.calls += 1;
        }
        worker.look.now += LOOK;
        worker.look.waiting = queue > 0;
        worker.look.busy = running.len();
        let first = running.iter().map(|&(begun, _)| begun).reduce(f64::min);
        worker.look.oldest = Duration::from_secs_f64(now - first.unwrap_or(now));
        changes.extend(worker.scaler.look(worker.look, || worker.demand));
    }
    changes
}

#[test]
fn a_few_long_requests_among_short_ones_make_no_step_vain() {
    let is_vain = |change: &ThreadChange| matches!(change, ThreadChange::Vain { .. });
    for long in [1.0, 2.0, 3.0] {
        let vain = |seed| serve_at_random(seed, long).iter().any(is_vain);
        let wrong = (1..=100).filter(|&seed| vain(seed * 7919)).count();
        assert_eq!(wrong, 0, "{long} s");
    }
}
