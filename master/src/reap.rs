//! Reaping: each child of the master's that has ended, and orphans.
//!
//! As pid 1 of a container, and as the subreaper of what molds fork, the master inherits orphans that it
//! has never heard of; they are reaped without a word. The children that the config file's own code has
//! started are not: it waits for their status itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::prctl;
use oxicorn_common::hooks::HookEvent;

use crate::master::Master;
use crate::oom::OomWatch;
use crate::supervisor::{ChildId, ChildKind, Death, Event, ExitKind, UpgradeState};
use crate::sys;

impl Master {
    /// The deaths, each after the last words of the dead.
    pub(crate) fn collect_dead(&mut self, succession: UpgradeState) -> Vec<Event> {
        // Before the look at the pipes: those among them that have just been born are known then.
        let orphans = match self.adopts_orphans() {
            true => orphans(),
            false => Vec::new(),
        };
        let mut events = self.listen_to_molds();
        let ended = self.reap(succession.successor, orphans);
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
                events.push(self.new_master_exited(death));
            }
            let Some(id) = id else { continue };
            if let Some(mut child) = self.children.remove(&id) {
                if child.kind == ChildKind::Web {
                    self.hook_caller
                        .call_or_log(HookEvent::ChildExit { age: id });
                }
                let messages = child.receiver.read().into_iter();
                events.extend(messages.map(|message| Event::Message { id, message }));
                self.shared.scoreboard.fold(child.slot);
            }
            events.push(Event::Exited { id, death });
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

    /// Takes the status of each child of ours that has ended, and of `orphans`, who have. Never waits.
    fn reap(&self, successor: Option<i32>, orphans: Vec<i32>) -> Vec<(i32, ExitKind)> {
        let mut pids: BTreeSet<i32> = self.children.values().map(|child| child.pid).collect();
        pids.extend(self.pids_of_molds());
        pids.extend(successor);
        pids.extend(orphans);
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
static CONFIG_CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn config_children() -> MutexGuard<'static, BTreeSet<i32>> {
    CONFIG_CHILDREN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Runs code of the config file; children that it starts are its own to wait for.
pub(crate) fn running_config_code<T>(code: impl FnOnce() -> T) -> T {
    let before = sys::children().unwrap_or_default();
    let result = code();
    // Twice: a list that is read while threads end may have gaps.
    for _ in 0..2 {
        let after = sys::children().unwrap_or_default();
        config_children().extend(after.difference(&before));
    }
    result
}

/// Leaves those that there are to whoever has started them.
pub(crate) fn keep_current_children() {
    config_children().extend(sys::children().unwrap_or_default());
}

/// The children that have ended and that the config file's code has not started. Where the kernel does not
/// list children that is nobody: better a zombie than a status that is taken away.
fn orphans() -> Vec<i32> {
    let children = sys::children().unwrap_or_default();
    let mut config_children = config_children();
    config_children.retain(|&pid| sys::is_child(pid));
    let others = children.difference(&config_children).copied();
    others.filter(|&pid| sys::has_ended(pid)).collect()
}

/// How a child of ours came to its end.
fn explain(end: ExitKind, oom: &mut OomWatch) -> Death {
    let signal = libc::SIGKILL;
    let killed = matches!(end, ExitKind::Signalled { signal: by, .. } if by == signal);
    let out_of_memory = killed && oom.take();
    Death {
        kind: end,
        out_of_memory,
    }
}
