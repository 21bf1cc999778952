//! Sends the events of the outbox to Kafka, and removes those that the broker has acknowledged. Every event arrives at
//! least once, and the events of a task in order.
//!
//! One process at a time has the turn. A batch has one event per task, the oldest, so that no event overtakes one that
//! failed. If the process dies, events that it has sent and not removed are sent again.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::debug;
use oxicorn_common::WorkerContext;
use oxicorn_common::bell::Bell;
use oxicorn_common::metrics::MetricError;
use oxicorn_common::runner::Stop;

use super::probe::probe;
use super::{EventsError, OutboxEvent, Publisher, Topic};
use crate::health::Health;
use crate::metrics::RelayMetrics;
use crate::outages::{Backend, Outages};
use crate::store::{RelayTurn, Store, StoreError};

/// How many events are read from the outbox at once.
const BATCH: usize = 500;
/// How long batches stay small after the broker has refused one as too large.
const SMALL_FOR: Duration = Duration::from_secs(60);
/// How often the outbox is checked if no bell rings: another server may have filled it.
const LOOK_AFTER: Duration = Duration::from_millis(200);
/// How often other processes try to get the turn.
const TURN_AFTER: Duration = Duration::from_secs(1);
/// Between two attempts during an outage: the first, and the longest.
const RETRY_AFTER: Duration = Duration::from_millis(100);
const RETRY_AT_MOST: Duration = Duration::from_secs(2);
/// How often the brokers are probed while nothing is sent.
const PROBE_AFTER: Duration = Duration::from_secs(2);
/// How long the relay continues after it was told to stop.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Relay {
    store: Arc<dyn Store>,
    bell: Bell,
    topic: Topic,
    health: Health,
    metrics: RelayMetrics,
}

impl Relay {
    pub(crate) fn new(
        context: &WorkerContext,
        store: Arc<dyn Store>,
        topic: Topic,
    ) -> Result<Self, MetricError> {
        let name = format!("Kafka at {}", topic.brokers.join(","));
        let meanwhile = "events wait in the outbox";
        Ok(Self {
            store,
            bell: context.bell.clone(),
            health: Health::new(Backend::Events, name, meanwhile, &Outages::of(context)),
            topic,
            metrics: RelayMetrics::of(&context.metrics)?,
        })
    }

    /// Runs in a thread of its own until told to stop.
    pub(crate) fn start(self, stop: Stop) -> io::Result<Relaying> {
        let thread = thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || self.run(&stop))?;
        Ok(Relaying(thread))
    }

    fn run(&self, stop: &Stop) {
        while !stop.requested() {
            match self.store.relay_turn() {
                Ok(Some(turn)) => match self.hold(turn, stop) {
                    Ok(()) => debug!("Relay: the turn is another's"),
                    Err(problem) => debug!("Relay: {problem}"),
                },
                Ok(None) => {}
                // The store logs its own outage.
                Err(problem) => debug!("Relay: {problem}"),
            }
            rest(TURN_AFTER, stop);
        }
    }

    /// Publishes while this process has the turn.
    fn hold(&self, mut turn: Box<dyn RelayTurn>, stop: &Stop) -> Result<(), StoreError> {
        let mut batches = BatchPublisher {
            relay: self,
            publisher: None,
            heard_at: None,
            most: BATCH,
            halved_at: None,
        };
        let mut pause = RETRY_AFTER;
        let mut give_up_at = None;
        while turn.holds() {
            if stop.requested() {
                let at = *give_up_at.get_or_insert_with(|| Instant::now() + FAREWELL);
                if Instant::now() >= at {
                    break;
                }
            }
            let events = self.store.outbox(BATCH)?;
            let outcome = match events.is_empty() {
                true if stop.requested() => break,
                true => batches.ask(),
                false => {
                    let batch = one_a_task(events);
                    let published = batches.publish(&batch);
                    self.count(&published);
                    self.store.remove_events(&published.0)?;
                    published.1
                }
            };
            match outcome {
                Ok(idle) => {
                    self.health.works();
                    pause = RETRY_AFTER;
                    if idle {
                        self.bell.wait(LOOK_AFTER);
                    }
                }
                Err(problem) => {
                    self.health.failed(&problem);
                    rest(pause, stop);
                    pause = (pause * 2).min(RETRY_AT_MOST);
                }
            }
        }
        Ok(())
    }
}

impl Relay {
    fn count(&self, (acknowledged, outcome): &(Vec<i64>, Result<bool, EventsError>)) {
        self.metrics.acks.add(acknowledged.len() as u64);
        if outcome.is_err() {
            self.metrics.errors.inc();
        }
    }
}

/// A relay at work.
#[derive(Debug)]
pub(crate) struct Relaying(JoinHandle<()>);

impl Relaying {
    /// Waits for its end after it was told to stop. A client that hangs ends with the process.
    pub(crate) fn finish(self) {
        let deadline = Instant::now() + 2 * FAREWELL;
        while !self.0.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The relay while it has the turn.
struct BatchPublisher<'a> {
    relay: &'a Relay,
    publisher: Option<Box<dyn Publisher>>,
    /// When the brokers last answered.
    heard_at: Option<Instant>,
    /// Events per batch.
    most: usize,
    /// When a broker last refused a batch as too large.
    halved_at: Option<Instant>,
}

impl BatchPublisher<'_> {
    /// Probes the brokers if they have not answered for a while. Always true: there is nothing to send.
    fn ask(&mut self) -> Result<bool, EventsError> {
        if self.heard_at.is_none_or(|at| at.elapsed() >= PROBE_AFTER) {
            let asked = probe(&self.relay.topic.brokers);
            if asked.is_err() {
                self.forget();
            }
            asked?;
            self.heard_at = Some(Instant::now());
        }
        Ok(true)
    }

    /// The ids of the events that arrived. `Ok(false)`: there may be more to send.
    fn publish(&mut self, batch: &[OutboxEvent]) -> (Vec<i64>, Result<bool, EventsError>) {
        if self.halved_at.is_some_and(|at| at.elapsed() >= SMALL_FOR) {
            (self.most, self.halved_at) = (BATCH, None);
        }
        let batch = &batch[..batch.len().min(self.most)];
        let publisher = match &mut self.publisher {
            Some(publisher) => publisher,
            empty => match self.relay.topic.publisher() {
                Ok(publisher) => empty.insert(publisher),
                Err(problem) => return (Vec::new(), Err(problem)),
            },
        };
        let published = publisher.publish(batch);
        let outcome = match published.problem {
            None => {
                self.heard_at = Some(Instant::now());
                Ok(false)
            }
            Some(EventsError::TooLarge) if batch.len() > 1 => {
                self.most = batch.len() / 2;
                self.halved_at = Some(Instant::now());
                debug!(
                    "Relay: a batch is too large for the broker: at most {} events",
                    self.most
                );
                self.forget();
                Ok(false)
            }
            Some(problem) => {
                self.forget();
                Err(problem)
            }
        };
        (published.acknowledged, outcome)
    }

    /// Drops the client: after an outage the brokers may be of another generation.
    fn forget(&mut self) {
        self.publisher = None;
        self.heard_at = None;
    }
}

/// The oldest event of each task.
pub(super) fn one_a_task(mut events: Vec<OutboxEvent>) -> Vec<OutboxEvent> {
    let mut seen = HashSet::new();
    events.retain(|event| seen.insert(event.task_id));
    events
}

/// Sleeps, but not beyond the stop.
fn rest(time: Duration, stop: &Stop) {
    let until = Instant::now() + time;
    while Instant::now() < until && !stop.requested() {
        thread::sleep(Duration::from_millis(20).min(time));
    }
}
