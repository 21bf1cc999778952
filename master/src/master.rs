//! The master's loop: hears signals, messages and deaths, asks the supervisor, does what it says.
//!
//! ```text
//!   signal pipe --.
//!   child pipes ---+-- poll --> events --> Supervisor --> actions --> fork, kill, reload, log
//!   deadline -----'
//! ```
//!
//! One thread, for ever. It decides nothing by itself.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, log};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oxicorn_common::bell::Bell;
use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::hooks::HookEvent;
use oxicorn_common::settings::Source;
use oxicorn_common::{Handoff, Message, News, Outages, Scoreboard, SignalPipe, logging};

use crate::descriptor_limit::DescriptorLimit;
use crate::exit_token::ExitToken;
use crate::gauges::Gauges;
use crate::generation::{Generation, Resolve};
use crate::hook_caller::HookCaller;
use crate::host::Host;
use crate::mold::Mold;
use crate::notify::Notifier;
use crate::oom::OomWatch;
use crate::pidfile::Pidfile;
use crate::ready_pipe::{ReadyReceiver, ReadySender};
use crate::reap::keep_current_children;
use crate::spawn::{ChildProcess, SpawnRequest, spawn};
use crate::supervisor::{Action, ChildId, ChildKind, Event, Pulse, Supervisor, UpgradeState};
use crate::terminal;
use crate::title::Title;
use crate::upgrade::{Command, look_for_old_master};

/// What the master acts on.
pub(crate) const SIGNALS: [Signal; 10] = [
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

/// How often the master looks after log lines that wait for their receiver.
const LOGS_EVERY: Duration = Duration::from_millis(100);

/// What every child inherits, of whichever generation.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) scoreboard: Scoreboard,
    pub(crate) handoff: Handoff,
    pub(crate) bell: Bell,
    pub(crate) outages: Outages,
    pub(crate) news: News,
}

pub(crate) struct Master {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) source: Source,
    pub(crate) resolve: Resolve,
    pub(crate) command: Command,
    /// Those of the newest generation.
    pub(crate) hook_caller: HookCaller,
    /// How many there should be, as the config file was told last.
    pub(crate) workers: usize,
    /// The generations that children may still be started of; the last is the newest.
    pub(crate) generations: BTreeMap<u32, Generation>,
    pub(crate) children: BTreeMap<ChildId, ChildProcess>,
    /// By generation.
    pub(crate) molds: BTreeMap<u32, Mold>,
    pub(crate) shared: Shared,
    pub(crate) signals: Option<SignalPipe>,
    pub(crate) oom: OomWatch,
    pub(crate) pidfile: Option<Pidfile>,
    pub(crate) descriptor_limit: DescriptorLimit,
    pub(crate) ready_sender: ReadySender,
    /// What the successor says of its start.
    pub(crate) ready_receiver: Option<ReadyReceiver>,
    /// Shared with the other master, while there is one.
    pub(crate) exit_token: Option<ExitToken>,
    pub(crate) notifier: Notifier,
    pub(crate) title: Title,
    pub(crate) gauges: Gauges,
    /// Why a child could not boot, in its own words.
    pub(crate) last_words: Option<String>,
}

impl Master {
    /// Serves until told to end; returns the exit code.
    pub(crate) fn run(&mut self, succession: UpgradeState) -> i32 {
        let Some(first) = self.generations.values().next() else {
            return 1;
        };
        // The config file was executed before there was any of ours.
        keep_current_children();
        let (mut supervisor, actions) = Supervisor::new(first.plan(), succession, Instant::now());
        let mut over = self.carry_out(&mut supervisor, actions);
        while over.is_none() {
            self.wait(supervisor.deadline(Instant::now()));
            let before = supervisor.succession();
            over = self.turn(&mut supervisor);
            if supervisor.succession() != before {
                self.hook_caller.report_upgrade(supervisor.succession());
                if supervisor.is_stopping() {
                    self.close_listeners(supervisor.succession());
                }
            }
            self.tell_of_workers(supervisor.workers_wanted());
        }
        let code = over.unwrap_or(0);
        let reason = self.last_words.as_deref().unwrap_or("no worker could boot");
        self.ready_sender.failed(code, reason);
        let succession = self.look_around(supervisor.succession());
        self.close_listeners(succession);
        self.see_molds_end(succession);
        let pidfile = self.pidfile.take();
        // A successor puts its own in the place.
        if let Some(pidfile) = pidfile.filter(|_| succession.successor.is_none()) {
            pidfile.remove();
        }
        self.hook_caller.call_or_log(HookEvent::Exit);
        code
    }

    /// Closes what a child has no business with. Removes nothing.
    pub(crate) fn let_go(&mut self) {
        self.keep_only(0);
    }

    /// As [`Master::let_go`], but for one generation.
    pub(crate) fn keep_only(&mut self, generation: u32) {
        self.children.clear();
        self.molds.clear();
        self.ready_receiver = None;
        self.exit_token = None;
        self.generations.retain(|&number, _| number == generation);
        self.signals = None;
        self.pidfile = None;
        self.ready_sender = ReadySender::default();
    }

    fn tell_of_workers(&mut self, new: usize) {
        let old = std::mem::replace(&mut self.workers, new);
        if new != old {
            let old = Some(old);
            self.hook_caller
                .call_or_log(HookEvent::WorkersChanged { new, old });
        }
    }

    /// Sleeps until something happens or `deadline` comes.
    fn wait(&self, deadline: Option<Instant>) {
        let later = logging::tend().then(|| Instant::now() + LOGS_EVERY);
        let deadlines = [deadline, later, self.gauges.deadline()];
        let timeout = match deadlines.into_iter().flatten().min() {
            // Rounded up: a wait that ends too early would only be begun again.
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let pipes = self
            .children
            .values()
            .filter(|child| !child.receiver.is_closed())
            .map(|child| child.receiver.as_fd());
        let molds = self.molds.values().flat_map(Mold::pipes);
        let mut fds: Vec<PollFd> = self
            .signals
            .iter()
            .map(AsFd::as_fd)
            .chain(pipes)
            .chain(molds)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        // Interrupted is a wait that is over: whatever is ready is found without it.
        let _ = poll(&mut fds, timeout);
    }

    /// Handles all that has happened; the exit code when there is nothing left to do.
    fn turn(&mut self, supervisor: &mut Supervisor) -> Option<i32> {
        let signals = self.signals.as_mut().map(SignalPipe::take);
        let mut events: Vec<Event> = self.listen();
        events.extend(self.collect_dead(supervisor.succession()));
        events.extend(look_for_old_master(supervisor.succession()));
        for signal in signals.unwrap_or_default() {
            events.extend(self.hear(signal));
        }
        for event in events {
            if let Event::Message {
                message: Message::Failed { text, .. },
                ..
            } = &event
            {
                self.last_words = Some(text.clone());
            }
            let actions = supervisor.handle(event, Instant::now());
            let over = self.carry_out(supervisor, actions);
            if over.is_some() {
                return over;
            }
        }
        let now = monotonic_millis();
        let board = self.shared.scoreboard.clone();
        let actions = supervisor.on_tick(Instant::now(), |slot| {
            let slot = board.slot(slot);
            let beat = slot.heartbeat();
            Pulse {
                silence: silence(now, beat),
            }
        });
        let over = self.carry_out(supervisor, actions);
        let newest = self.generations.values().next_back();
        self.gauges
            .look(supervisor.workers(), newest, Instant::now());
        over
    }

    /// What living children have said.
    fn listen(&mut self) -> Vec<Event> {
        let mut events = self.listen_to_molds();
        for (&id, child) in &mut self.children {
            if !child.receiver.is_closed() {
                let messages = child.receiver.read().into_iter();
                events.extend(messages.map(|message| Event::Message { id, message }));
            }
        }
        events
    }

    fn hear(&self, signal: Signal) -> Option<Event> {
        if signal == Signal::SIGCHLD {
            return None;
        }
        let name = signal.as_str().trim_start_matches("SIG").to_lowercase();
        if signal == Signal::SIGWINCH && terminal::is_ours() {
            log::debug!("Signal winch comes from the terminal and is ignored");
            return None;
        }
        info!("Handling signal: {name}");
        Some(Event::Signal(signal))
    }

    /// Does what the supervisor wants, and tells it what comes of it.
    fn carry_out(&mut self, supervisor: &mut Supervisor, actions: Vec<Action>) -> Option<i32> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let more = match action {
                Action::Fork {
                    id,
                    kind,
                    slot,
                    generation,
                } => {
                    let request = SpawnRequest {
                        id,
                        kind,
                        slot,
                        generation,
                    };
                    self.fork(request)
                        .map_or_else(Vec::new, |event| supervisor.handle(event, Instant::now()))
                }
                Action::Signal { id, signal } => self
                    .signal(id, signal)
                    .map_or_else(Vec::new, |event| supervisor.handle(event, Instant::now())),
                Action::Reload => self.reload(supervisor),
                Action::StartNewMaster => {
                    let event = self.start_new_master();
                    supervisor.handle(event, Instant::now())
                }
                Action::Exit { code } => return Some(code),
                other => {
                    self.obey(other, supervisor.succession());
                    Vec::new()
                }
            };
            actions.extend(more);
        }
        None
    }

    /// The event is what has come of it already.
    fn fork(&mut self, request: SpawnRequest) -> Option<Event> {
        let generation = self.generations.get(&request.generation);
        if request.kind == ChildKind::Web && generation.is_some_and(Generation::preloads) {
            return self.request(request);
        }
        Some(match spawn(self, request) {
            Ok(process) => {
                let pid = process.pid;
                self.children.insert(request.id, process);
                Event::Forked {
                    id: request.id,
                    pid,
                }
            }
            Err(error) => Event::ForkFailed {
                id: request.id,
                reason: why_no_fork(&error),
            },
        })
    }

    /// The event is what comes of it at once.
    fn signal(&mut self, id: ChildId, signal: Signal) -> Option<Event> {
        let Some(child) = self.children.get(&id) else {
            return self.call_off(id, signal);
        };
        // A child that has ended is not reaped yet, so the pid is still its own.
        let _ = kill(Pid::from_raw(child.pid), signal);
        None
    }

    /// Actions that the supervisor expects no answer to.
    fn obey(&mut self, action: Action, succession: UpgradeState) {
        match action {
            Action::Forget { generation } => {
                self.retire_mold(generation);
                if let Some(old) = self.generations.remove(&generation)
                    && succession.is_alone()
                {
                    let remaining = self.generations.values().map(|other| &other.listeners);
                    old.listeners.retire(remaining);
                }
            }
            Action::MarkDeserted(deserted) => self.mark_deserted(deserted),
            Action::ReopenLogs => logging::reopen(),
            Action::MarkStopping => {
                self.mark_deserted(true);
                match succession.successor {
                    Some(successor) => self.notifier.succeeded_by(successor),
                    None => self.notifier.stopping(),
                }
                self.retire_molds();
                self.close_listeners(succession);
            }
            Action::Serving => {
                self.ready_sender.serving();
                self.notifier.ready();
            }
            Action::Log { level, text } => {
                log!(level, "{text}");
            }
            Action::Promote => self.promote(),
            Action::Fork { .. }
            | Action::Signal { .. }
            | Action::Reload
            | Action::StartNewMaster
            | Action::Exit { .. } => {}
        }
    }

    fn mark_deserted(&self, deserted: bool) {
        self.shared.scoreboard.set_deserted(deserted);
    }

    /// Lets nobody in any more, unless another master does: then the sockets stay as they are, for as long
    /// as that may end first. Else they are open until the last child has taken what waits in their
    /// backlogs and closed them too; from then on clients are refused.
    fn close_listeners(&mut self, succession: UpgradeState) {
        if !succession.is_alone() {
            return;
        }
        for (_, generation) in std::mem::take(&mut self.generations) {
            generation.listeners.reject_handshakes();
            generation.listeners.retire(std::iter::empty());
        }
    }
}

/// How long ago a heartbeat was. One that is yet to come is none.
fn silence(now: u64, beat: u64) -> Duration {
    match beat > now + 1000 {
        true => Duration::MAX,
        false => Duration::from_millis(now.saturating_sub(beat)),
    }
}

/// fork(2) has few errors, of which none says what there is not enough of.
fn why_no_fork(error: &std::io::Error) -> String {
    let of = match error.raw_os_error() {
        Some(libc::EAGAIN) => {
            " processes: see RLIMIT_NPROC (ulimit -u) of the user, pids.max of the control group, and kernel.pid_max"
        }
        Some(libc::ENOMEM) => {
            " pages of memory: see memory.max of the control group, and vm.overcommit_memory"
        }
        Some(libc::EMFILE) => " descriptors: see RLIMIT_NOFILE (ulimit -n)",
        _ => return error.to_string(),
    };
    format!("{error}: too few{of}")
}
