//! A server with the policy under test: requests come, wait for a thread, and take their time, in steps of 5 ms of a
//! clock of its own. Workers need time to boot.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use oxicorn_common::scoreboard::ScalingCause;

use crate::scaling::load_sample::LoadSample;
use crate::scaling::policy::ScalingPolicy;
use crate::supervisor::WorkerScale;

const TICK: f64 = 0.005;
/// As the master samples a server that is not idle, and one that is.
const EVERY: f64 = 0.2;
const IDLE_EVERY: f64 = 1.0;

/// Marsaglia's xorshift64: the same load for the same seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0xBF58_476D_1CE4_E5B9))
    }

    /// From 0 to 1, without 0.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// With this mean, as the times between independent requests.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    fn poisson(&mut self, mean: f64) -> usize {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// How long a request that begins at a time takes.
type Takes = Box<dyn Fn(f64, &mut Dice) -> f64>;

/// What clients do.
pub(super) struct Traffic {
    /// Requests per second at a time, whatever happens to those before.
    pub(super) rate: Box<dyn Fn(f64) -> f64>,
    /// Clients at a time that each ask again as soon as they are answered.
    pub(super) clients: Box<dyn Fn(f64) -> usize>,
    pub(super) takes: Takes,
}

impl Traffic {
    pub(super) fn open(
        rate: impl Fn(f64) -> f64 + 'static,
        takes: impl Fn(f64, &mut Dice) -> f64 + 'static,
    ) -> Self {
        Self {
            rate: Box::new(rate),
            clients: Box::new(|_| 0),
            takes: Box::new(takes),
        }
    }

    pub(super) fn closed(
        clients: impl Fn(f64) -> usize + 'static,
        takes: impl Fn(f64, &mut Dice) -> f64 + 'static,
    ) -> Self {
        Self {
            rate: Box::new(|_| 0.0),
            clients: Box::new(clients),
            takes: Box::new(takes),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    pub(super) at: f64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) cause: ScalingCause,
}

struct Waiting {
    since: f64,
    of_client: bool,
}

struct Running {
    until: f64,
    of_client: bool,
}

pub(super) struct SimulatedServer {
    pub(super) floor: usize,
    pub(super) most: usize,
    pub(super) threads: usize,
    /// Of each worker. They stay there.
    pub(super) reserve: usize,
    pub(super) boot: f64,
    pub(super) wanted: usize,
    pub(super) changes: Vec<Change>,
    /// When a request began to run, and how long it had waited.
    pub(super) waits: Vec<(f64, f64)>,
    pub(super) dice: Dice,
    now: f64,
    start: Instant,
    policy: ScalingPolicy,
    ready: usize,
    booting: Vec<f64>,
    queue: VecDeque<Waiting>,
    running: Vec<Running>,
    responses: u64,
    waited: f64,
    sampled_at: f64,
    next_sample: f64,
}

impl SimulatedServer {
    pub(super) fn new(threads: usize, floor: usize, most: usize, seed: u64) -> Self {
        Self {
            floor,
            most,
            threads,
            reserve: 0,
            boot: 0.5,
            wanted: floor,
            changes: Vec::new(),
            waits: Vec::new(),
            dice: Dice::new(seed),
            now: 0.0,
            start: Instant::now(),
            policy: ScalingPolicy::new(),
            ready: floor,
            booting: Vec::new(),
            queue: VecDeque::new(),
            running: Vec::new(),
            responses: 0,
            waited: 0.0,
            sampled_at: 0.0,
            next_sample: 0.0,
        }
    }

    /// Serves `traffic` until this time.
    pub(super) fn run(&mut self, traffic: &Traffic, until: f64) {
        while self.now < until {
            self.now += TICK;
            self.serve(traffic);
            self.boot_and_drain();
            if self.now >= self.next_sample {
                self.sample();
            }
            assert!(self.wanted >= self.floor && self.wanted <= self.most);
        }
    }

    /// A worker dies, and another one boots.
    pub(super) fn kill_one(&mut self) {
        self.ready -= 1;
    }

    fn serve(&mut self, traffic: &Traffic) {
        let now = self.now;
        let before = self.running.len();
        self.running.retain(|it| it.until > now);
        self.responses += (before - self.running.len()) as u64;
        let since = now;
        let mut arrive = |count, of_client| {
            self.queue
                .extend((0..count).map(|_| Waiting { since, of_client }));
        };
        let rate = (traffic.rate)(now);
        if rate > 0.0 {
            arrive(self.dice.poisson(rate * TICK), false);
        }
        let asking = self.running.iter().filter(|it| it.of_client).count()
            + self.queue.iter().filter(|it| it.of_client).count();
        let clients = (traffic.clients)(now);
        self.queue
            .extend((0..clients.saturating_sub(asking)).map(|_| Waiting {
                since,
                of_client: true,
            }));
        while self.running.len() < self.ready * self.threads
            && let Some(next) = self.queue.pop_front()
        {
            let wait = now - next.since;
            self.waits.push((now, wait));
            self.waited += wait;
            let until = now + (traffic.takes)(now, &mut self.dice);
            let of_client = next.of_client;
            self.running.push(Running { until, of_client });
        }
    }

    fn boot_and_drain(&mut self) {
        let now = self.now;
        let standing = self.ready + self.booting.len();
        let missing = self.wanted.saturating_sub(standing);
        let ready_at = now + self.boot;
        self.booting.extend((0..missing).map(|_| ready_at));
        let booting = self.booting.len();
        self.booting.retain(|&at| at > now);
        self.ready += booting - self.booting.len();
        self.ready = self.ready.min(self.wanted);
    }

    fn sample(&mut self) {
        let at = self.start + Duration::from_secs_f64(self.now);
        let threads = self.ready * self.threads;
        let sample = LoadSample {
            at,
            lasted: Duration::from_secs_f64(self.now - self.sampled_at),
            workers: self.ready,
            threads,
            reserve: self.ready * self.reserve,
            busy: self.running.len().min(threads),
            queued: self.queue.len(),
            responses: std::mem::take(&mut self.responses),
            waited: Duration::from_secs_f64(std::mem::take(&mut self.waited)),
        };
        self.sampled_at = self.now;
        self.next_sample = self.now
            + match sample.is_idle() {
                true => IDLE_EVERY,
                false => EVERY,
            };
        let scale = WorkerScale {
            wanted: self.wanted,
            floor: self.floor,
            most: self.most,
            missing: self.wanted - self.ready,
            is_shared: false,
        };
        if let Some(decision) = self.policy.decide(sample, &scale) {
            self.policy.note(self.wanted, decision.to, at);
            self.changes.push(Change {
                at: self.now,
                from: self.wanted,
                to: decision.to,
                cause: decision.cause,
            });
            self.wanted = decision.to;
        }
    }

    /// The share of the requests that began between these times and had waited longer than `limit`.
    pub(super) fn late(&self, from: f64, to: f64, limit: f64) -> f64 {
        let all = self.waits.iter().filter(|it| it.0 >= from && it.0 < to);
        let late = all.clone().filter(|it| it.1 > limit).count();
        late as f64 / all.count().max(1) as f64
    }

    /// The first changes up, down and up again within a minute, after `from`.
    pub(super) fn flapping(&self, from: f64) -> Option<[Change; 3]> {
        let changes: Vec<Change> = self
            .changes
            .iter()
            .filter(|it| it.at >= from)
            .copied()
            .collect();
        let rises = |it: &Change| it.to > it.from;
        for (first, up) in changes.iter().enumerate().filter(|(_, it)| rises(it)) {
            let mut later = changes[first..].iter().filter(|it| it.at - up.at < 60.0);
            if let Some(down) = later.find(|it| !rises(it))
                && let Some(again) = later.find(|it| rises(it))
            {
                return Some([*up, *down, *again]);
            }
        }
        None
    }
}
