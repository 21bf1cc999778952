//! The supervisor's input and output.

use nix::sys::signal::Signal;
use oxicorn_common::Message;
use oxicorn_common::scoreboard::{RestartReason, ScalingCause};

use super::child::{ChildId, ChildKind};
use super::death::Death;
use super::plan::Plan;

/// A child to fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpawnRequest {
    pub(crate) id: ChildId,
    pub(crate) kind: ChildKind,
    pub(crate) slot: usize,
    pub(crate) generation: u32,
}

/// An event of the master.
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
    /// What the master and its molds use together.
    OtherMemory { bytes: u64 },
    /// A mold that was a worker has ended by itself.
    MoldEnded { generation: u32 },
    /// The master has received a signal.
    Signal(Signal),
    /// [`Action::Reload`] read good settings.
    Reloaded(Plan),
    /// [`Action::Reload`] failed.
    ReloadFailed { reason: String },
    /// [`Action::StartNewMaster`] was carried out.
    NewMasterStarted { pid: i32 },
    /// The new master has a worker that is ready.
    NewMasterServes,
    /// [`Action::StartNewMaster`] failed.
    NewMasterFailed { reason: String },
    /// The master that this one has started was reaped.
    NewMasterExited {
        death: Death,
        /// The error message of its start.
        reason: Option<String>,
    },
    /// The master that has started this one is gone.
    OldMasterExited,
    /// Automatic scaling wants another number of workers, or would want more than there is memory for.
    Scaled {
        to: usize,
        cause: ScalingCause,
        /// What it is concluded from.
        figures: String,
    },
}

/// An action for the master; actions are carried out in the given order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Fork(SpawnRequest),
    Signal {
        id: ChildId,
        signal: Signal,
    },
    /// Read the settings again as those of this generation, and bind new sockets: [`Event::Reloaded`]. If that fails,
    /// leave everything as it is: [`Event::ReloadFailed`].
    Reload {
        generation: u32,
    },
    /// Start another master on the sockets of this one. The load needs so many workers.
    StartNewMaster {
        workers: usize,
    },
    /// Take the place of the old master, which is gone.
    Promote,
    /// This generation will start no more children.
    Forget {
        generation: u32,
    },
    ReopenLogs,
    /// Tell the child in this slot that it will be a mold when it has drained.
    ChooseMold {
        slot: usize,
    },
    /// This child is no worker any more: the next workers of the generation are forked from it.
    AdoptMold {
        id: ChildId,
        generation: u32,
    },
    /// Do without that mold.
    EndMold {
        generation: u32,
    },
    /// Tell all children whether siblings remain when one drains.
    MarkDeserted(bool),
    /// Tell health checks to fail, and service managers that the server is about to end.
    MarkDraining,
    /// Tell all children that the whole server stops, before any is told to drain. `code` will be its exit code.
    MarkStopping {
        code: i32,
    },
    /// Admit no more clients, unless another master does.
    CloseListeners,
    /// The number of workers has changed, or a reload reports it again.
    WorkersChanged {
        new: usize,
        old: usize,
    },
    /// A generation is proven: the server serves, for the first time or after a reload.
    Serving,
    /// The reload that began this generation has succeeded, or has failed for this reason.
    ReloadEnded {
        generation: u32,
        failure: Option<String>,
    },
    /// This generation has served, and the next one does before the outcome of its reload was known.
    ReloadOvertaken {
        generation: u32,
    },
    /// A worker had to be replaced.
    CountRestart(RestartReason),
    /// Automatic scaling has changed the number of workers, or was refused more.
    CountScaling {
        cause: ScalingCause,
        from: usize,
        to: usize,
    },
    Log {
        level: log::Level,
        text: String,
    },
    /// No child is left: end the process.
    Exit {
        code: i32,
    },
}
