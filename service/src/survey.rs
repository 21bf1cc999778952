//! Looks up what the metrics say of the database as a whole. One runner of the server does it, whatever their number:
//! a word of shared memory says which. When that one ends, or is killed, another takes over.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use log::debug;
use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::metrics::MetricError;
use oxicorn_common::{SharedMemory, WorkerContext};

use super::metrics::StoreMetrics;
use super::shared_words::SURVEYOR;
use super::store::{Store, StoreFigures};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// A surveyor that has not looked for so long is gone, or its database hangs.
const LEASE: Duration = INTERVAL.saturating_mul(3);

/// The bits of the word for the time in milliseconds; the rest is the number of the process.
const TIME_BITS: u32 = 40;

/// Whether this process is the one that looks.
#[derive(Debug, Clone)]
struct SurveyTurn {
    memory: SharedMemory,
    process: u64,
}

impl SurveyTurn {
    /// Takes or renews the turn at time `now`. False if another process has it.
    fn take(&self, now: u64) -> bool {
        let before = self.word().load(Ordering::Relaxed);
        let (process, at) = (before >> TIME_BITS, before & TIMES);
        let lease = LEASE.as_millis() as u64;
        let is_over = before == 0 || now.saturating_sub(at) > lease;
        let mine = (self.process << TIME_BITS) | (now & TIMES);
        (is_over || process == self.process & PROCESSES) && self.swap(before, mine)
    }

    fn give_back(&self) {
        let before = self.word().load(Ordering::Relaxed);
        if before >> TIME_BITS == self.process & PROCESSES {
            self.swap(before, 0);
        }
    }

    // Relaxed: who reads the word concludes nothing about other memory.
    fn swap(&self, before: u64, after: u64) -> bool {
        let order = Ordering::Relaxed;
        self.word()
            .compare_exchange(before, after, order, order)
            .is_ok()
    }

    fn word(&self) -> &AtomicU64 {
        &self.memory[SURVEYOR]
    }
}

const TIMES: u64 = (1 << TIME_BITS) - 1;
const PROCESSES: u64 = u64::MAX >> TIME_BITS;

#[derive(Debug)]
pub(crate) struct Surveyor {
    store: Arc<dyn Store>,
    metrics: StoreMetrics,
    turn: SurveyTurn,
}

impl Surveyor {
    pub(crate) fn new(context: &WorkerContext, store: Arc<dyn Store>) -> Result<Self, MetricError> {
        Ok(Self {
            store,
            metrics: StoreMetrics::of(&context.metrics)?,
            turn: SurveyTurn {
                memory: context.shared_memory.clone(),
                process: context.age,
            },
        })
    }

    /// Runs in a thread of its own until [`Surveying::finish`].
    pub(crate) fn start(self) -> io::Result<Surveying> {
        let turn = self.turn.clone();
        let (end, ended) = channel();
        thread::Builder::new()
            .name("survey".to_owned())
            .spawn(move || {
                loop {
                    self.look();
                    if ended.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
                        break;
                    }
                }
            })?;
        Ok(Surveying { turn, end })
    }

    fn look(&self) {
        if !self.turn.take(monotonic_millis()) {
            self.metrics.set(&StoreFigures::default());
            return;
        }
        match self.store.survey() {
            Ok(figures) => self.metrics.set(&figures),
            // The store logs its own outage. The last figures stay.
            Err(problem) => debug!("Survey: {problem}"),
        }
    }
}

/// A surveyor at work.
#[derive(Debug)]
pub(crate) struct Surveying {
    turn: SurveyTurn,
    end: Sender<()>,
}

impl Surveying {
    /// Lets another process take over at once. Does not wait for a look that is under way.
    pub(crate) fn finish(self) {
        drop(self.end);
        self.turn.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared_words::WORDS;
    use super::*;

    #[test]
    fn one_has_the_turn_until_it_gives_it_back_or_is_silent() {
        let memory = SharedMemory::new(WORDS).expect("memory");
        let turn = |process| SurveyTurn {
            memory: memory.clone(),
            process,
        };
        let (one, two) = (turn(1), turn(2));
        assert!(one.take(1000) && !two.take(1001) && one.take(1002));
        one.give_back();
        two.give_back();
        assert!(two.take(1003) && !one.take(1003));
        one.give_back();
        assert!(!one.take(1004), "it is not its own");
        let later = 1004 + LEASE.as_millis() as u64;
        assert!(one.take(later) && !two.take(later));
    }
}
