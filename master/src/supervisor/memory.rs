//! Replaces workers that use too much memory, and never in a loop.
//!
//! A worker measures itself and asks (`max_worker_memory`). All children report what they use, and the largest worker
//! goes when they are too large together (`max_total_memory`). Where fresh workers are too large as well, replacing them
//! does not help: it is said once, and one per minute is replaced then.

use std::time::{Duration, Instant};

use log::Level;
use oxicorn_common::process_memory::MebiBytes;
use oxicorn_common::scoreboard::RestartReason;

use super::Supervisor;
use super::child::{Child, ChildId, ChildKind};
use super::memory_rules::YOUNG;

impl Supervisor {
    /// Whether [`super::Event::OtherMemory`] is of any use.
    pub(crate) fn limits_total_memory(&self) -> bool {
        let plan = self.generations.serving().map(|(_, plan)| plan);
        plan.is_some_and(|plan| plan.max_total_memory.is_some())
    }

    /// A child has measured itself.
    pub(super) fn on_memory(&mut self, id: ChildId, bytes: u64, now: Instant) {
        if let Some(child) = self.children.get_mut(&id) {
            child.memory = Some(bytes);
        }
        self.check_total(now);
    }

    /// A worker is over its limit.
    pub(super) fn on_too_large(&mut self, id: ChildId, now: Instant) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.wants_replacement.get_or_insert(RestartReason::Memory);
        // It may ask before it has said that it is ready.
        let age = child
            .ready_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if age < YOUNG && self.memory.note_young(now) {
            let text = format!(
                "{} has been ready for {} s, and {}: if fresh workers need that much, raise the limit. From now on \
                 one is replaced per minute",
                self.name(id),
                age.as_secs(),
                self.too_large(id),
            );
            self.log(Level::Warn, text);
        }
    }

    /// When a worker may be replaced that has asked, and has to wait.
    pub(super) fn memory_deadline(&self, now: Instant) -> Option<Instant> {
        let asks = |child: &Child| child.wants_replacement == Some(RestartReason::Memory);
        let any = self.stopping.is_none() && self.children.values().any(asks);
        self.memory.not_before(now).filter(|_| any)
    }

    /// What a worker uses, and what it may use.
    pub(super) fn too_large(&self, id: ChildId) -> String {
        let child = self.children.get(&id);
        let used = child.and_then(|child| child.memory).map(MebiBytes);
        let used = used.map_or_else(|| "too much".to_owned(), |used| used.to_string());
        let limit = self
            .generations
            .serving()
            .and_then(|(_, plan)| plan.max_worker_memory);
        match limit.map(MebiBytes) {
            Some(limit) => {
                format!("it uses {used} of memory, more than max_worker_memory ({limit})")
            }
            None => format!("it uses {used} of memory"),
        }
    }

    /// Replaces the largest worker if all processes together are too large, and nothing changes at the moment: what is
    /// about to end still counts.
    fn check_total(&mut self, now: Instant) {
        let limit = self
            .generations
            .serving()
            .and_then(|(_, plan)| plan.max_total_memory);
        let Some(limit) = limit else { return };
        let measured = self.children.values().filter_map(|child| child.memory);
        let total = measured.fold(self.memory.others, u64::saturating_add);
        if total <= limit {
            if self.children.values().all(|child| child.memory.is_some()) {
                self.memory.set_below();
            }
            return;
        }
        let changes = |child: &Child| {
            !child.is_ready() || child.replaces.is_some() || child.wants_replacement.is_some()
        };
        if self.memory.is_early(now) || self.is_ending() || self.children.values().any(changes) {
            return;
        }
        let workers = self
            .children
            .values()
            .filter(|it| it.kind == ChildKind::Web);
        let Some(largest) = workers.max_by_key(|child| child.memory) else {
            return;
        };
        let id = largest.id;
        let own = MebiBytes(largest.memory.unwrap_or(0));
        let in_row = self.memory.count_above();
        let sum = format!(
            "The server uses {} of memory, more than max_total_memory ({})",
            MebiBytes(total),
            MebiBytes(limit)
        );
        let name = self.name(id);
        self.log(
            Level::Info,
            format!("{sum}: the largest is {name} with {own}"),
        );
        if in_row == self.web.target + 1 {
            let text = format!(
                "{sum}, although all workers have been replaced: if fresh workers need that much, raise the limit or \
                 lower the number of workers. One is replaced per minute"
            );
            self.log(Level::Warn, text);
        }
        if let Some(child) = self.children.get_mut(&id) {
            child.wants_replacement = Some(RestartReason::Memory);
            child.is_largest = true;
        }
    }
}
