//! What all threads of a worker share, apart from the reactor: the application, the settings, the queue of requests, and
//! how the worker ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use log::error;
use nix::sys::signal::Signal;
use oxicorn_common::hooks::{HookEvent, Hooks, NoHooks};
use oxicorn_common::logging::AccessFormatError;
use oxicorn_common::scoreboard::{Slot, SlotState};
use oxicorn_common::{App, Message, MessageSender, Scoreboard, Settings, WorkerContext};

use crate::access_log::AccessLog;
use crate::adoptions::Adoptions;
use crate::connection_limit::most_connections;
use crate::http::Rules;
use crate::in_flight::InFlight;
use crate::master_link::MasterLink;
use crate::ready_queue::ReadyQueue;
use crate::siblings::Siblings;

pub(crate) struct WorkerShared {
    pub(crate) app: Box<dyn App>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) rules: Rules,
    /// Per request thread, what it is working on.
    pub(crate) in_flight: Vec<InFlight>,
    pub(crate) ready: ReadyQueue,
    pub(crate) adoptions: Adoptions,
    /// So many this worker may have.
    pub(crate) most_connections: usize,
    pub(crate) access_log: AccessLog,
    pub(crate) siblings: Siblings,
    pub(crate) master: MasterLink,
    scoreboard: Scoreboard,
    slot: usize,
    hooks: Arc<dyn Hooks>,
    age: u64,
    /// A client waits, and this worker has no place for it: the next response is to make one.
    place_wanted: AtomicBool,
    draining: AtomicBool,
    /// The whole server is stopping.
    closing: AtomicBool,
    /// The number of the signal that ends this worker at once; 0 is none.
    quit_by: AtomicI32,
}

// Relaxed in all of it: each word stands for itself, and a thread that sees it one request later does nothing wrong.
impl WorkerShared {
    pub(crate) fn new(
        app: Box<dyn App>,
        settings: Arc<Settings>,
        scoreboard: Scoreboard,
        slot: usize,
        sender: Arc<MessageSender>,
    ) -> Result<Self, AccessFormatError> {
        Ok(Self {
            app,
            rules: Rules::from(&*settings),
            in_flight: (0..settings.threads).map(|_| InFlight::new()).collect(),
            ready: ReadyQueue::default(),
            adoptions: Adoptions::new(),
            most_connections: most_connections(&settings),
            access_log: AccessLog::new(&settings)?,
            siblings: Siblings::new(scoreboard.clone(), slot),
            master: MasterLink::new(sender, &settings),
            settings,
            scoreboard,
            slot,
            hooks: Arc::new(NoHooks),
            age: 0,
            place_wanted: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            quit_by: AtomicI32::new(0),
        })
    }

    /// Adds the functions of the config file.
    pub(crate) fn with_hooks(mut self, context: &WorkerContext) -> Self {
        self.hooks = Arc::clone(&context.hooks);
        self.age = context.age;
        self
    }

    /// Calls a function of the config file. What it raises is logged.
    pub(crate) fn call_hook(&self, event: HookEvent) {
        if let Err(raised) = self.hooks.call(event) {
            error!("{raised}");
        }
    }

    /// Calls the config file's `worker_abort` for a request that has outlived its timeout, on a thread of its own: the
    /// application may hold what the function needs.
    pub(crate) fn call_abort_hook(self: &Arc<Self>) {
        if !self.settings.hooks.has("worker_abort") {
            return;
        }
        let shared = Arc::clone(self);
        let age = self.age;
        let call = move || shared.call_hook(HookEvent::WorkerAbort { age });
        if let Err(error) = std::thread::Builder::new().spawn(call) {
            error!("worker_abort is not called: {error}");
        }
    }

    /// The slot of this worker on the scoreboard.
    pub(crate) fn slot(&self) -> Slot<'_> {
        self.scoreboard.slot(self.slot)
    }

    /// From now on this worker takes no new connections. `closing` where the whole server stops.
    pub(crate) fn begin_drain(&self, closing: bool) {
        self.draining.store(true, Ordering::Relaxed);
        self.closing.store(closing, Ordering::Relaxed);
        self.adoptions.close();
        self.slot().set_state(SlotState::Draining);
        self.master.send(&Message::Draining);
    }

    /// The whole server stops: responses invite no client to go on.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// This worker ends at once, because of `signal`.
    pub(crate) fn quit(&self, signal: Signal) {
        self.quit_by.store(signal as i32, Ordering::Relaxed);
    }

    /// The signal that ends this worker at once.
    pub(crate) fn quit_signal(&self) -> Option<Signal> {
        Signal::try_from(self.quit_by.load(Ordering::Relaxed)).ok()
    }

    /// Whether a client waits for a place of a connection that is to end.
    pub(crate) fn set_place_wanted(&self, wanted: bool) {
        self.place_wanted.store(wanted, Ordering::Relaxed);
    }

    /// Whether a response may invite its client to go on. A sibling can go on with a connection, unless its keys are
    /// here.
    pub(crate) fn keeps_alive(&self, is_tls: bool) -> bool {
        let is_leaving = self.closing.load(Ordering::Relaxed) || (is_tls && self.is_draining());
        let is_wanted = self.place_wanted.load(Ordering::Relaxed);
        !self.settings.keepalive.is_zero() && !is_leaving && !is_wanted
    }
}
