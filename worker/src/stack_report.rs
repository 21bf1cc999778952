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
use oxicorn_common::message::StackPart;

use crate::stack_trace;
use crate::worker_shared::WorkerShared;

/// The stack of a thread of the server's own, in octets.
const STACK_SIZE: usize = 2 * 1024 * 1024;

/// Which round this worker has answered.
#[derive(Debug, Default)]
pub(crate) struct StackRounds {
    answered: AtomicU64,
}

/// The stack of one request thread.
struct ThreadSample {
    index: usize,
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
        shared.master.send(&Message::Stacked { round });
    }
}

fn report(shared: &WorkerShared, round: u64) {
    let samples: Vec<ThreadSample> = take(shared).collect();
    let send = |index, part, text| {
        shared.master.send(&Message::Stack {
            round,
            index,
            part,
            text,
        });
    };
    for sample in &samples {
        if let Some(text) = &sample.application {
            send(sample.index, StackPart::Application, text.clone());
        }
    }
    for sample in &samples {
        if let Some(frames) = &sample.native {
            send(sample.index, StackPart::Native, stack_trace::name(frames));
        }
    }
    shared.master.send(&Message::Stacked { round });
}

/// A thread that is idle is not disturbed.
fn take(shared: &WorkerShared) -> impl Iterator<Item = ThreadSample> {
    let threads = shared.in_flight.iter().enumerate();
    let busy = threads.filter(|&(index, _)| !shared.slot().thread(index).is_idle());
    busy.filter_map(|(index, in_flight)| {
        let thread = in_flight.thread()?;
        Some(ThreadSample {
            index,
            application: shared.app.stack_of(thread),
            native: stack_trace::of_thread(thread),
        })
    })
}
