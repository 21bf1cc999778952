//! What the master counts over its life, as gunicorn's does.

use std::time::Instant;

use nix::sys::signal::Signal;

#[derive(Debug)]
pub(crate) struct Lifetime {
    pub(crate) started: Instant,
    /// Workers that were forked.
    pub(crate) spawned: u64,
    /// Signals that tell a worker to end.
    pub(crate) killed: u64,
    /// Attempts at a reload.
    pub(crate) reloads: u64,
}

impl Lifetime {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            spawned: 0,
            killed: 0,
            reloads: 0,
        }
    }

    /// A worker is sent a signal. As in gunicorn only TERM and KILL count.
    pub(crate) fn count_signal(&mut self, signal: Signal) {
        let ends = matches!(signal, Signal::SIGTERM | Signal::SIGKILL);
        self.killed += u64::from(ends);
    }
}
