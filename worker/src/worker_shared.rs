//! What all threads of one worker share, the reactor aside: the application, the in_flight, the
//! counters, and the wire to the master.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use log::{error, info, warn};
use nix::sys::signal::Signal;
use oxicorn_common::clock::monotonic_millis;
use oxicorn_common::hooks::{HookEvent, Hooks, NoHooks};
use oxicorn_common::logging::{self, AccessEntry, AccessFormat, AccessFormatError};
use oxicorn_common::request::{Peer, RequestHead};
use oxicorn_common::scoreboard::{Slot, SlotState, ThreadStats};
use oxicorn_common::{App, Message, MessageSender, Scoreboard, Settings, WorkerContext};

use crate::connection::Connection;
use crate::connection_limit::most_connections;
use crate::http::Rules;
use crate::in_flight::InFlight;
use crate::ready_queue::ReadyQueue;
use crate::response::AccessRecord;

/// A worker beats once a second at least; one that has not for so many milliseconds is stopped or stuck.
const LONGEST_SILENCE: u64 = 3000;

pub(crate) struct WorkerShared {
    pub(crate) app: Box<dyn App>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) slot: usize,
    pub(crate) in_flight: Vec<InFlight>,
    pub(crate) rules: Rules,
    pub(crate) ready: ReadyQueue,
    /// Connections that request threads have taken over from siblings and that the reactor does not
    /// know yet.
    pub(crate) adopted: AtomicUsize,
    /// So many it may have.
    pub(crate) most_connections: usize,
    /// Somebody waits at the door of a full house: the next response is to make room.
    pub(crate) place_wanted: AtomicBool,
    /// Responses say `Connection: close`: the whole server is stopping.
    pub(crate) closing: AtomicBool,
    draining: AtomicBool,
    /// The number of the signal that has told this worker to end at once.
    pub(crate) quit_by: AtomicI32,
    hooks: Arc<dyn Hooks>,
    age: u64,
    served: AtomicU64,
    /// After so many requests this worker asks to be replaced; 0 is never.
    serves_at_most: u64,
    asked_for_replacement: AtomicBool,
    access_format: AccessFormat,
    sender: Arc<MessageSender>,
}

impl WorkerShared {
    pub(crate) fn new(
        app: Box<dyn App>,
        settings: Arc<Settings>,
        scoreboard: Scoreboard,
        slot: usize,
        sender: Arc<MessageSender>,
    ) -> Result<Self, AccessFormatError> {
        let access_format = AccessFormat::parse(&settings.access_log_format)?;
        let jitter = match settings.max_requests_jitter {
            0 => 0,
            most => random() % (most + 1),
        };
        let serves_at_most = match settings.max_requests {
            0 => 0,
            count => count + jitter,
        };
        Ok(Self {
            app,
            in_flight: (0..settings.threads).map(|_| InFlight::new()).collect(),
            rules: Rules::from(&*settings),
            ready: ReadyQueue::default(),
            adopted: AtomicUsize::new(0),
            place_wanted: AtomicBool::new(false),
            most_connections: most_connections(&settings),
            settings,
            scoreboard,
            slot,
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            quit_by: AtomicI32::new(0),
            hooks: Arc::new(NoHooks),
            age: 0,
            served: AtomicU64::new(0),
            serves_at_most,
            asked_for_replacement: AtomicBool::new(false),
            access_format,
            sender,
        })
    }

    /// Has the functions of the config file called.
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

    /// Tells the config file of a request that has outlived its timeout. The application may hold
    /// what the function needs, so nobody waits for it.
    pub(crate) fn tell_of_timeout(self: &Arc<Self>) {
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

    pub(crate) fn slot(&self) -> Slot<'_> {
        self.scoreboard.slot(self.slot)
    }

    /// The signal that has told this worker to end at once.
    pub(crate) fn quit_signal(&self) -> Option<Signal> {
        Signal::try_from(self.quit_by.load(Ordering::Relaxed)).ok()
    }

    /// This worker takes no new connections any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether a response may invite its client to go on. A sibling can go on with a connection, unless its
    /// keys are here.
    pub(crate) fn keeps_alive(&self, is_tls: bool) -> bool {
        let is_leaving = self.closing.load(Ordering::Relaxed) || (is_tls && self.is_draining());
        // This worker is full, and a client waits for a place.
        let is_wanted = self.place_wanted.load(Ordering::Relaxed);
        !self.settings.keepalive.is_zero() && !is_leaving && !is_wanted
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.slot().set_state(SlotState::Draining);
        self.tell(&Message::Draining);
    }

    /// Whether another worker serves the same sockets, and goes on doing so.
    pub(crate) fn has_siblings(&self) -> bool {
        !self.scoreboard.is_deserted() && self.siblings().next().is_some()
    }

    /// How many clients the sibling has that has fewest, of those with an idle thread.
    pub(crate) fn lightest_sibling(&self) -> Option<usize> {
        self.siblings()
            .filter(has_idle_thread)
            .map(Slot::connections)
            .min()
    }

    /// Whether a thread of another worker has nothing to do.
    pub(crate) fn has_idle_sibling(&self) -> bool {
        self.siblings().any(|slot| has_idle_thread(&slot))
    }

    /// Whether another worker would take a connection for which there is no room here: one that turns its
    /// event loop, and has a place and a descriptor for it.
    pub(crate) fn has_sibling_with_room(&self) -> bool {
        let (most, now) = (self.most_connections, monotonic_millis());
        self.siblings().any(|slot| {
            let silent_for = now.saturating_sub(slot.heartbeat());
            slot.connections() < most && !slot.lacks_descriptors() && silent_for < LONGEST_SILENCE
        })
    }

    /// The other workers that serve the same sockets.
    fn siblings(&self) -> impl Iterator<Item = Slot<'_>> {
        let kind = self.slot().kind();
        let others = self.scoreboard.slots().enumerate();
        others.filter_map(move |(index, slot)| {
            (index != self.slot && slot.is_ready() && slot.kind() == kind).then_some(slot)
        })
    }

    /// Tells the access log and statsd of a response that the client has all of.
    pub(crate) fn log_access(
        &self,
        head: &RequestHead,
        peer: &Peer,
        record: &AccessRecord,
        now: Instant,
    ) {
        if !logging::access_enabled() {
            return;
        }
        let entry = AccessEntry {
            head,
            peer,
            scheme: record.scheme,
            variables: &record.variables,
            status: record.status,
            fields: &record.fields,
            body_bytes: record.body_bytes,
            duration: now.saturating_duration_since(record.started),
            pid: std::process::id(),
        };
        logging::access(&self.access_format, &entry);
    }

    /// The response under way is over, all of it sent or not: logs it.
    pub(crate) fn conclude(&self, connection: &mut Connection, now: Instant) {
        if let Some((head, peer, record)) = connection.end_record() {
            self.log_access(head, &peer, &record, now);
        }
    }

    /// Counts a request towards `max_requests`.
    pub(crate) fn count_request(&self) {
        if self.serves_at_most > 0
            && self.served.fetch_add(1, Ordering::Relaxed) + 1 == self.serves_at_most
        {
            info!(
                "Autorestarting worker after {} requests.",
                self.serves_at_most
            );
            self.ask_for_replacement("max_requests");
        }
    }

    /// Asks the master, once, to start another worker in this one's place and then to drain this.
    pub(crate) fn ask_for_replacement(&self, reason: &str) {
        if !self.asked_for_replacement.swap(true, Ordering::Relaxed) {
            self.tell(&Message::Replace {
                reason: reason.to_owned(),
            });
        }
    }

    pub(crate) fn tell(&self, message: &Message) {
        if let Err(error) = self.sender.send(message) {
            warn!("cannot reach the master: {error}");
        }
    }
}

fn has_idle_thread(slot: &Slot<'_>) -> bool {
    slot.threads().any(ThreadStats::is_idle)
}

/// A number that differs between processes, for jitter.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
