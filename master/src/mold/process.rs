//! The mold's side: its loop, and the packet that asks it for a worker.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use log::{error, info};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getppid};
use oxicorn_common::hooks::HookError;
use oxicorn_common::{
    Message, MessageSender, SignalPipe, descriptor_passing, exit_code, logging, signals,
};

use crate::admin_resources::AdminResources;
use crate::child_context::ChildContext;
use crate::generation::Generation;
use crate::host::fork_blocking_signals;
use crate::master_signals;
use crate::new_child::NewChild;
use crate::supervisor::{ChildKind, SpawnRequest};
use crate::sys;

/// Longer tracebacks are cut.
const MOST_TEXT: usize = 16 * 1024;
/// Age and slot of the worker, followed by the reason why it must not boot, if there is one.
const HEADER: usize = 2 * size_of::<u64>();

/// A mold in its own process.
#[derive(Debug)]
pub(super) struct MoldProcess {
    /// The messages to the master.
    pub(super) sender: MessageSender,
    pub(super) requests: OwnedFd,
    /// The master's pid.
    pub(super) parent: Pid,
    /// Those of its generation.
    pub(super) number: u32,
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
        let outcome = loaded.and_then(|signals| {
            let worker = self.next_worker(&context)?;
            drop(signals);
            Ok(worker)
        });
        match outcome {
            Ok(worker) => {
                let pid = getpid().as_raw();
                if worker.sender.send(&Message::Born { pid }).is_err() {
                    // The request was cancelled meanwhile.
                    return exit_code::SUCCESS;
                }
                // The mold's log files may have been renamed since it was forked.
                logging::reopen();
                worker.run(context, generation)
            }
            Err(code) => {
                log::logger().flush();
                // The application's exit functions run at the end of each worker.
                sys::exit_now(code)
            }
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
        // A terminal or a careless `kill` means the master. The pipe is never read. Ignored signals would stay
        // ignored in the programs that the application starts.
        let caught = master_signals::HANDLED.into_iter();
        let caught = caught.filter(|&it| it != Signal::SIGCHLD);
        let signals = SignalPipe::install(&caught.collect::<Vec<_>>())?;
        let (application, settings) = (&*generation.application, &generation.settings);
        let preloaded = oxicorn_worker::preload(application, settings, &self.sender);
        if preloaded.is_ok() {
            signals::reclaim()?;
            self.sender.send(&Message::Ready)?;
        }
        Ok(preloaded.map(|()| signals))
    }

    /// Forks one worker per request. Returns in each of them; in the mold only at its end, with the exit code.
    fn next_worker(self, context: &ChildContext) -> Result<NewChild, i32> {
        loop {
            let worker = match receive_request(&self.requests) {
                Ok(Some((age, slot, pre_fork_error, sender))) => NewChild {
                    request: SpawnRequest {
                        id: age,
                        kind: ChildKind::Web,
                        slot,
                        generation: self.number,
                    },
                    sender,
                    parent: self.parent,
                    pre_fork_error,
                },
                Ok(None) => return Err(exit_code::SUCCESS),
                Err(reason) => {
                    error!("Mold cannot take requests: {reason}");
                    return Err(exit_code::BOOT_ERROR);
                }
            };
            match fork_blocking_signals(&*context.host, &mut sys::fork_orphan) {
                Ok(None) => return Ok(worker),
                Ok(Some(_)) => {}
                Err(reason) => error!("Mold cannot fork: {reason}"),
            }
        }
    }
}

/// Sends a mold the request for a worker, with the worker's pipe.
pub(super) fn send_request(
    requests: impl AsFd,
    request: SpawnRequest,
    refusal: Option<&HookError>,
    pipe: MessageSender,
) -> io::Result<()> {
    let slot = u64::try_from(request.slot).unwrap_or(u64::MAX);
    let mut packet = [request.id.to_ne_bytes(), slot.to_ne_bytes()].concat();
    if let Some(refusal) = refusal {
        let text = &refusal.traceback;
        let length = text.floor_char_boundary(MOST_TEXT);
        packet.extend_from_slice(&text.as_bytes()[..length]);
    }
    descriptor_passing::send(requests, &[IoSlice::new(&packet)], pipe.into_pipe())
}

type ReceivedRequest = (u64, usize, Option<HookError>, MessageSender);

/// Waits for a request; `None` if the master is gone.
fn receive_request(requests: impl AsFd) -> io::Result<Option<ReceivedRequest>> {
    let mut packet = [0; HEADER + MOST_TEXT];
    let received = descriptor_passing::receive(requests, &mut [IoSliceMut::new(&mut packet)])?;
    let pipe = received.descriptors.into_iter().next();
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
    Ok(Some((age, slot, refusal, MessageSender::new(pipe))))
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
        send_request(&ours, request(), None, sender).expect("given");
        let taken = receive_request(&theirs).expect("taken").expect("a request");
        let (age, slot, refusal, sender) = taken;
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
        send_request(&ours, request(), Some(&refusal), sender).expect("given");
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
