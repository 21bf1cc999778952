//! The stacks of all request threads that run something, for whoever asks the master for them (`oxicorn ctl stacks`).
//!
//! ```text
//!   master: a new round in its page, and a probe --> event loop --> thread `stacks` --messages--> master
//! ```
//!
//! The event loop turns also when every request thread is stuck, and it waits for none of this. All stacks are taken
//! first, so that they are of about the same moment. Naming native functions comes after that, as it may take seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use oxicorn_common::Message;
use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::message::StackPart;
use oxicorn_common::status::ThreadStatus;

use crate::stack_trace;
use crate::worker_shared::WorkerShared;

/// The stack of a thread of the server's own, in octets.
const STACK_SIZE: usize = 2 * 1024 * 1024;

/// Which round this worker has answered.
#[derive(Debug, Default)]
pub(crate) struct StackRounds {
    answered: AtomicU64,
}

/// The stack of one request thread, and what it runs at that moment: later it may be another request.
struct ThreadSample {
    index: usize,
    status: ThreadStatus,
    application: Option<String>,
    native: Option<Vec<usize>>,
}

/// Begins an answer, if the master wants one that it has not got.
pub(crate) fn answer_if_asked(shared: &Arc<WorkerShared>) {
    let round = shared.stack_round();
    // One caller at a time: the leader.
    if shared.stack_rounds.answered.swap(round, Ordering::Relaxed) == round {
        return;
    }
    let reporter = Arc::clone(shared);
    let builder = Builder::new().name("stacks".to_owned());
    let started = builder
        .stack_size(STACK_SIZE)
        .spawn(move || report(&reporter, round));
    if started.is_err() {
        // Without stacks, but it is still known what the threads run.
        for (index, _, status) in busy_threads(shared) {
            send(shared, round, index, StackPart::Request, status.to_json());
        }
        shared.master.send(&Message::Stacked { round });
    }
}

fn report(shared: &WorkerShared, round: u64) {
    let samples: Vec<ThreadSample> = take(shared).collect();
    for sample in &samples {
        let text = sample.status.to_json();
        send(shared, round, sample.index, StackPart::Request, text);
        if let Some(text) = &sample.application {
            let text = text.clone();
            send(shared, round, sample.index, StackPart::Application, text);
        }
    }
    for sample in &samples {
        if let Some(frames) = &sample.native {
            let text = stack_trace::name(frames);
            send(shared, round, sample.index, StackPart::Native, text);
        }
    }
    shared.master.send(&Message::Stacked { round });
}

fn send(shared: &WorkerShared, round: u64, index: usize, part: StackPart, text: String) {
    shared.master.send(&Message::Stack {
        round,
        index,
        part,
        text,
    });
}

fn take(shared: &WorkerShared) -> impl Iterator<Item = ThreadSample> {
    // The status comes before its stacks: taking them may end what the thread runs.
    busy_threads(shared).map(|(index, thread, status)| ThreadSample {
        index,
        status,
        application: shared.app.stack_of(thread),
        native: stack_trace::of_thread(thread),
    })
}

/// A thread that is idle is not disturbed.
fn busy_threads(shared: &WorkerShared) -> impl Iterator<Item = (usize, libc::pid_t, ThreadStatus)> {
    let threads = shared.in_flight.iter().enumerate();
    threads.filter_map(|(index, in_flight)| {
        let stats = shared.slot().thread(index);
        let thread = in_flight.thread().filter(|_| !stats.is_idle())?;
        Some((
            index,
            thread,
            ThreadStatus::read(index, shared.slot(), monotonic_millis()),
        ))
    })
}
