//! The runner: takes tasks from the queue, has their work done, and writes down what became of it.
//! What it has begun and not ended when it dies is taken again by the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use oxicorn_common::app::{RUNNER_PATIENCE, Stop};
use oxicorn_common::bell::Bell;
use oxicorn_common::{Runner, WorkerContext};
use serde_json::Value;

use super::model::{TaskFilter, Timestamp};
use super::store::{LEASE, Lease, Store, StoreError};
use super::work::{self, Assignment, WorkError};

/// A lease is renewed so often that it survives one renewal that fails.
const RENEW_AFTER: Duration = LEASE.checked_div(3).expect("three is not zero");

pub(crate) fn new(context: &WorkerContext) -> anyhow::Result<Runner> {
    let store = Store::open(&context.settings)?;
    let bell = context.bell.clone();
    Ok(Box::new(move |stop| run(&store, &bell, stop)))
}

fn run(store: &Store, bell: &Bell, stop: &Stop) -> anyhow::Result<()> {
    let mut failing = false;
    while !stop.requested() {
        match round(store, stop) {
            Ok(wait) => {
                if std::mem::take(&mut failing) {
                    info!("Runner: the database is back");
                }
                bell.wait(wait.min(RUNNER_PATIENCE));
            }
            Err(problem) => {
                if !std::mem::replace(&mut failing, true) {
                    error!(
                        "Runner: {:#}; trying again until it works",
                        anyhow::Error::from(problem)
                    );
                }
                std::thread::sleep(RUNNER_PATIENCE);
            }
        }
    }
    Ok(())
}

/// Works until nothing is due; returns how long until something may be.
fn round(store: &Store, stop: &Stop) -> Result<Duration, StoreError> {
    while !stop.requested() {
        let Some(lease) = store.take_task(Timestamp::now())? else {
            break;
        };
        attempt(store, &lease)?;
    }
    store.drop_events()?;
    let next = store.next_work(Timestamp::now())?;
    Ok(next.unwrap_or(RUNNER_PATIENCE))
}

fn attempt(store: &Store, lease: &Lease) -> Result<(), StoreError> {
    let began = Instant::now();
    let outcome = std::thread::scope(|scope| {
        let (done, until_done) = channel::<()>();
        scope.spawn(move || keep_lease(store, lease, &until_done));
        let outcome = work_on(store, lease);
        drop(done);
        outcome
    });
    let (seconds, now) = (began.elapsed().as_secs_f64(), Timestamp::now());
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

fn work_on(store: &Store, lease: &Lease) -> Result<Value, WorkError> {
    let summary = &lease.task.summary;
    let lookup = |filter: &TaskFilter, limit: usize| Ok(store.task_records(filter, limit)?);
    let assignment = Assignment {
        task_type: summary.task_type,
        user_id: &summary.user_id,
        parameters: &lease.task.parameters,
        lookup: &lookup,
    };
    let mut progress = |percent| {
        let noted = store.note_progress(lease, percent, Timestamp::now());
        match noted.map_err(anyhow::Error::from)? {
            true => Ok(()),
            false => Err(WorkError::Abandoned),
        }
    };
    // The panic hook has written down where it was.
    catch_unwind(AssertUnwindSafe(|| {
        work::perform(&assignment, &mut progress)
    }))
    .unwrap_or_else(|_| Err(anyhow::anyhow!("the work panicked").into()))
}

/// Renews the lease until the work is done.
fn keep_lease(store: &Store, lease: &Lease, until_done: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = until_done.recv_timeout(RENEW_AFTER) {
        if let Err(problem) = store.renew_lease(lease, Timestamp::now()) {
            warn!("Runner: cannot renew a lease: {problem}");
        }
    }
}
