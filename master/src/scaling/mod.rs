//! Automatic scaling: as many workers as the load needs, between the floor and `max_workers`.
//!
//! ```text
//!   scoreboard --> LoadMeter --LoadSample--> ScalingPolicy --ScalingDecision--> memory? --> Event::Scaled --> Supervisor
//!                  every 200 ms, or a        pure: no clock,                    Headroom
//!                  second while idle         no I/O
//! ```
//!
//! The master's loop calls [`AutoScaler::turn`] each time that it goes round; there is no thread. Where the number of
//! workers is fixed nothing is read and nobody is woken. Nothing here starts or ends a worker: a decision is an event for
//! the supervisor, like SIGTTIN. Children may write nonsense into their figures: the worst that comes of it is a number
//! between the bounds.

mod headroom;
mod load_meter;
mod load_sample;
mod policy;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use oxicorn_common::scoreboard::{ScalingCause, Scoreboard};

use crate::child_context::SharedResources;
use crate::supervisor::{Event, WorkerScale};
use headroom::WorkerRoom;
use load_meter::LoadMeter;
use policy::{ScalingDecision, ScalingPolicy};

/// Between two samples.
const EVERY: Duration = Duration::from_millis(200);
/// The same while nothing happens: as often as the master looks at the heartbeats.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// After a refusal, memory is looked at again after this time.
const MEMORY_EVERY: Duration = Duration::from_secs(5);

/// With how many workers of the `wanted` ones a new master begins: as many as there is memory for beside those that serve,
/// and as many as the settings say in any case.
pub(crate) fn fit_new_master(wanted: usize, least: usize, scoreboard: &Scoreboard) -> usize {
    if wanted <= least {
        return wanted;
    }
    let room = WorkerRoom::read(scoreboard).map(|room| room.workers.max(least));
    room.map_or(wanted, |room| wanted.min(room))
}

#[derive(Debug)]
pub(crate) struct AutoScaler {
    meter: LoadMeter,
    policy: ScalingPolicy,
    /// When the next sample is due; `None` before the first, and while there is none.
    next: Option<Instant>,
    /// There was no memory for another worker, and that has been logged; until when it is not looked at again.
    held_until: Option<Instant>,
}

impl AutoScaler {
    pub(crate) fn new() -> Self {
        Self {
            meter: LoadMeter::default(),
            policy: ScalingPolicy::new(),
            next: None,
            held_until: None,
        }
    }

    /// When [`AutoScaler::turn`] must be called next; `None` means after the next event.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Takes a sample if one is due. `scale` is what the supervisor allows; `None` if it allows nothing.
    pub(crate) fn turn(
        &mut self,
        scale: Option<WorkerScale>,
        shared: &SharedResources,
        now: Instant,
    ) -> Option<Event> {
        let Some(scale) = scale else {
            if self.next.take().is_some() {
                self.meter.restart();
                self.policy.restart();
            }
            return None;
        };
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        let sample = self.meter.sample(shared, now);
        self.next = Some(match sample.is_idle() {
            true => now + IDLE_EVERY,
            false => now + EVERY,
        });
        let decision = self.policy.decide(sample, &scale)?;
        let decision = self.fit(decision, &scale, shared, now)?;
        if decision.to != scale.wanted {
            self.policy.note(scale.wanted, decision.to, now);
        }
        let ScalingDecision { to, cause, figures } = decision;
        Some(Event::Scaled { to, cause, figures })
    }

    /// Cuts a decision down to the memory that there is; `None` if that leaves nothing to say.
    fn fit(
        &mut self,
        decision: ScalingDecision,
        scale: &WorkerScale,
        shared: &SharedResources,
        now: Instant,
    ) -> Option<ScalingDecision> {
        if decision.to < scale.wanted {
            self.held_until = None;
            return Some(decision);
        }
        if self.held_until.is_some_and(|until| now < until) {
            return None;
        }
        // Where the system does not tell, nothing is refused.
        let Some(room) = WorkerRoom::read(&shared.scoreboard) else {
            return Some(decision);
        };
        let most = scale.wanted + room.workers.saturating_sub(scale.missing);
        if most > scale.wanted {
            self.held_until = None;
            let to = decision.to.min(most);
            return Some(ScalingDecision { to, ..decision });
        }
        let is_new = self.held_until.replace(now + MEMORY_EVERY).is_none();
        is_new.then_some(ScalingDecision {
            to: scale.wanted,
            cause: ScalingCause::Memory,
            figures: room.figures,
        })
    }
}
