//! SIGUSR2: a second master beside this one, of the program that is on the disk now.
//!
//! ```text
//!   old master --fork--> pre_exec --exec, sockets open--> new master
//!       | ends, in whatever way --- SIGCHLD (PR_SET_PDEATHSIG) ---^ takes over name and pid file
//! ```
//!
//! The new master is started as the old one was: the same command, directory and environment. While both run, neither
//! filters handshakes nor removes socket files.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::unistd::{getpid, getppid};
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::signals;

use crate::child_context::{ChildContext, Forked, ForkedChild};
use crate::exit_token::ExitToken;
use crate::generation::Generation;
use crate::host::fork_blocking_signals;
use crate::inherited::leave_to_new_master;
use crate::ready_pipe::{ReadyReceiver, ReadySender, ready_pipe};
use crate::shared_files::SharedFiles;
use crate::start_command::StartCommand;
use crate::supervisor::{Death, Event, UpgradeState};
use crate::sys;

/// This process's part in an upgrade: the other master.
#[derive(Debug)]
pub(crate) struct Upgrade {
    state: UpgradeState,
    /// From the new master.
    ready_receiver: Option<ReadyReceiver>,
    /// It has reported whether it serves.
    has_reported: bool,
    /// Shared with the other master, while there is one.
    exit_token: Option<ExitToken>,
    /// The memory that the next master shares.
    files: SharedFiles,
    /// How many workers the load needs, as the old master has said.
    workers_needed: Option<usize>,
}

impl Upgrade {
    pub(crate) fn new(
        state: UpgradeState,
        exit_token: Option<ExitToken>,
        files: SharedFiles,
        workers_needed: Option<usize>,
    ) -> Self {
        Self {
            state,
            ready_receiver: None,
            has_reported: false,
            exit_token,
            files,
            workers_needed,
        }
    }

    pub(crate) fn workers_needed(&self) -> Option<usize> {
        self.workers_needed
    }

    pub(crate) fn state(&self) -> UpgradeState {
        self.state
    }

    /// Starts a new master on the sockets of `newest`. The load needs so many `workers`.
    pub(crate) fn start(
        &mut self,
        command: &StartCommand,
        workers: usize,
        newest: &Generation,
        context: &ChildContext,
    ) -> io::Result<Forked<Event>> {
        let (ready_receiver, ready_sender) = ready_pipe()?;
        let exit_token = ExitToken::new()?;
        let old_master = getpid().as_raw();
        let files = self.files.try_clone()?;
        let side = context.shared.scoreboard.next_side();
        match fork_blocking_signals(&*context.host, &mut sys::fork)? {
            None => {
                let command = command.clone();
                Ok(Forked::Child(ForkedChild::new(
                    newest,
                    move |context, newest| {
                        let new_master = NewMaster {
                            old_master,
                            command,
                            ready_sender,
                            exit_token,
                            files,
                            numbers: [side, workers],
                        };
                        new_master.run(&context, &newest)
                    },
                )))
            }
            Some(pid) => {
                let pid = pid.as_raw();
                self.state.new_master = Some(pid);
                self.ready_receiver = Some(ready_receiver);
                self.has_reported = false;
                self.exit_token = Some(exit_token);
                Ok(Forked::Parent(Event::NewMasterStarted { pid }))
            }
        }
    }

    /// The pipe to poll until the new master has reported.
    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        let receiver = self.ready_receiver.as_ref();
        receiver.filter(|_| !self.has_reported).map(AsFd::as_fd)
    }

    /// Whether there is a new master that does not serve yet.
    pub(crate) fn is_booting(&self) -> bool {
        self.pipe().is_some()
    }

    /// The pid of the new master, once, when it serves.
    pub(crate) fn take_served(&mut self) -> Option<i32> {
        let receiver = self
            .ready_receiver
            .as_mut()
            .filter(|_| !self.has_reported)?;
        let serves = receiver.check()?;
        self.has_reported = true;
        self.state.new_master.filter(|_| serves)
    }

    /// The new master was reaped.
    pub(crate) fn on_new_master_exit(&mut self, death: Death) -> Event {
        self.state.new_master = None;
        self.exit_token = None;
        let report = self.ready_receiver.take().and_then(ReadyReceiver::take);
        let reason = report.map(|(_, reason)| reason);
        let reason = reason.filter(|it| !it.is_empty());
        Event::NewMasterExited { death, reason }
    }

    /// Whether the old master is gone. It counts as present until this one is promoted.
    pub(crate) fn check_old_master(&self) -> Option<Event> {
        let old_master = self.state.old_master?;
        (getppid().as_raw() != old_master).then_some(Event::OldMasterExited)
    }

    /// This is the only master from now on.
    pub(crate) fn on_promotion(&mut self) {
        self.state.old_master = None;
        self.exit_token = None;
    }

    /// The last check of the other master, before this one removes what only one of the two may remove. True if the
    /// old master is gone, or ends first, so that this one takes its place.
    pub(crate) fn conclude(&mut self) -> bool {
        let exit_token = self.exit_token.take();
        let was_new_master = self.state.old_master.is_some();
        let gone = |pid: &i32| sys::reap(*pid).is_some();
        self.state.new_master = self.state.new_master.filter(|pid| !gone(pid));
        if self.check_old_master().is_some() {
            self.on_promotion();
        }
        let is_last = self.state.is_alone() || exit_token.is_some_and(|it| !it.is_first());
        if is_last {
            self.state = UpgradeState::default();
        }
        is_last && was_new_master
    }
}

/// The process that becomes the new master.
struct NewMaster {
    old_master: i32,
    command: StartCommand,
    ready_sender: ReadySender,
    exit_token: ExitToken,
    files: SharedFiles,
    /// The side of the scoreboard that it gets, and how many workers the load needs.
    numbers: [usize; 2],
}

impl NewMaster {
    fn run(mut self, context: &ChildContext, newest: &Generation) -> ! {
        let Err(reason) = self.execute(context, newest);
        self.ready_sender.failed(1, &format!("{reason:#}"));
        sys::exit_now(1)
    }

    fn execute(&self, context: &ChildContext, newest: &Generation) -> anyhow::Result<Infallible> {
        signals::reset_to_default()?;
        newest.hook_caller().call(HookEvent::PreExec)?;
        let variables = leave_to_new_master(
            self.old_master,
            [&newest.listeners, &newest.admin.listeners],
            &self.ready_sender,
            &self.exit_token,
            (&self.files, self.numbers),
        )?;
        signals::unblock_all()?;
        context.descriptor_limit.restore();
        self.command.execute(variables)
    }
}
