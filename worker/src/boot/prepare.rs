//! What every child sets up before it runs the application's code: signals and the panic hook.

use std::io;
use std::thread;

use log::error;
use nix::sys::signal::Signal;
use oxicorn_common::message::PROBE;
use oxicorn_common::{Settings, SignalPipe};

/// HUP, USR2, WINCH, TTIN and TTOU are for the master: a child that gets them from a terminal or a careless `kill`
/// ignores them. ABRT leaves a core, unless the config file has a function for it.
pub(super) fn install_signals(settings: &Settings) -> io::Result<SignalPipe> {
    let mut signals = vec![
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGHUP,
        Signal::SIGWINCH,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        PROBE,
    ];
    if settings.hooks.has("worker_abort") {
        signals.push(Signal::SIGABRT);
    }
    SignalPipe::install(&signals)
}

/// Reports a panic as one line in the error log, wherever it is caught.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        error!(
            "thread {} panicked: {panic}",
            thread.name().unwrap_or("main")
        );
    }));
}
