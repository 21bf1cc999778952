//! Molds that were workers (`refork_after`), on the master's side. Such a mold takes the place of the one that its
//! generation has.

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Molds;
use super::handle::Mold;
use crate::child_link::DrainedWorker;
use crate::children::Children;
use crate::hook_caller::HookCaller;
use crate::supervisor::{ChildId, SpawnRequest};

impl Molds {
    /// Makes a worker the mold of its generation. What the mold of before has not done, this one does.
    pub(crate) fn adopt(&mut self, number: u32, worker: DrainedWorker, hooks: HookCaller) {
        if let Err(error) = prctl::set_child_subreaper(true) {
            log::warn!("cannot adopt the workers of a mold: {error}");
        }
        let mut mold = Mold {
            ready: true,
            warm: true,
            ..Mold::new(worker.pid, worker.receiver, worker.requests, hooks)
        };
        if let Some(mut old) = self.by_generation.remove(&number) {
            mold.pending = std::mem::take(&mut old.pending);
            old.end();
            self.ending.push(old);
        }
        let due: Vec<ChildId> = mold.pending.keys().copied().collect();
        for id in due {
            if mold.send(id).is_err()
                && let Some(pending) = mold.pending.remove(&id)
            {
                self.unserved.push(pending.request);
            }
        }
        self.by_generation.insert(number, mold);
    }

    /// Tells molds that were workers to open their logs again, before they fork another one.
    pub(crate) fn reopen_logs(&self) {
        for mold in self.by_generation.values().filter(|mold| mold.warm) {
            // It is not reaped yet, so the pid is still its own.
            let _ = kill(Pid::from_raw(mold.pid), Signal::SIGUSR1);
        }
    }

    /// Whether workers of `generation` are forked from one that was a worker.
    pub(crate) fn has_warm(&self, generation: u32) -> bool {
        let mold = self.by_generation.get(&generation);
        mold.is_some_and(|mold| mold.warm && !mold.retired)
    }

    /// Ends the mold of a generation that starts its workers in another way from now on.
    pub(crate) fn discard(&mut self, generation: u32) {
        if let Some(mut mold) = self.by_generation.remove(&generation) {
            mold.end();
            let pending = std::mem::take(&mut mold.pending).into_values();
            self.unserved.extend(pending.map(|pending| pending.request));
            self.ending.push(mold);
        }
    }

    /// The workers that a mold was asked for before it ended.
    pub(crate) fn take_unserved(&mut self, children: &Children) -> Vec<SpawnRequest> {
        let unserved = std::mem::take(&mut self.unserved);
        for request in &unserved {
            children.release_slot(request.slot);
        }
        unserved
    }

    /// What all molds use together, in bytes, as they have measured.
    pub(crate) fn memory(&self) -> u64 {
        self.by_generation.values().map(|mold| mold.memory).sum()
    }
}
