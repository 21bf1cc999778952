//! Watches how much memory this process uses, if there is a limit: asks for a replacement when it is over its own, and
//! reports what it uses when there is one for all processes together.
//!
//! A thread of its own measures, because the kernel may take milliseconds, and at most a hundredth of the time. Without
//! limits there is no such thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use log::warn;
use oxicorn_common::process_memory::OwnMemory;
use oxicorn_common::scoreboard::RestartReason;
use oxicorn_common::{Message, MessageSender, Settings};

use crate::sync::lock;

/// The stack of a thread of the server's own, in octets.
const STACK_SIZE: usize = 256 * 1024;
/// From one measurement to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// The same for reports, which wake the master.
const REPORT_PAUSE: Duration = Duration::from_secs(5);
/// Measuring takes at most this part of the time.
const SHARE: u32 = 100;

#[derive(Debug)]
pub(crate) struct MemoryWatch {
    ended: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl MemoryWatch {
    /// Begins to watch, if there is anything to watch. The limit of one worker holds if this process `is_worker`.
    pub(crate) fn start(
        settings: &Settings,
        is_worker: bool,
        sender: &Arc<MessageSender>,
    ) -> Option<Self> {
        let recycling = &settings.recycling;
        let limit = recycling.max_worker_memory.in_bytes().filter(|_| is_worker);
        let reports = !recycling.max_total_memory.is_off();
        if limit.is_none() && !reports {
            return None;
        }
        let ended = Arc::new(AtomicBool::new(false));
        let watched = Watched {
            limit,
            reports,
            own: OwnMemory::default(),
            explained: false,
            sender: Arc::clone(sender),
        };
        let is_over = Arc::clone(&ended);
        let builder = Builder::new().name("memory".to_owned());
        let started = builder
            .stack_size(STACK_SIZE)
            .spawn(move || watched.watch(&is_over));
        let thread = started
            .inspect_err(|error| warn!("The memory of this process is not watched: {error}"))
            .ok()?;
        let thread = Mutex::new(Some(thread));
        Some(Self { ended, thread })
    }

    /// Ends the thread.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            thread.thread().unpark();
            // A panic has been logged.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Watched {
    /// `None` once it has asked.
    limit: Option<u64>,
    reports: bool,
    own: OwnMemory,
    /// That the best measure is missing has been said.
    explained: bool,
    sender: Arc<MessageSender>,
}

impl Watched {
    fn watch(mut self, ended: &AtomicBool) {
        while !ended.load(Ordering::Relaxed) && (self.reports || self.limit.is_some()) {
            let begun = Instant::now();
            self.look();
            let pause = if self.reports { REPORT_PAUSE } else { PAUSE };
            let next = begun + pause.max(begun.elapsed() * SHARE);
            while !ended.load(Ordering::Relaxed) && Instant::now() < next {
                thread::park_timeout(next.saturating_duration_since(Instant::now()));
            }
        }
    }

    fn look(&mut self) {
        // What is resident is quickly read, and usually enough.
        let may_be_over = |limit: u64| self.own.most().is_none_or(|most| most > limit);
        if !self.reports && !self.limit.is_some_and(may_be_over) {
            return;
        }
        let used = self.own.read();
        self.explain(used);
        let Some(bytes) = used else { return };
        let is_over = self.limit.take_if(|limit| bytes > *limit).is_some();
        if self.reports || is_over {
            // If the master is gone, this process is about to end.
            let _ = self.sender.send(&Message::Memory { bytes });
        }
        if is_over {
            let why = RestartReason::Memory;
            let _ = self.sender.send(&Message::Replace { why });
        }
    }

    fn explain(&mut self, used: Option<u64>) {
        if let Some(trouble) = self.own.trouble()
            && !std::mem::replace(&mut self.explained, true)
        {
            let instead = match used {
                Some(_) => "its anonymous memory counts instead, also what it shares with others",
                None => "nor is there another figure: its limits of memory have no effect",
            };
            warn!("The PSS of this process cannot be read (smaps_rollup: {trouble}); {instead}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxicorn_common::message::channel;
    use oxicorn_common::settings::MemoryLimit;

    fn settings(worker: MemoryLimit, total: MemoryLimit) -> Settings {
        let mut settings = Settings::default();
        settings.recycling.max_worker_memory = worker;
        settings.recycling.max_total_memory = total;
        settings
    }

    #[test]
    fn there_is_a_thread_only_where_there_is_a_limit() {
        let (sender, _receiver) = channel().expect("a pipe");
        let sender = Arc::new(sender);
        let (off, on) = (MemoryLimit::Off, MemoryLimit::MebiBytes(1 << 30));
        let starts = |settings: &Settings, is_worker| {
            let watch = MemoryWatch::start(settings, is_worker, &sender);
            watch.as_ref().inspect(|watch| watch.end()).is_some()
        };
        assert!(!starts(&settings(off, off), true));
        assert!(starts(&settings(on, off), true) && !starts(&settings(on, off), false));
        assert!(starts(&settings(off, on), false));
    }

    #[test]
    fn who_is_over_the_limit_says_how_much_it_is_and_asks_once() {
        let (sender, mut receiver) = channel().expect("a pipe");
        let mut watched = Watched {
            limit: Some(4096),
            reports: false,
            own: OwnMemory::default(),
            explained: false,
            sender: Arc::new(sender),
        };
        (0..3).for_each(|_| watched.look());
        let messages = receiver.read();
        let [Message::Memory { bytes }, Message::Replace { why }] = messages[..] else {
            panic!("{messages:?}");
        };
        assert!(bytes > 4096 && why == RestartReason::Memory);
    }
}
