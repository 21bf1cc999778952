//! The supervisor's record of one child.

use std::fmt;
use std::time::{Duration, Instant};

use oxicorn_common::scoreboard::{RestartReason, SlotKind};

use super::plan::Plan;

/// The serial number of a child over the life of the master, as gunicorn's `worker.age`. Never used twice, as a pid
/// may be.
pub(crate) type ChildId = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildKind {
    Web,
    Runner,
    /// The admin process: at most one per generation.
    Admin,
}

impl ChildKind {
    pub(crate) const ALL: [Self; 3] = [Self::Web, Self::Runner, Self::Admin];

    /// In the form for the middle of a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Web => "worker",
            Self::Runner => "runner",
            Self::Admin => "admin process",
        }
    }

    /// The role in the title of its process.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            other => other.noun(),
        }
    }

    /// Its name on the scoreboard.
    pub(crate) fn slot_kind(self) -> SlotKind {
        match self {
            Self::Web => SlotKind::Worker,
            Self::Runner => SlotKind::Runner,
            Self::Admin => SlotKind::Admin,
        }
    }
}

impl fmt::Display for ChildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Web => "Worker",
            Self::Runner => "Runner",
            Self::Admin => "Admin process",
        })
    }
}

/// ```text
///   Booting --ready--> Ready --told to end--> Draining --too late--> Killed
///      |                 `---- silent ----------------------------------^
///      `---- told to end, or too late ----------------------------------'
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildState {
    Booting,
    Ready,
    /// Told to end.
    Draining,
    /// Sent a signal that it cannot survive, for the reason given.
    Killed(&'static str),
}

impl ChildState {
    /// The word for it in answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Killed(_) => "killed",
        }
    }
}

/// What a child is with regard to `refork_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MoldRole {
    Cold,
    /// It has served enough requests.
    Warm,
    /// It is to become the mold, when its replacement is ready.
    Chosen,
    /// It has been told so, and drains.
    Told,
}

#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) id: ChildId,
    /// 0 until the fork is reported.
    pub(crate) pid: i32,
    pub(crate) kind: ChildKind,
    pub(crate) slot: usize,
    pub(crate) generation: u32,
    pub(crate) state: ChildState,
    pub(crate) ready_at: Option<Instant>,
    /// When its state will have lasted too long.
    pub(crate) deadline: Option<Instant>,
    /// When it was probed, because its heartbeat was old.
    pub(crate) asked_at: Option<Instant>,
    /// When it last answered a probe.
    pub(crate) answered_at: Option<Instant>,
    /// A wrong heartbeat has been logged.
    pub(crate) doubted: bool,
    /// It has reported that it accepts nothing new.
    pub(crate) drains: bool,
    /// Why it has asked to be replaced.
    pub(crate) wants_replacement: Option<RestartReason>,
    pub(crate) mold: MoldRole,
    /// It was chosen because all processes together are too large.
    pub(crate) is_largest: bool,
    /// When it will have served for `worker_max_age`.
    pub(crate) retires_at: Option<Instant>,
    /// What it uses, in bytes, as it has reported.
    pub(crate) memory: Option<u64>,
    /// Its end is a restart that has been counted.
    pub(crate) restart_counted: bool,
    /// Why it could not boot, as it has reported.
    pub(crate) failure: Option<String>,
    /// The child that drains when this one is ready.
    pub(crate) replaces: Option<ChildId>,
    pub(crate) timeout: Duration,
    pub(crate) max_age: Duration,
    pub(crate) graceful_timeout: Duration,
}

/// A child that is not ready after this long is stuck. A shorter `timeout` does not apply, only a `boot_timeout`.
const SHORTEST_BOOT_TIMEOUT: Duration = Duration::from_secs(30);

/// Heartbeats come every second; a loaded machine may delay some.
const SHORTEST_SILENCE: Duration = Duration::from_secs(5);

impl Child {
    pub(crate) fn new(
        id: ChildId,
        kind: ChildKind,
        slot: usize,
        generation: u32,
        plan: &Plan,
        now: Instant,
    ) -> Self {
        let boot_timeout = match (plan.boot_timeout.is_zero(), plan.timeout.is_zero()) {
            (false, _) => Some(plan.boot_timeout),
            (true, false) => Some(plan.timeout.max(SHORTEST_BOOT_TIMEOUT)),
            (true, true) => None,
        };
        Self {
            id,
            pid: 0,
            kind,
            slot,
            generation,
            state: ChildState::Booting,
            ready_at: None,
            deadline: boot_timeout.map(|timeout| now + timeout),
            asked_at: None,
            answered_at: None,
            doubted: false,
            drains: false,
            wants_replacement: None,
            mold: MoldRole::Cold,
            is_largest: false,
            retires_at: None,
            memory: None,
            restart_counted: false,
            failure: None,
            replaces: None,
            timeout: plan.timeout,
            max_age: plan.worker_max_age,
            graceful_timeout: plan.graceful_timeout,
        }
    }

    /// Whether it serves, or is about to, and has not been told to end.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, ChildState::Booting | ChildState::Ready)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == ChildState::Ready
    }

    pub(crate) fn is_killed(&self) -> bool {
        matches!(self.state, ChildState::Killed(_))
    }

    /// The longest silence of its event loop; `None` means no limit.
    pub(crate) fn silence_limit(&self) -> Option<Duration> {
        let watched = self.ready_at.is_some() && !matches!(self.state, ChildState::Killed(_));
        (watched && !self.timeout.is_zero()).then(|| self.timeout.max(SHORTEST_SILENCE))
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(f, "{} (not born yet)", self.kind),
            pid => write!(f, "{} (pid: {pid})", self.kind),
        }
    }
}
