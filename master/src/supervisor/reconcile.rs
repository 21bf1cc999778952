//! Keeps the number of children right: starts missing ones, drains surplus ones, and replaces those that ask for it.

use std::time::Instant;

use log::Level;
use oxicorn_common::scoreboard::{MAX_SLOTS, RestartReason};

use super::Supervisor;
use super::child::{Child, ChildId, ChildKind};
use super::event::{Action, SpawnRequest};
use super::plan::Plan;

impl Supervisor {
    pub(super) fn reconcile(&mut self, now: Instant) {
        self.choose_mold();
        for kind in ChildKind::ALL {
            self.make_room(kind, now);
            self.drain_surplus(kind, now);
            self.start_missing(kind, now);
            self.replace_one(kind, now);
        }
        self.conclude_reload();
    }

    /// The target number of workers, without SIGWINCH.
    pub(crate) fn workers_wanted(&self) -> usize {
        let to_come = self.generations.count_to_come();
        to_come.map_or(self.web.target, |count| count.wanted)
    }

    /// How many workers serve.
    pub(crate) fn workers(&self) -> usize {
        let serves = |child: &&Child| child.is_ready() && child.kind == ChildKind::Web;
        self.children.values().filter(serves).count()
    }

    /// The target number of children of `kind` in the generation that serves.
    pub(crate) fn target(&self, kind: ChildKind) -> usize {
        match self.generations.serving() {
            Some((generation, _)) if self.is_wound_down(kind, generation) => 0,
            _ => self.set(kind).target,
        }
    }

    /// Whether SIGWINCH has ended the children of `kind`. The admin process stays to tell of it, unless another master has
    /// one at the same address.
    fn is_wound_down(&self, kind: ChildKind, generation: u32) -> bool {
        let stays = kind == ChildKind::Admin && self.upgrade.is_alone();
        generation <= self.wound_down && !stays
    }

    /// Children of one kind and generation that serve or boot.
    pub(super) fn live(&self, kind: ChildKind, generation: u32) -> impl Iterator<Item = &Child> {
        self.children.values().filter(move |child| {
            child.is_live() && child.kind == kind && child.generation == generation
        })
    }

    /// Whether a missing child only waits for its back-off.
    pub(super) fn is_short(&self, kind: ChildKind) -> bool {
        let Some((generation, _)) = self.generations.serving() else {
            return false;
        };
        self.standing(kind, generation) < self.target(kind)
            || self
                .live(kind, generation)
                .any(|child| child.wants_replacement.is_some())
    }

    /// Live children that are not there in addition to another that is about to go.
    fn standing(&self, kind: ChildKind, generation: u32) -> usize {
        self.live(kind, generation)
            .filter(|child| child.replaces.is_none())
            .count()
    }

    /// In a reload, each child that becomes ready replaces an older one.
    fn make_room(&mut self, kind: ChildKind, now: Instant) {
        let Some((generation, _)) = self.generations.serving() else {
            return;
        };
        let ready = self
            .live(kind, generation)
            .filter(|child| child.is_ready())
            .count();
        let mut older: Vec<&Child> = self
            .children
            .values()
            .filter(|child| child.is_live() && child.kind == kind)
            .filter(|child| child.generation < generation)
            .collect();
        // A child that is not ready serves no client and ends first.
        older.sort_by_key(|child| (child.is_ready(), child.id));
        let surplus = (ready + older.len()).saturating_sub(self.target(kind));
        let leaving: Vec<ChildId> = older.iter().take(surplus).map(|child| child.id).collect();
        leaving.into_iter().for_each(|id| self.drain(id, now));
    }

    fn drain_surplus(&mut self, kind: ChildKind, now: Instant) {
        let Some((generation, _)) = self.generations.serving() else {
            return;
        };
        let surplus = self
            .standing(kind, generation)
            .saturating_sub(self.target(kind));
        let mut candidates: Vec<&Child> = self
            .live(kind, generation)
            .filter(|child| child.replaces.is_none())
            .collect();
        candidates.sort_by_key(|child| (child.is_ready(), child.id));
        let leaving: Vec<ChildId> = candidates
            .iter()
            .take(surplus)
            .map(|child| child.id)
            .collect();
        for id in leaving {
            self.drain(id, now);
            // Its replacement now replaces none, and is the first to end if it is too many.
            for other in self.children.values_mut() {
                if other.replaces == Some(id) {
                    other.replaces = None;
                }
            }
        }
        if surplus > 0 {
            self.drain_surplus(kind, now);
        }
    }

    fn start_missing(&mut self, kind: ChildKind, now: Instant) {
        let Some((generation, plan)) = self.generations.serving() else {
            return;
        };
        if !self.set(kind).backoff.wait(now).is_zero() {
            return;
        }
        let plan = plan.clone();
        let missing = self
            .target(kind)
            .saturating_sub(self.standing(kind, generation));
        for _ in 0..missing {
            self.start(kind, generation, &plan, None, now);
        }
    }

    /// Starts a replacement for a child that has asked for one, if none is starting: one at a time over the whole
    /// server, so that replacing never costs more than one child's memory.
    fn replace_one(&mut self, kind: ChildKind, now: Instant) {
        let Some((generation, plan)) = self.generations.serving() else {
            return;
        };
        let busy = self.children.values().any(|child| child.replaces.is_some());
        if busy || !self.set(kind).backoff.wait(now).is_zero() {
            return;
        }
        // At most as many children drain slowly as there are children that serve.
        let draining = self
            .children
            .values()
            .filter(|child| child.kind == kind && !child.is_live())
            .count();
        if draining > self.target(kind) {
            return;
        }
        let may_be = |reason| match reason {
            RestartReason::Memory => self.memory.not_before(now).is_none(),
            _ => true,
        };
        let asking = self
            .live(kind, generation)
            .find(|child| child.is_ready() && child.wants_replacement.is_some_and(may_be));
        let Some(old) = asking else { return };
        let (id, plan) = (old.id, plan.clone());
        let reason = match old.wants_replacement {
            Some(RestartReason::MaxRequests) => "max_requests".to_owned(),
            Some(RestartReason::Timeout) => "a request took longer than timeout".to_owned(),
            Some(RestartReason::Memory) if old.is_largest => "max_total_memory".to_owned(),
            Some(RestartReason::Memory) => self.too_large(id),
            Some(RestartReason::Age) => {
                let age = plan.worker_max_age.as_secs_f64();
                format!("worker_max_age ({age} s)")
            }
            Some(RestartReason::Refork) => "refork_after".to_owned(),
            Some(RestartReason::Signal) => "a control client wants it".to_owned(),
            _ => "its application wants it".to_owned(),
        };
        if old.wants_replacement == Some(RestartReason::Memory) {
            self.memory.begin(now);
        }
        let text = format!("Replacing {}: {reason}", self.name(id));
        self.log(Level::Info, text);
        self.start(kind, generation, &plan, Some(id), now);
    }

    pub(super) fn start(
        &mut self,
        kind: ChildKind,
        generation: u32,
        plan: &Plan,
        replaces: Option<ChildId>,
        now: Instant,
    ) {
        let Some(slot) = self.free_slot() else {
            // The next death frees a slot.
            if !std::mem::replace(&mut self.is_full, true) {
                let text = format!("All {MAX_SLOTS} slots of the scoreboard are taken");
                self.log(Level::Warn, text);
            }
            return;
        };
        self.is_full = false;
        let id = self.next_id;
        self.next_id += 1;
        let mut child = Child::new(id, kind, slot, generation, plan, now);
        child.replaces = replaces;
        self.children.insert(id, child);
        self.actions.push(Action::Fork(SpawnRequest {
            id,
            kind,
            slot,
            generation,
        }));
    }

    fn free_slot(&self) -> Option<usize> {
        let mut taken = vec![false; MAX_SLOTS];
        for child in self.children.values() {
            taken[child.slot] = true;
        }
        taken.iter().position(|&taken| !taken)
    }
}
