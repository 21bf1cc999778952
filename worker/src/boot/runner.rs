//! A runner: the application's background work on one thread, signals and the heartbeat on the main thread.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use log::error;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use oxicorn_common::message::PROBE;
use oxicorn_common::runner::{RUNNER_POLL_INTERVAL, Stop};
use oxicorn_common::scoreboard::SlotState;
use oxicorn_common::{
    Application, Message, MessageSender, Runner, SignalPipe, WorkerContext, logging, signals,
};

use super::error::BootError;
use super::load::load;
use super::parts::Boot;
use super::prepare::{install_signals, log_panics};
use crate::memory_watch::MemoryWatch;
use crate::thread_spawn::{self, ThreadError};

/// The life of a runner; returns its exit code.
pub fn run_runner(boot: Boot) -> i32 {
    log_panics();
    drop(boot.listeners);
    let sender = boot.sender;
    run(&boot.application, &boot.context, &sender)
        .unwrap_or_else(|error| error.report("Runner", &sender))
}

fn run(
    application: &Arc<dyn Application>,
    context: &WorkerContext,
    sender: &Arc<MessageSender>,
) -> Result<i32, BootError> {
    let mut signals = install_signals(&context.settings)?;
    let runner = load(&**application, |application| application.runner(context))?;
    signals::reclaim()?;
    let Some(runner) = runner else {
        return Ok(0);
    };
    let watch = MemoryWatch::start(&context.settings, false, sender);
    let stop = Stop::default();
    let work = start(runner, stop.clone())?;
    let slot = context.scoreboard.slot(context.slot);
    slot.beat();
    slot.set_state(SlotState::Ready);
    // If the master dies, the kernel ends this process too.
    let _ = sender.send(&Message::Ready);
    let code = supervise(work, &stop, &mut signals, context, sender);
    watch.iter().for_each(MemoryWatch::end);
    Ok(code)
}

fn start(runner: Runner, stop: Stop) -> Result<JoinHandle<anyhow::Result<()>>, ThreadError> {
    let what = || "the thread of the runner".to_owned();
    thread_spawn::start("runner", what, thread_spawn::stack_size(), move || {
        runner(&stop)
    })
}

/// Writes heartbeats and obeys signals until the work ends, or for `graceful_timeout` after a SIGTERM.
fn supervise(
    work: JoinHandle<anyhow::Result<()>>,
    stop: &Stop,
    signals: &mut SignalPipe,
    context: &WorkerContext,
    sender: &MessageSender,
) -> i32 {
    let slot = context.scoreboard.slot(context.slot);
    let mut give_up_at: Option<Instant> = None;
    while !work.is_finished() {
        slot.beat();
        logging::tend();
        for signal in wait_for_signals(signals) {
            match signal {
                Signal::SIGTERM if give_up_at.is_none() => {
                    slot.set_state(SlotState::Draining);
                    let _ = sender.send(&Message::Draining);
                    stop.request();
                    give_up_at = Some(Instant::now() + context.settings.graceful_timeout);
                }
                // The next runner starts the unfinished work again.
                Signal::SIGINT | Signal::SIGQUIT => return 0,
                Signal::SIGUSR1 => logging::reopen(),
                PROBE => drop(sender.send(&Message::Alive)),
                _ => {}
            }
        }
        if give_up_at.is_some_and(|at| Instant::now() >= at) {
            return 0;
        }
    }
    match work.join() {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            error!("Runner failed: {error:#}");
            1
        }
        // The panic hook has logged it already.
        Err(_) => 1,
    }
}

fn wait_for_signals(signals: &mut SignalPipe) -> Vec<Signal> {
    let timeout = PollTimeout::try_from(RUNNER_POLL_INTERVAL).unwrap_or(PollTimeout::ZERO);
    // An interrupted or timed-out wait counts as over.
    let _ = poll(
        &mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)],
        timeout,
    );
    signals.take()
}
