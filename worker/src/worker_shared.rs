//! The data that all threads of a worker share, apart from the reactor: the application, the settings, the queue of
//! requests, and the reason of the worker's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Instant;

use log::error;
use nix::sys::signal::Signal;
use oxicorn_common::clock::InstantMillis;
use oxicorn_common::hooks::{HookEvent, Hooks, NoHooks};
use oxicorn_common::logging::AccessFormatError;
use oxicorn_common::rate_limits::RateLimitSet;
use oxicorn_common::scoreboard::{RefusalReason, ServerState, Slot, SlotState};
use oxicorn_common::{App, Message, MessageSender, Scoreboard, Settings, WorkerContext};

use crate::access_log::AccessLog;
use crate::adoptions::Adoptions;
use crate::connection::Connection;
use crate::connection_limit::most_connections;
use crate::http::Rules;
use crate::in_flight::InFlight;
use crate::master_link::MasterLink;
use crate::rate_limits::RateLimiter;
use crate::ready_queue::ReadyQueue;
use crate::role::WorkerRole;
use crate::shedding::{LoadShedding, Refusal};
use crate::siblings::Siblings;
use crate::spare_listeners::SpareListeners;
use crate::stack_log::StackLog;
use crate::stack_report::StackRounds;
use crate::sync::lock;

pub(crate) struct WorkerShared {
    pub(crate) app: Box<dyn App>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) rules: Rules,
    /// The current call of each request thread.
    pub(crate) in_flight: Vec<InFlight>,
    pub(crate) ready: ReadyQueue,
    pub(crate) adoptions: Adoptions,
    /// The most connections that this worker may have.
    pub(crate) most_connections: usize,
    pub(crate) access_log: AccessLog,
    /// Whether lines about a request name it.
    pub(crate) tags_lines: bool,
    pub(crate) stack_log: StackLog,
    pub(crate) stack_rounds: StackRounds,
    /// `None` if no request is ever refused for lack of a thread.
    pub(crate) shedding: Option<Arc<LoadShedding>>,
    pub(crate) siblings: Siblings,
    pub(crate) master: MasterLink,
    pub(crate) role: WorkerRole,
    pub(crate) rate_limiter: Option<RateLimiter>,
    /// For times on the scoreboard.
    pub(crate) millis: InstantMillis,
    scoreboard: Scoreboard,
    slot: usize,
    spare_listeners: SpareListeners,
    hooks: Arc<dyn Hooks>,
    age: u64,
    /// A client waits, and this worker has no place for it: the next response must free one.
    place_wanted: AtomicBool,
    draining: AtomicBool,
    /// The whole server is stopping.
    closing: AtomicBool,
    /// The number of the signal that ends this worker at once; 0 is none.
    quit_by: AtomicI32,
}

// Relaxed throughout: the words are independent, and a thread may see one of them a request late without harm.
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
            in_flight: (0..settings.most_threads())
                .map(|_| InFlight::new())
                .collect(),
            ready: ReadyQueue::default(),
            adoptions: Adoptions::new(),
            most_connections: most_connections(&settings),
            access_log: AccessLog::new(&settings)?,
            tags_lines: settings.request_id.is_some() || settings.error_log_json,
            stack_log: StackLog::new(),
            stack_rounds: StackRounds::default(),
            shedding: LoadShedding::new(&settings).map(Arc::new),
            siblings: Siblings::new(scoreboard.clone(), slot),
            master: MasterLink::new(sender, &settings),
            role: WorkerRole::Public,
            rate_limiter: None,
            millis: InstantMillis::new(),
            settings,
            scoreboard,
            slot,
            spare_listeners: SpareListeners::default(),
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

    /// With the limits of its clients.
    pub(crate) fn with_rate_limits(self, limits: Option<Arc<RateLimitSet>>) -> Self {
        let rate_limiter = limits.map(|set| RateLimiter::new(set, &self.settings));
        Self {
            rate_limiter,
            ..self
        }
    }

    /// Serves the clients of `role`.
    pub(crate) fn with_role(mut self, role: WorkerRole) -> Self {
        self.role = role;
        if !role.has_siblings() {
            self.siblings.leave();
        }
        self
    }

    /// Calls a function of the config file. Its exception is logged.
    pub(crate) fn call_hook(&self, event: HookEvent) {
        if let Err(raised) = self.hooks.call(event) {
            error!("{raised}");
        }
    }

    /// Calls the config file's `worker_abort` for a request that has exceeded its timeout. It runs on a thread of its
    /// own, because the application may hold a lock that the function needs.
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

    /// Why the request that a thread is about to take up is not run after all, if so. What a forecast needs to know of it
    /// is measured.
    pub(crate) fn take_up(&self, connection: &Connection, now: Instant) -> Option<Refusal> {
        let shedding = self.shedding.as_ref()?;
        let ready_at = connection.lifecycle().ready_at();
        if connection.has_request()
            && let Err(refusal) =
                shedding.check_waited(ready_at, now, || connection.has_lost_client())
        {
            return Some(refusal);
        }
        let slot = self.slot();
        let interval = shedding.note_start(now, ready_at, slot.serving_threads());
        slot.set_start(interval, self.millis.at(now));
        slot.set_waiting(self.ready.len());
        None
    }

    /// A request had a thread from `started` to `ended`.
    pub(crate) fn note_served(&self, started: Instant, ended: Instant) {
        if let Some(shedding) = &self.shedding {
            let nanos = shedding.note_end(started, ended);
            self.slot().set_service_nanos(nanos);
        }
    }

    /// A request is refused.
    pub(crate) fn note_refusal(&self, refusal: Refusal, now: Instant) {
        if let Some(shedding) = &self.shedding {
            shedding.note_refusal(refusal, now);
        }
    }

    /// Requests that were refused so far because they would have waited for long, or had.
    pub(crate) fn refused(&self) -> u64 {
        self.shedding.as_ref().map_or(0, |it| it.refused())
    }

    /// Whether the connection may go on after `refusal`.
    pub(crate) fn may_stay(&self, connection: &Connection, refusal: Refusal) -> bool {
        let is_tls = connection.transport().is_tls();
        refusal.reason != RefusalReason::ClientGone && self.keeps_alive(is_tls)
    }

    /// The slot of this worker on the scoreboard.
    pub(crate) fn slot(&self) -> Slot<'_> {
        self.scoreboard.slot_of(self.slot, self.in_flight.len())
    }

    /// How many threads serve at first: with `max_threads` as many as in its siblings, because their load becomes its own.
    pub(crate) fn first_threads(&self) -> usize {
        let least = self.settings.threads;
        let siblings = self.siblings.proven_threads().unwrap_or(least);
        siblings.clamp(least, self.in_flight.len())
    }

    pub(crate) fn server_state(&self) -> ServerState {
        self.scoreboard.server_state()
    }

    /// The number of the master's last question for stacks.
    pub(crate) fn stack_round(&self) -> u64 {
        self.scoreboard.master().stack_round()
    }

    /// Whether this worker, which drains, is to become a mold.
    pub(crate) fn becomes_mold(&self) -> bool {
        let is_chosen = self.scoreboard.claim_of(self.slot).becomes_mold();
        is_chosen && self.is_draining() && self.quit_signal().is_none()
    }

    /// Keeps listeners for the case that it becomes a mold.
    pub(crate) fn with_spare_listeners(mut self, spare: SpareListeners) -> Self {
        self.spare_listeners = spare;
        self
    }

    /// From now on this worker takes no new connections. `closing` if the whole server stops.
    pub(crate) fn begin_drain(&self, closing: bool) {
        self.draining.store(true, Ordering::Relaxed);
        self.closing.store(closing, Ordering::Relaxed);
        if !self.becomes_mold() {
            lock(&self.spare_listeners).clear();
        }
        self.adoptions.close();
        self.slot().set_state(SlotState::Draining);
        self.master.send(&Message::Draining);
    }

    /// The whole server stops: responses no longer keep connections alive.
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

    /// Sets whether a client waits for a place, so that a connection has to end.
    pub(crate) fn set_place_wanted(&self, wanted: bool) {
        self.place_wanted.store(wanted, Ordering::Relaxed);
    }

    /// Whether a response may keep its connection alive. A sibling can continue a connection, unless its TLS keys are
    /// here.
    pub(crate) fn keeps_alive(&self, is_tls: bool) -> bool {
        let is_leaving = self.closing.load(Ordering::Relaxed) || (is_tls && self.is_draining());
        let is_wanted = self.place_wanted.load(Ordering::Relaxed);
        !self.settings.keepalive.is_zero() && !is_leaving && !is_wanted
    }
}
