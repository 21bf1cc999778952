//! The runner takes tasks from the queue, does their work, and stores the result. If it dies, the next runner takes its
//! unfinished task again.
//!
//! With Kafka it receives tasks from there, and a second thread relays the outbox.

mod delivery;
mod unsent;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use oxicorn_common::bell::Bell;
use oxicorn_common::runner::{RUNNER_POLL_INTERVAL, Stop};
use oxicorn_common::{Runner, WorkerContext};
use serde_json::Value;

use super::cache;
use super::events::{Feed, Relay, Topic};
use super::metrics::WorkMetrics;
use super::model::TaskFilter;
use super::outages::Outages;
use super::settings::ServiceSettings;
use super::store::{self, LEASE, Lease, Now, PoolShape, Store, StoreError};
use super::survey::Surveyor;
use super::work::{self, Assignment, NoteProgress, WorkError};
use delivery::KafkaDelivery;
use unsent::UnsentEvents;

/// A lease is renewed so often that it survives one renewal that fails.
const RENEW_AFTER: Duration = LEASE.checked_div(3).expect("three is not zero");

pub(crate) fn new(context: &WorkerContext) -> anyhow::Result<Runner> {
    let shape = PoolShape::of_runner(&context.settings);
    let cache = cache::open(context)?;
    let store = store::open(context, shape, cache.clone())?;
    cache.attach(&store);
    let task_runner = TaskRunner {
        store: store.clone(),
        perform: Box::new(work::perform),
        bell: context.bell.clone(),
        metrics: WorkMetrics::of(&context.metrics)?,
    };
    let surveyor = Surveyor::new(context, store.clone())?;
    let settings = ServiceSettings::of(&context.settings);
    let Some(topic) = Topic::of(settings) else {
        return Ok(Box::new(move |stop| {
            let surveying = surveyor.start()?;
            task_runner.run(stop);
            surveying.finish();
            Ok(())
        }));
    };
    let relay = Relay::new(context, store, topic.clone())?;
    let (group, outages) = (settings.kafka_group.clone(), Outages::of(context));
    Ok(Box::new(move |stop| {
        let surveying = surveyor.start()?;
        let relaying = relay.start(stop.clone())?;
        let feed = Feed::start(topic, group)?;
        task_runner.follow(&KafkaDelivery { feed, outages }, stop);
        relaying.finish();
        surveying.finish();
        Ok(())
    }))
}

/// What does the work: [`work::perform`], except under test.
type Perform = dyn Fn(&Assignment<'_>, &mut NoteProgress<'_>) -> Result<Value, WorkError> + Send;

/// Does tasks, one after the other.
struct TaskRunner {
    store: Arc<dyn Store>,
    perform: Box<Perform>,
    /// Workers ring it when they create tasks, and this runner waits for it. With Kafka the relay waits for it, and
    /// this runner rings it too.
    bell: Bell,
    metrics: WorkMetrics,
}

impl TaskRunner {
    fn run(&self, stop: &Stop) {
        let mut trouble = FailureLog::default();
        let mut unsent = UnsentEvents::default();
        while !stop.requested() {
            let round = self.round(stop).and_then(|wait| {
                unsent.look(&*self.store)?;
                Ok(wait)
            });
            match round {
                Ok(wait) => {
                    trouble.over();
                    self.bell.wait(wait.min(RUNNER_POLL_INTERVAL));
                }
                Err(problem) => {
                    trouble.with(problem);
                    std::thread::sleep(RUNNER_POLL_INTERVAL);
                }
            }
        }
    }

    /// Works until no task is due; returns how long until one may be.
    fn round(&self, stop: &Stop) -> Result<Duration, StoreError> {
        while !stop.requested() {
            let Some(lease) = self.store.take_task(Now::Store, Duration::ZERO)? else {
                break;
            };
            self.attempt(&lease)?;
        }
        let next = self.store.next_work(Now::Store)?;
        Ok(next.unwrap_or(RUNNER_POLL_INTERVAL))
    }

    fn attempt(&self, lease: &Lease) -> Result<(), StoreError> {
        let (store, began) = (&*self.store, Instant::now());
        let outcome = std::thread::scope(|scope| {
            let (done, until_done) = channel::<()>();
            scope.spawn(move || keep_lease(store, lease, &until_done));
            let outcome = self.work_on(lease);
            drop(done);
            outcome
        });
        let (seconds, now) = (began.elapsed().as_secs_f64(), Now::Store);
        if !matches!(outcome, Err(WorkError::Abandoned)) {
            self.metrics.observe(lease.task.summary.task_type, seconds);
        }
        let reference = &lease.task.summary.task_reference;
        let counted = match outcome {
            Ok(result) => store.complete_task(lease, &result, seconds, now)?,
            Err(WorkError::Abandoned) => false,
            Err(error) => {
                let finally = matches!(error, WorkError::Parameters(_));
                warn!("Task {reference}, attempt {}: {error}", lease.attempt);
                store.fail_task(lease, &error.to_string(), finally, seconds, now)?
            }
        };
        match counted {
            true => debug!("Task {reference}: {seconds:.3} s"),
            false => info!("Task {reference} is no longer wanted"),
        }
        Ok(())
    }

    fn work_on(&self, lease: &Lease) -> Result<Value, WorkError> {
        let (store, summary) = (&*self.store, &lease.task.summary);
        let lookup = |filter: &TaskFilter, limit: usize| Ok(store.task_records(filter, limit)?);
        let assignment = Assignment {
            task_type: summary.task_type,
            user_id: &summary.user_id,
            parameters: &lease.task.parameters,
            lookup: &lookup,
        };
        let mut progress = |percent| {
            let noted = store.note_progress(lease, percent, Now::Store);
            match noted.map_err(anyhow::Error::from)? {
                true => Ok(()),
                false => Err(WorkError::Abandoned),
            }
        };
        // The panic hook has logged the place.
        catch_unwind(AssertUnwindSafe(|| {
            (self.perform)(&assignment, &mut progress)
        }))
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the work panicked").into()))
    }
}

/// Logs once that the store fails, and once that it works again.
#[derive(Debug, Default)]
struct FailureLog(bool);

impl FailureLog {
    fn with(&mut self, problem: StoreError) {
        if !std::mem::replace(&mut self.0, true) {
            error!(
                "Runner: {:#}; trying again until it works",
                anyhow::Error::from(problem)
            );
        }
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.0) {
            info!("Runner: the database is back");
        }
    }
}

/// Renews the lease until the work is done.
fn keep_lease(store: &dyn Store, lease: &Lease, until_done: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(RENEW_AFTER) {
        if let Err(problem) = store.renew_lease(lease, Now::Store) {
            warn!("Runner: cannot renew a lease: {problem}");
        }
    }
}

#[cfg(test)]
mod tests {
    use oxicorn_common::Metrics;
    use serde_json::json;

    use super::super::metrics::METRICS;
    use super::super::model::{NewTask, Status, Task, TaskId, TaskType, Timestamp, UserRef};
    use super::super::store::testing::{self, Guard};
    use super::*;

    fn metrics() -> WorkMetrics {
        let metrics = Metrics::unshared(METRICS).expect("memory");
        WorkMetrics::of(&metrics).expect("metrics of ours")
    }

    fn task_runner(perform: Box<Perform>) -> (Guard, TaskRunner) {
        let (folder, store) = testing::store();
        let task_runner = TaskRunner {
            store,
            perform,
            bell: Bell::new().expect("an eventfd"),
            metrics: metrics(),
        };
        (folder, task_runner)
    }

    fn add(store: &dyn Store, parameters: Value) -> TaskId {
        let new = NewTask {
            user_id: UserRef::from_stored("1"),
            task_type: TaskType::DataProcessing,
            priority: Default::default(),
            parameters: serde_json::from_value(parameters).expect("JSON"),
        };
        let task = store.create_task(&new, Now::Store).expect("a task");
        task.task_id
    }

    fn task(store: &dyn Store, id: TaskId) -> Task {
        store.task(id).expect("no error").expect("a task")
    }

    /// Makes all attempts, without the pauses between them.
    fn exhaust(task_runner: &TaskRunner) -> u32 {
        let mut attempts = 0;
        loop {
            let later = Now::At(Timestamp(Timestamp::now().0 + 60_000));
            let taken = task_runner.store.take_task(later, Duration::ZERO);
            let Some(lease) = taken.expect("no error") else {
                return attempts;
            };
            task_runner.attempt(&lease).expect("no error");
            attempts += 1;
        }
    }

    #[test]
    fn a_panic_is_an_attempt_and_no_more() {
        let (_folder, task_runner) = task_runner(Box::new(|_, _| panic!("a test")));
        let id = add(&*task_runner.store, json!({}));
        assert_eq!(exhaust(&task_runner), 3);
        let task = task(&*task_runner.store, id);
        assert_eq!(task.summary.status, Status::Failed);
        assert_eq!(task.error_message.as_deref(), Some("the work panicked"));
    }

    #[test]
    fn what_may_succeed_is_tried_again_and_what_cannot_is_not() {
        let failed: Box<Perform> = Box::new(|_, _| Err(anyhow::anyhow!("no luck").into()));
        let refused: Box<Perform> = Box::new(|_, _| Err(WorkError::Parameters("no".to_owned())));
        for (perform, attempts) in [(failed, 3), (refused, 1)] {
            let (_folder, task_runner) = task_runner(perform);
            add(&*task_runner.store, json!({}));
            assert_eq!(exhaust(&task_runner), attempts);
        }
    }

    #[test]
    fn what_is_cancelled_under_way_ends_early_and_stays_cancelled() {
        let (_folder, settings) = testing::settings();
        let elsewhere = testing::open(&settings);
        let id = add(&*elsewhere, json!({}));
        let task_runner = TaskRunner {
            store: testing::open(&settings),
            perform: Box::new(move |_, progress| {
                progress(10)?;
                elsewhere.cancel_task(id, Now::Store).expect("a task");
                progress(20)?;
                unreachable!("nobody wants it")
            }),
            bell: Bell::new().expect("an eventfd"),
            metrics: metrics(),
        };
        assert_eq!(exhaust(&task_runner), 1);
        let task = task(&*task_runner.store, id);
        assert_eq!(
            (task.summary.status, task.result),
            (Status::Cancelled, None)
        );
    }

    #[test]
    fn the_bell_brings_work_and_stop_ends_it() {
        let (_folder, settings) = testing::settings();
        let store = testing::open(&settings);
        let task_runner = TaskRunner {
            store: testing::open(&settings),
            perform: Box::new(work::perform),
            bell: Bell::new().expect("an eventfd"),
            metrics: metrics(),
        };
        let (bell, stop) = (task_runner.bell.clone(), Stop::default());
        std::thread::scope(|scope| {
            let stop_there = stop.clone();
            let runner = scope.spawn(move || task_runner.run(&stop_there));
            let id = add(&*store, json!({"numbers": [1, 2, 6]}));
            bell.ring();
            let deadline = Instant::now() + Duration::from_secs(20);
            while task(&*store, id).summary.status != Status::Completed {
                assert!(Instant::now() < deadline, "{:?}", task(&*store, id));
                std::thread::yield_now();
            }
            let result = task(&*store, id).result.expect("a result");
            let result: Value = result.parse().expect("a value");
            assert_eq!(result["statistics"]["mean"], 3.0);
            stop.request();
            runner.join().expect("no panic");
        });
    }
}
