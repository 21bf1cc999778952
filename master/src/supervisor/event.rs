//! What the supervisor hears and what it wants done.

use std::time::Duration;

use nix::sys::signal::Signal;
use oxicorn_common::Message;

use super::child::{ChildId, ChildKind};
use super::death::Death;

/// How many children of each kind a generation has, and how patient the master is with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) runners: usize,
    /// A child whose event loop is silent for longer is killed; zero is never.
    pub(crate) timeout: Duration,
    /// How long a child may drain.
    pub(crate) graceful_timeout: Duration,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// [`Action::Fork`] was carried out.
    Forked { id: ChildId, pid: i32 },
    /// [`Action::Fork`] failed.
    ForkFailed { id: ChildId, reason: String },
    /// A child has written to its pipe.
    Message { id: ChildId, message: Message },
    /// A child was reaped.
    Exited { id: ChildId, death: Death },
    /// The master was sent a signal.
    Signal(Signal),
    /// [`Action::Reload`] read good settings.
    Reloaded(Plan),
    /// [`Action::StartNewMaster`] was carried out.
    NewMasterStarted { pid: i32 },
    /// [`Action::StartNewMaster`] failed.
    NewMasterFailed { reason: String },
    /// The master that this one has started was reaped.
    NewMasterExited {
        death: Death,
        /// Its last words.
        reason: Option<String>,
    },
    /// The master that has started this one is gone.
    OldMasterExited,
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Fork {
        id: ChildId,
        kind: ChildKind,
        slot: usize,
        generation: u32,
    },
    Signal {
        id: ChildId,
        signal: Signal,
    },
    /// Read the settings again, bind what is new, and report [`Event::Reloaded`]; or log what is
    /// wrong with them and leave everything as it is.
    Reload,
    /// Start another master on the sockets of this one.
    StartNewMaster,
    /// Take the place of the predecessor, which is gone.
    Promote,
    /// No child of this generation will be started any more.
    Forget {
        generation: u32,
    },
    ReopenLogs,
    /// Tell all children whether those that drain leave siblings behind.
    MarkDeserted(bool),
    /// Tell all children that the whole server stops, before any is told to drain.
    MarkStopping,
    /// A generation is proven: the server serves, for the first time or after a reload.
    Serving,
    Log {
        level: log::Level,
        text: String,
    },
    /// No child is left: end the process.
    Exit {
        code: i32,
    },
}
