//! How many workers there should be: what the settings say, what operators have made of it since (SIGTTIN, SIGTTOU,
//! `ctl workers`), and what automatic scaling adds to that.
//!
//! ```text
//!   1 ... floor ... wanted ... most
//!           |         `-- moved by automatic scaling (`crate::scaling`), and by the floor that pushes it
//!           `-- moved by operators; without scaling it is the number that is wanted
//! ```

use log::Level;
use oxicorn_common::scoreboard::ScalingCause;
use oxicorn_common::settings::{MOST_WORKERS, WorkerBounds};

use super::Supervisor;
use super::child::ChildKind;
use super::event::Action;
use super::worker_count::WorkerCount;

/// What automatic scaling may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerScale {
    pub(crate) wanted: usize,
    pub(crate) floor: usize,
    pub(crate) most: usize,
    /// Workers that are wanted and do not serve yet.
    pub(crate) missing: usize,
    /// Another master serves the same sockets: this one sees a part of the load only, and may have to take all of it.
    pub(crate) is_shared: bool,
}

impl Supervisor {
    /// The number that operators set, which is the one that is wanted where the load does not decide.
    pub(crate) fn floor(&self) -> usize {
        match self.generations.count_to_come() {
            Some(count) => count.floor,
            None => self.floor,
        }
    }

    /// The highest number of workers, as for the setting: with all children replaced ready-first they fit the scoreboard.
    pub(crate) fn most_workers(&self) -> usize {
        let most = MOST_WORKERS.saturating_sub(self.runners.target).max(1);
        self.bounds().map_or(most, |bounds| bounds.most.min(most))
    }

    /// The bounds of automatic scaling, with the floor as it is now.
    pub(crate) fn bounds(&self) -> Option<WorkerBounds> {
        let (_, plan) = self.generations.serving()?;
        let least = self.floor;
        plan.scaling.map(|bounds| WorkerBounds { least, ..bounds })
    }

    pub(super) fn set_count(&mut self, count: WorkerCount) {
        (self.web.target, self.floor) = (count.wanted, count.floor);
    }

    pub(super) fn count(&self) -> WorkerCount {
        WorkerCount {
            wanted: self.web.target,
            floor: self.floor,
        }
    }

    /// SIGTTIN: one more.
    pub(super) fn raise_floor(&mut self) {
        let wanted = self.target(ChildKind::Web);
        let (floor, most) = (self.floor.min(wanted), self.most_workers());
        if floor >= most {
            let text = match self.bounds() {
                Some(_) => {
                    format!("Signal ttin has no effect: {most} workers are the most (max_workers)")
                }
                None => format!("Signal ttin has no effect: {most} workers are the most"),
            };
            self.log(Level::Warn, text);
        }
        let floor = most.min(floor + 1).max(floor);
        self.set_count(WorkerCount {
            wanted: wanted.max(floor),
            floor,
        });
        self.wind_up();
        self.wound_down = 0;
    }

    /// SIGTTOU: one less. What scaling has added stays until it is idle.
    pub(super) fn lower_floor(&mut self) {
        let WorkerCount { wanted, floor } = self.count();
        let lower = floor.saturating_sub(1).max(1);
        self.set_count(WorkerCount {
            wanted: if wanted == floor { lower } else { wanted },
            floor: lower,
        });
    }

    /// Ends the effect of SIGWINCH, if that has come: workers are started again.
    pub(super) fn wind_up(&mut self) {
        if self.wound_down == self.newest() {
            self.actions.push(Action::MarkDeserted(false));
        }
    }

    /// `None` if the number of workers is fixed, or if this is no time to judge the load: while the server boots, reloads,
    /// has no workers because of SIGWINCH, or ends.
    pub(crate) fn scale(&self) -> Option<WorkerScale> {
        let (generation, _) = self.generations.serving()?;
        let bounds = self.bounds()?;
        let is_steady = self.generations.is_alone(generation) && !self.generations.is_incoming();
        let wanted = self.target(ChildKind::Web);
        if !is_steady || self.is_ending() || wanted == 0 {
            return None;
        }
        let serving = self
            .live(ChildKind::Web, generation)
            .filter(|child| child.is_ready() && child.replaces.is_none());
        Some(WorkerScale {
            wanted,
            floor: bounds.least,
            most: self.most_workers(),
            missing: wanted.saturating_sub(serving.count()),
            is_shared: !self.upgrade.is_alone(),
        })
    }

    /// Automatic scaling has decided.
    pub(super) fn on_scaled(&mut self, to: usize, cause: ScalingCause, figures: &str) {
        let Some(WorkerScale {
            wanted,
            floor,
            most,
            ..
        }) = self.scale()
        else {
            return;
        };
        let to = to.min(most).max(floor);
        if cause == ScalingCause::Memory {
            let text = format!("Workers stay at {wanted}: {figures}");
            self.log(Level::Warn, text);
        } else if to == wanted {
            return;
        } else {
            self.web.target = to;
            let direction = cause.direction();
            let text = format!("Scaling {direction} from {wanted} to {to} workers: {figures}");
            self.log(Level::Info, text);
        }
        self.actions.push(Action::CountScaling {
            cause,
            from: wanted,
            to,
        });
    }
}
