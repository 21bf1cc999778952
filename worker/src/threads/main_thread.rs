//! What only the main thread can do: run the application's signal handlers, and restore the server's signal handlers
//! if the application has replaced them.

use std::os::fd::AsFd;

use log::error;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use oxicorn_common::{forks, signals};

use super::TURN;
use crate::reactor::Reactor;
use crate::worker_shared::WorkerShared;

/// The loop of a main thread that serves no requests, until `over` is readable.
pub(super) fn wait(shared: &WorkerShared, over: &EventFd) -> nix::Result<()> {
    let timeout = PollTimeout::try_from(TURN).unwrap_or(PollTimeout::ZERO);
    let mut fds = [PollFd::new(over.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut fds, timeout) {
            // A signal may have come between two polls.
            Ok(0) | Err(Errno::EINTR) => {
                shared.app.interrupted();
                forks::end_child(0);
            }
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// The same for a main thread that is the only request thread and leads, after a turn of the reactor.
pub(super) fn attend_to_signals(shared: &WorkerShared, reactor: &mut Reactor) {
    if shared.in_flight.len() > 1 || !reactor.take_signals_due(TURN) {
        return;
    }
    if let Err(error) = signals::reclaim() {
        error!("the signals of the server cannot be taken back: {error}");
    }
    shared.app.interrupted();
    forks::end_child(0);
}
