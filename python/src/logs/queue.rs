//! Passes records to Python's loggers: directly in the master, through a queue and a thread in
//! every child.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oxicorn_common::logging::{self, Level};
use pyo3::prelude::*;

use super::record::Record;

/// The most records that wait in a process.
const LENGTH: usize = 10_000;
/// How long an ending process waits for a handler that takes no further record.
const STUCK: Duration = Duration::from_secs(2);

/// The thread of this process, once it is started.
static THREAD: Mutex<Option<LogThread>> = Mutex::new(None);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static DROPPED_BY_MASTER: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct LogThread {
    /// A fork copies this struct, but not the thread.
    process: u32,
    sender: SyncSender<Record>,
    /// Records that have not been handled yet.
    waiting: Arc<AtomicU64>,
    ended: Receiver<()>,
}

#[derive(Debug)]
pub(super) struct RecordQueue {
    /// The module that handles records.
    loggers: Arc<Py<PyAny>>,
    /// The process that uses no queue.
    master: u32,
}

impl RecordQueue {
    pub(super) fn new(loggers: Py<PyAny>, master: u32) -> Self {
        Self {
            loggers: Arc::new(loggers),
            master,
        }
    }

    pub(super) fn put(&self, record: Record) {
        if std::process::id() == self.master {
            return self.put_in_master(record);
        }
        let mut thread = lock();
        if thread
            .as_ref()
            .is_none_or(|it| it.process != std::process::id())
        {
            // What the thread of another process held at the fork stays locked: nothing may be dropped.
            std::mem::forget(thread.take());
            *thread = self.start();
        }
        let is_taken = match &*thread {
            None => false,
            Some(it) => match it.send(record) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => false,
                Err(TrySendError::Disconnected(_)) => {
                    *thread = None;
                    false
                }
            },
        };
        drop(thread);
        if !is_taken && DROPPED.fetch_add(1, Ordering::Relaxed) == 0 {
            let text = "the handlers of Python's logging do not keep up; records are dropped until they do";
            logging::write_error(Level::Warning, text);
        }
    }

    /// Most handlers write to the standard streams and wait for their reader. The master must not
    /// wait.
    fn put_in_master(&self, record: Record) {
        if logging::streams_are_full() {
            DROPPED_BY_MASTER.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let dropped = DROPPED_BY_MASTER.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let text =
                format!("standard output or error is read again; {dropped} records were dropped");
            logging::write_error(Level::Warning, &text);
        }
        Python::attach(|py| record.hand_over(py, self.loggers.bind(py)));
    }

    fn start(&self) -> Option<LogThread> {
        let (sender, receiver) = sync_channel(LENGTH);
        let (end, ended) = sync_channel(1);
        // Not a Python reference: a thread that holds the interpreter's lock may wait for ours.
        let loggers = Arc::clone(&self.loggers);
        let waiting = Arc::new(AtomicU64::new(0));
        let left = Arc::clone(&waiting);
        let spawned = thread::Builder::new()
            .name("logging".to_owned())
            .spawn(move || {
                hand_over(&receiver, &loggers, &left);
                let _ = end.send(());
            });
        spawned.ok()?;
        Some(LogThread {
            process: std::process::id(),
            sender,
            waiting,
            ended,
        })
    }
}

impl LogThread {
    fn send(&self, record: Record) -> Result<(), TrySendError<Record>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.sender.try_send(record);
        if sent.is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    /// Waits until all records are handled: for `longest`, as long as the handlers take one now and then.
    fn finish(self, longest: Duration) {
        let deadline = Instant::now() + longest;
        let mut before = self.waiting.load(Ordering::Relaxed);
        drop(self.sender);
        while let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(STUCK) {
            let left = self.waiting.load(Ordering::Relaxed);
            if left >= before || Instant::now() >= deadline {
                let text = format!(
                    "the handlers of Python's logging have not taken the last {left} records in time: they are lost"
                );
                return logging::write_error(Level::Warning, &text);
            }
            before = left;
        }
    }
}

/// The loop of the thread.
fn hand_over(receiver: &Receiver<Record>, loggers: &Py<PyAny>, waiting: &AtomicU64) {
    let handle = |py: Python<'_>, record: Record| {
        record.hand_over(py, loggers.bind(py));
        waiting.fetch_sub(1, Ordering::Relaxed);
    };
    while let Ok(record) = receiver.recv() {
        Python::attach(|py| {
            handle(py, record);
            // The lock is taken once for many waiting records.
            for record in receiver.try_iter().take(100) {
                handle(py, record);
            }
        });
        let dropped = match receiver.try_recv() {
            Ok(record) => {
                Python::attach(|py| handle(py, record));
                continue;
            }
            Err(_) => DROPPED.swap(0, Ordering::Relaxed),
        };
        if dropped > 0 {
            let text = format!(
                "the handlers of Python's logging keep up again; {dropped} records were dropped"
            );
            logging::write_error(Level::Warning, &text);
        }
    }
}

/// Waits until the thread of this process has handed over its records, for `longest` at most.
pub(super) fn finish(longest: Duration) {
    let own = lock().take_if(|it| it.process == std::process::id());
    if let Some(thread) = own {
        thread.finish(longest);
    }
}

fn lock() -> MutexGuard<'static, Option<LogThread>> {
    THREAD.lock().unwrap_or_else(PoisonError::into_inner)
}
