//! The signals that the master acts on, and which of them become events of the supervisor.

use std::fs::File;

use log::{debug, info};
use nix::sys::signal::Signal;
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::supervisor::Event;

pub(crate) const HANDLED: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];

/// The supervisor's event for a signal. SIGCHLD only wakes the loop, which then reaps.
pub(crate) fn event_of(signal: Signal) -> Option<Event> {
    if signal == Signal::SIGCHLD {
        return None;
    }
    // A terminal sends SIGWINCH to its foreground process group whenever the size of its window changes.
    if signal == Signal::SIGWINCH && is_in_foreground() {
        debug!("Signal winch comes from the terminal and is ignored");
        return None;
    }
    let name = signal.as_str().trim_start_matches("SIG").to_lowercase();
    info!("Handling signal: {name}");
    Some(Event::Signal(signal))
}

fn is_in_foreground() -> bool {
    let Ok(terminal) = File::open("/dev/tty") else {
        return false;
    };
    tcgetpgrp(&terminal).is_ok_and(|foreground| foreground == getpgrp())
}
