//! The mold's side: its loop, and the packet that asks it for a worker.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use log::{error, info};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use oxicorn_common::hooks::HookError;
use oxicorn_common::process_memory::OwnMemory;
use oxicorn_common::{
    Message, MessageSender, SignalPipe, descriptor_passing, exit_code, forks, logging, signals,
};

use crate::admin_resources::AdminResources;
use crate::child_context::ChildContext;
use crate::child_life::live;
use crate::generation::Generation;
use crate::host::fork_blocking_signals;
use crate::master_signals;
use crate::mold::obstacles;
use crate::new_child::{NewChild, WarmWorker};
use crate::supervisor::{ChildKind, SpawnRequest};
use crate::sys;

/// Longer tracebacks are cut.
const MOST_TEXT: usize = 16 * 1024;
/// Age and slot of the worker, followed by the reason why it must not boot, if there is one.
const HEADER: usize = 2 * size_of::<u64>();
/// From one report of its memory to the next.
const REPORT_PAUSE: Duration = Duration::from_secs(5);

/// A mold in its own process.
#[derive(Debug)]
pub(crate) struct MoldProcess {
    /// The messages to the master.
    pub(super) sender: Arc<MessageSender>,
    pub(super) requests: OwnedFd,
    /// The master's pid.
    pub(super) parent: Pid,
    /// Those of its generation.
    pub(super) number: u32,
    /// It was a worker.
    pub(super) is_warm: bool,
}

impl MoldProcess {
    /// Loads the application and forks workers until the master ends it or itself. Returns in the workers, with their
    /// exit codes.
    pub(super) fn run(self, mut context: ChildContext, mut generation: Generation) -> i32 {
        generation.admin = AdminResources::default();
        let loaded = self
            .load(&mut context, &generation)
            .unwrap_or_else(|reason| {
                let text = format!("Mold failed to boot: {reason:#}");
                error!("{text}");
                let exit_code = exit_code::BOOT_ERROR;
                let _ = self.sender.send(&Message::Failed { exit_code, text });
                Err(exit_code)
            });
        match loaded {
            Ok(signals) => self.fork_workers(signals, context, generation),
            Err(code) => end_mold(code),
        }
    }

    /// The same for a worker that has drained, and has loaded the application. Where that cannot be, returns the exit code
    /// of the worker.
    pub(crate) fn begin_warm(worker: WarmWorker) -> i32 {
        let WarmWorker {
            number,
            mut context,
            generation,
            sender,
            requests,
            parent,
            sockets,
        } = worker;
        let settled = generation.application.settle();
        let found = settled
            .and_then(|()| obstacles::find(&sockets, context.host.allows_threads()))
            .and_then(|()| catch_signals().map_err(|error| error.to_string()));
        let signals = match found {
            Ok(signals) => signals,
            Err(reason) => {
                // If the master is gone, this process is about to end.
                let _ = sender.send(&Message::CannotBecomeMold { reason });
                return exit_code::SUCCESS;
            }
        };
        context.title.show("mold");
        if sender.send(&Message::BecomesMold).is_err() {
            return exit_code::SUCCESS;
        }
        let mold = Self {
            sender,
            requests,
            parent,
            number,
            is_warm: true,
        };
        mold.fork_workers(signals, context, generation)
    }

    /// Forks workers until the end. Returns in each of them with its exit code.
    fn fork_workers(
        self,
        mut signals: SignalPipe,
        context: ChildContext,
        generation: Generation,
    ) -> i32 {
        let reports = !generation.settings.recycling.max_total_memory.is_off();
        let is_warm = self.is_warm;
        match self.next_worker(&context, &mut signals, reports) {
            Ok(worker) => {
                drop(signals);
                forks::begin_again();
                let pid = getpid().as_raw();
                if worker.sender.send(&Message::Born { pid }).is_err() {
                    // The request was cancelled meanwhile.
                    return exit_code::SUCCESS;
                }
                // The mold's log files may have been renamed since it was forked.
                if !is_warm {
                    logging::reopen();
                }
                live(worker, context, generation)
            }
            Err(code) => end_mold(code),
        }
    }

    /// Becomes a process of its own and loads the application. The inner error is the exit code of a failure that has
    /// been reported.
    fn load(
        &self,
        context: &mut ChildContext,
        generation: &Generation,
    ) -> anyhow::Result<Result<SignalPipe, i32>> {
        signals::reset_to_default()?;
        context.title.show("mold");
        info!("Booting mold with pid: {}", getpid());
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != self.parent {
            anyhow::bail!("the master is gone");
        }
        let signals = catch_signals()?;
        let (application, settings) = (&*generation.application, &generation.settings);
        let preloaded = oxicorn_worker::preload(application, settings, &self.sender);
        if preloaded.is_ok() {
            signals::reclaim()?;
            self.sender.send(&Message::Ready)?;
        }
        Ok(preloaded.map(|()| signals))
    }

    /// Forks one worker per request. Returns in each of them; in the mold only at its end, with the exit code.
    fn next_worker(
        self,
        context: &ChildContext,
        signals: &mut SignalPipe,
        reports: bool,
    ) -> Result<NewChild, i32> {
        let mut memory = OwnMemory::default();
        loop {
            if reports && !is_asked(&self.requests) {
                let bytes = memory.read().unwrap_or(0);
                // The end of the master is seen below.
                let _ = self.sender.send(&Message::Memory { bytes });
                continue;
            }
            let worker = match receive_request(&self.requests) {
                Ok(Some((age, slot, pre_fork_error, pipes))) => NewChild {
                    request: SpawnRequest {
                        id: age,
                        kind: ChildKind::Web,
                        slot,
                        generation: self.number,
                    },
                    sender: Arc::new(pipes.sender),
                    requests: pipes.requests,
                    parent: self.parent,
                    pre_fork_error,
                },
                Ok(None) => return Err(exit_code::SUCCESS),
                Err(reason) => {
                    error!("Mold cannot take requests: {reason}");
                    return Err(exit_code::BOOT_ERROR);
                }
            };
            // It has the rights of a worker, so that it opens them when workers do. The master signals before it asks.
            if signals.take().contains(&Signal::SIGUSR1) && self.is_warm {
                logging::reopen();
            }
            match fork_blocking_signals(&*context.host, &mut sys::fork_orphan) {
                Ok(None) => return Ok(worker),
                Ok(Some(_)) => {}
                Err(reason) => error!("Mold cannot fork: {reason}"),
            }
        }
    }
}

/// Ends the process of a mold. The application's exit functions run at the end of each worker.
fn end_mold(code: i32) -> ! {
    log::logger().flush();
    sys::exit_now(code)
}

/// A terminal or a careless `kill` means the master. Only SIGUSR1 is ever looked at. Ignored signals would stay ignored in the
/// programs that the application starts.
fn catch_signals() -> io::Result<SignalPipe> {
    let caught = master_signals::HANDLED.into_iter();
    let caught = caught.filter(|&it| it != Signal::SIGCHLD);
    SignalPipe::install(&caught.collect::<Vec<_>>())
}

/// Waits for a request, but not for long.
fn is_asked(requests: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(requests.as_fd(), PollFlags::POLLIN)];
    let pause = PollTimeout::try_from(REPORT_PAUSE).unwrap_or(PollTimeout::MAX);
    poll(&mut fds, pause).is_ok_and(|ready| ready > 0)
}

/// A worker's ends of what connects it with the master.
#[derive(Debug)]
pub(super) struct WorkerPipes {
    pub(super) sender: MessageSender,
    /// Over which it would be asked for others, if it became a mold.
    pub(super) requests: Option<OwnedFd>,
}

/// Sends a mold the request for a worker, with the worker's pipes.
pub(super) fn send_request(
    requests: impl AsFd,
    request: SpawnRequest,
    refusal: Option<&HookError>,
    pipes: WorkerPipes,
) -> io::Result<()> {
    let slot = u64::try_from(request.slot).unwrap_or(u64::MAX);
    let mut packet = [request.id.to_ne_bytes(), slot.to_ne_bytes()].concat();
    if let Some(refusal) = refusal {
        let text = &refusal.traceback;
        let length = text.floor_char_boundary(MOST_TEXT);
        packet.extend_from_slice(&text.as_bytes()[..length]);
    }
    let pipe = pipes.sender.into_pipe();
    let descriptors = [Some(pipe.as_fd()), pipes.requests.as_ref().map(AsFd::as_fd)];
    let descriptors: Vec<_> = descriptors.into_iter().flatten().collect();
    descriptor_passing::send_all(requests, &[IoSlice::new(&packet)], &descriptors)
}

type ReceivedRequest = (u64, usize, Option<HookError>, WorkerPipes);

/// Waits for a request; `None` if the master is gone.
fn receive_request(requests: impl AsFd) -> io::Result<Option<ReceivedRequest>> {
    let mut packet = [0; HEADER + MOST_TEXT];
    let received = descriptor_passing::receive(requests, &mut [IoSliceMut::new(&mut packet)])?;
    let mut descriptors = received.descriptors.into_iter();
    let (pipe, requests) = (descriptors.next(), descriptors.next());
    let mut rest = &packet[..received.length];
    let mut number = || {
        let (number, after) = rest.split_first_chunk()?;
        rest = after;
        Some(u64::from_ne_bytes(*number))
    };
    let (Some(age), Some(slot), Some(pipe)) = (number(), number(), pipe) else {
        return Ok(None);
    };
    let refusal = (!rest.is_empty()).then(|| HookError {
        hook: "pre_fork",
        traceback: String::from_utf8_lossy(rest).into_owned(),
    });
    let slot = usize::try_from(slot).map_err(io::Error::other)?;
    let sender = MessageSender::new(pipe);
    Ok(Some((age, slot, refusal, WorkerPipes { sender, requests })))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use oxicorn_common::message::channel;

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC;
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair")
    }

    fn pipes(sender: MessageSender) -> WorkerPipes {
        let requests = None;
        WorkerPipes { sender, requests }
    }

    fn request() -> SpawnRequest {
        SpawnRequest {
            id: u64::MAX,
            kind: ChildKind::Web,
            slot: 7,
            generation: 1,
        }
    }

    #[test]
    fn an_order_arrives_with_its_pipe() {
        let (ours, theirs) = pair();
        let (sender, mut receiver) = channel().expect("a pipe");
        send_request(&ours, request(), None, pipes(sender)).expect("given");
        let taken = receive_request(&theirs).expect("taken").expect("a request");
        let (age, slot, refusal, pipes) = taken;
        let sender = pipes.sender;
        assert_eq!((age, slot, refusal), (u64::MAX, 7, None));
        sender.send(&Message::Born { pid: 1 }).expect("sent");
        assert_eq!(receiver.read(), [Message::Born { pid: 1 }]);
    }

    #[test]
    fn a_refusal_arrives_and_is_cut_where_it_is_too_long() {
        let (ours, theirs) = pair();
        let (sender, _receiver) = channel().expect("a pipe");
        let refusal = HookError {
            hook: "pre_fork",
            traceback: "ä".repeat(MOST_TEXT),
        };
        send_request(&ours, request(), Some(&refusal), pipes(sender)).expect("given");
        let (_, _, taken, _) = receive_request(&theirs).expect("taken").expect("a request");
        let taken = taken.expect("a refusal");
        assert_eq!(taken.hook, "pre_fork");
        assert_eq!(taken.traceback.len(), MOST_TEXT);
    }

    #[test]
    fn a_master_that_is_gone_sends_no_more() {
        let (ours, theirs) = pair();
        drop(ours);
        assert!(receive_request(&theirs).expect("the end").is_none());
    }
}
