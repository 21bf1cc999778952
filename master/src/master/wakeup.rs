//! What wakes the master: signals, its children, a new master, control clients, and deadlines.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use oxicorn_common::logging;

use super::Master;

/// The interval at which the master looks after log lines that wait for their receiver.
const LOGS_EVERY: Duration = Duration::from_millis(100);

impl Master {
    /// Sleeps until an event comes or until `deadline`.
    pub(super) fn wait(&mut self, deadline: Option<Instant>) {
        // More children are to be forked: this turn only looks what has come meanwhile.
        let is_urgent = !self.to_fork.is_empty();
        let later = logging::tend().then(|| Instant::now() + LOGS_EVERY);
        let deadlines = [
            deadline,
            later,
            self.gauges.deadline(),
            self.scaler.deadline(),
            self.notifier.deadline(),
            self.control.deadline(Instant::now()),
        ];
        let timeout = match deadlines.into_iter().flatten().min() {
            _ if is_urgent => PollTimeout::ZERO,
            // Rounded up: otherwise short waits would follow each other until the deadline.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let pipes = [self.signals.as_fd()]
            .into_iter()
            .chain(self.children.pipes())
            .chain(self.molds.pipes())
            .chain(self.upgrade.pipe())
            .map(|fd| (fd, PollFlags::POLLIN));
        let sources = self.control.sources().chain(pipes);
        let mut fds: Vec<PollFd> = sources.map(|(fd, flags)| PollFd::new(fd, flags)).collect();
        // An interrupted wait is over: the reads below find whatever is ready.
        let _ = poll(&mut fds, timeout);
        let revents = |fd: &PollFd| fd.revents().unwrap_or(PollFlags::empty());
        let reported: Vec<PollFlags> = fds.iter().map(revents).collect();
        drop(fds);
        self.control.note(reported.into_iter());
    }
}
