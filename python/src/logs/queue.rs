//! Passes records to Python's loggers: directly in the master, through a queue and a thread in
//! every child.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use oxicorn_common::logging::{self, Level};
use pyo3::prelude::*;

use super::record::Record;

/// The most records that wait in a process.
const LENGTH: usize = 10_000;
/// How long an ending process waits until its last records are handled.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// The thread of this process, once it is started.
static THREAD: Mutex<Option<LogThread>> = Mutex::new(None);
static DROPPED: AtomicU64 = AtomicU64::new(0);
static DROPPED_BY_MASTER: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct LogThread {
    /// A fork copies this struct, but not the thread.
    process: u32,
    sender: SyncSender<Record>,
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
            Some(it) => match it.sender.try_send(record) {
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
        let spawned = thread::Builder::new()
            .name("logging".to_owned())
            .spawn(move || {
                hand_over(&receiver, &loggers);
                let _ = end.send(());
            });
        spawned.ok()?;
        Some(LogThread {
            process: std::process::id(),
            sender,
            ended,
        })
    }
}

/// The loop of the thread.
fn hand_over(receiver: &Receiver<Record>, loggers: &Py<PyAny>) {
    while let Ok(record) = receiver.recv() {
        Python::attach(|py| {
            let loggers = loggers.bind(py);
            record.hand_over(py, loggers);
            // The lock is taken once for many waiting records.
            for record in receiver.try_iter().take(100) {
                record.hand_over(py, loggers);
            }
        });
        let dropped = match receiver.try_recv() {
            Ok(record) => {
                Python::attach(|py| record.hand_over(py, loggers.bind(py)));
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

/// Waits until the thread of this process has handed over its records.
pub(super) fn finish() {
    let own = lock().take_if(|it| it.process == std::process::id());
    if let Some(LogThread { sender, ended, .. }) = own {
        drop(sender);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LAST_RECORDS) {
            let text = "the handlers of Python's logging have not taken the last records";
            logging::write_error(Level::Warning, text);
        }
    }
}

fn lock() -> MutexGuard<'static, Option<LogThread>> {
    THREAD.lock().unwrap_or_else(PoisonError::into_inner)
}
