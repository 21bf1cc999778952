//! Reaping: each child of the master's that has ended, and orphans.
//!
//! As pid 1 of a container, and as the subreaper of what molds fork, the master inherits orphans that it
//! has never heard of; they are reaped without a word. The children that the config file's own code has
//! started are not: it waits for their status itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::prctl;
use oxicorn_common::hooks::Moment;

use crate::master::Master;
use crate::oom::OomWatch;
use crate::supervisor::{ChildId, Death, End, Event, Kind, Succession};
use crate::sys;

impl Master {
    /// The deaths, each after the last words of the dead.
    pub(crate) fn collect_dead(&mut self, succession: Succession) -> Vec<Event> {
        // Before the look at the pipes: those among them that have just been born are known then.
        let strangers = match self.adopts_orphans() {
            true => strangers(),
            false => Vec::new(),
        };
        let mut events = self.listen_to_molds();
        let ended = self.reap(succession.successor, strangers);
        let mut ours = 0;
        for (pid, end) in ended {
            let is_mold = self.is_mold(pid);
            let is_successor = succession.successor == Some(pid);
            let id = self.id_of(pid);
            if id.is_none() && !is_mold && !is_successor {
                log::debug!("reaped foreign child {pid}");
                continue;
            }
            ours += 1;
            let death = explain(end, &mut self.oom);
            if is_mold {
                events.extend(self.bury_mold(pid, death));
            }
            if is_successor {
                events.push(self.bury_successor(death));
            }
            let Some(id) = id else { continue };
            if let Some(mut child) = self.children.remove(&id) {
                if child.kind == Kind::Web {
                    self.hooked.tell(Moment::ChildExit { age: id });
                }
                let messages = child.receiver.read().into_iter();
                events.extend(messages.map(|message| Event::Said { id, message }));
                self.shared.scoreboard.fold(child.slot);
            }
            events.push(Event::Died { id, death });
        }
        if ours == 0 {
            self.oom.skip();
        }
        events
    }

    /// Whether processes become children of this one that others have started.
    fn adopts_orphans(&self) -> bool {
        std::process::id() == 1 || prctl::get_child_subreaper().unwrap_or(false)
    }

    /// Takes the status of each child of ours that has ended, and of `strangers`, who have. Never waits.
    fn reap(&self, successor: Option<i32>, strangers: Vec<i32>) -> Vec<(i32, End)> {
        let mut pids: BTreeSet<i32> = self.children.values().map(|child| child.pid).collect();
        pids.extend(self.pids_of_molds());
        pids.extend(successor);
        pids.extend(strangers);
        let status = |pid| Some((pid, sys::reap(pid)?));
        pids.into_iter().filter_map(status).collect()
    }

    fn id_of(&self, pid: i32) -> Option<ChildId> {
        let mut children = self.children.iter();
        children
            .find(|(_, child)| child.pid == pid)
            .map(|(&id, _)| id)
    }
}

/// Children that the config file's own code has started.
static SPARED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn spared() -> MutexGuard<'static, BTreeSet<i32>> {
    SPARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code of the config file; children that it starts are its own to wait for.
pub(crate) fn sparing<T>(code: impl FnOnce() -> T) -> T {
    let before = sys::children().unwrap_or_default();
    let result = code();
    // Twice: a list that is read while threads end may have gaps.
    for _ in 0..2 {
        let after = sys::children().unwrap_or_default();
        spared().extend(after.difference(&before));
    }
    result
}

/// Leaves those that there are to whoever has started them.
pub(crate) fn spare_all() {
    spared().extend(sys::children().unwrap_or_default());
}

/// The children that have ended and that the config file's code has not started. Where the kernel does not
/// list children that is nobody: better a zombie than a status that is taken away.
fn strangers() -> Vec<i32> {
    let children = sys::children().unwrap_or_default();
    let mut spared = spared();
    spared.retain(|&pid| sys::is_child(pid));
    let others = children.difference(&spared).copied();
    others.filter(|&pid| sys::has_ended(pid)).collect()
}

/// How a child of ours came to its end.
fn explain(end: End, oom: &mut OomWatch) -> Death {
    let signal = libc::SIGKILL;
    let killed = matches!(end, End::Signalled { signal: by, .. } if by == signal);
    let out_of_memory = killed && oom.take();
    Death { end, out_of_memory }
}
