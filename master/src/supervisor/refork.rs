//! `refork_after`: a worker that has served for a while becomes the mold of the next ones.
//!
//! ```text
//!   a worker says that it is warm --> another one boots --> ready: the warm one drains --> it is the mold
//!                                                                       |                     |
//!                              no other attempt <-- it cannot, or dies -'                     |
//!                              all other workers are replaced by forks of it, one by one <----'
//! ```
//!
//! Each generation tries it once. A mold that dies harms nobody: until another worker is warm, workers load the application
//! themselves. Nor does one whose workers do not boot: it is given up.

use std::time::Instant;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::scoreboard::RestartReason;

use super::Supervisor;
use super::child::{Child, ChildId, ChildKind, MoldRole};
use super::event::Action;

impl Supervisor {
    /// A child has served `refork_after` requests.
    pub(super) fn on_warm(&mut self, id: ChildId) {
        if let Some(child) = self.children.get_mut(&id)
            && child.mold == MoldRole::Cold
        {
            child.mold = MoldRole::Warm;
        }
    }

    /// Chooses a worker to become the mold, if one is wanted.
    pub(super) fn choose_mold(&mut self) {
        let Some((generation, plan)) = self.generations.serving() else {
            return;
        };
        let is_chosen = |child: &Child| match child.mold {
            MoldRole::Chosen => child.is_live(),
            MoldRole::Told => true,
            MoldRole::Cold | MoldRole::Warm => false,
        };
        let is_quiet = !self.generations.is_incoming() && !self.is_ending();
        if !plan.reforks || !is_quiet || self.children.values().any(is_chosen) {
            return;
        }
        if !self.warm_mold.of(generation).is_wanted() {
            return;
        }
        let is_fit = |child: &Child| {
            child.is_ready() && child.mold == MoldRole::Warm && child.wants_replacement.is_none()
        };
        let fit = self.live(ChildKind::Web, generation).find(|it| is_fit(it));
        if let Some(id) = fit.map(|child| child.id)
            && let Some(child) = self.children.get_mut(&id)
        {
            child.mold = MoldRole::Chosen;
            child.wants_replacement = Some(RestartReason::Refork);
        }
    }

    /// The replacement of a child is ready: if the child is to become the mold, it has to know before it drains.
    pub(super) fn tell_mold(&mut self, id: ChildId) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let is_still = child.wants_replacement == Some(RestartReason::Refork);
        if child.mold == MoldRole::Chosen && child.is_live() && is_still {
            child.mold = MoldRole::Told;
            let slot = child.slot;
            self.actions.push(Action::ChooseMold { slot });
        }
    }

    /// A child has drained and is a mold.
    pub(super) fn on_became_mold(&mut self, id: ChildId) {
        let Some(child) = self.children.get(&id) else {
            return;
        };
        let generation = child.generation;
        let is_of_use = child.mold == MoldRole::Told && self.generations.is_serving(generation);
        if !is_of_use || self.is_ending() {
            return self.signal(id, Signal::SIGKILL);
        }
        let name = self.name(id);
        self.children.remove(&id);
        for other in self.children.values_mut() {
            if other.replaces == Some(id) {
                other.replaces = None;
            }
        }
        self.warm_mold.of(generation).begin(self.next_id);
        self.actions.push(Action::AdoptMold { id, generation });
        for child in self.children.values_mut() {
            if child.kind == ChildKind::Web && child.generation == generation && child.is_live() {
                child.wants_replacement.get_or_insert(RestartReason::Refork);
            }
        }
        let text = format!(
            "{name} is the mold of the next workers (refork_after), which replace the others one by one"
        );
        self.log(Level::Info, text);
    }

    /// A child has drained and cannot be a mold.
    pub(super) fn on_cannot_become_mold(&mut self, id: ChildId, reason: &str) {
        if let Some(child) = self.children.get_mut(&id)
            && child.mold == MoldRole::Told
        {
            child.mold = MoldRole::Cold;
            let generation = child.generation;
            self.refuse_mold(id, generation, reason);
        }
    }

    fn refuse_mold(&mut self, id: ChildId, generation: u32, reason: &str) {
        self.warm_mold.of(generation).refuse();
        let text = format!(
            "{} cannot become the mold of the next workers (refork_after): {reason}. Workers go on to load the \
             application themselves until the next reload",
            self.name(id)
        );
        self.log(Level::Warn, text);
    }

    /// A child has ended, and `has_failed` if it did not get ready or died right after.
    pub(super) fn note_end_for_mold(&mut self, child: &Child, has_failed: bool, now: Instant) {
        let generation = child.generation;
        if child.kind != ChildKind::Web || !self.generations.is_serving(generation) {
            return;
        }
        if child.mold == MoldRole::Told && !self.is_ending() {
            self.warm_mold.of(generation).refuse();
            let text = format!(
                "{child} was to become the mold of the next workers (refork_after), and has ended. Workers go on to \
                 load the application themselves until the next reload"
            );
            self.log(Level::Warn, text);
        }
        let has_lived = child
            .ready_at
            .is_some_and(|at| now.saturating_duration_since(at) >= super::settling::EARLY_EXIT);
        if (has_failed || has_lived) && self.warm_mold.of(generation).note_end(child.id, has_failed)
        {
            self.warm_mold.of(generation).refuse();
            self.actions.push(Action::EndMold { generation });
            let text = "Workers that are forked from the mold (refork_after) do not boot: the next ones load the \
                        application themselves, until the next reload";
            self.log(Level::Error, text.to_owned());
        }
    }

    /// A mold that was a worker has ended by itself.
    pub(super) fn on_mold_ended(&mut self, generation: u32) {
        if self.generations.is_serving(generation) && !self.warm_mold.of(generation).end() {
            let text = "The molds of this generation keep ending: no other worker becomes one (refork_after) until the \
                        next reload";
            self.log(Level::Warn, text.to_owned());
        }
    }
}
