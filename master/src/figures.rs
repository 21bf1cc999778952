//! What the master itself writes to the scoreboard, for those who watch the server.

use log::debug;

use crate::master::Master;
use crate::supervisor::{ChildKind, Supervisor};

impl Master {
    /// The server begins.
    pub(crate) fn begin_figures(&self, supervisor: &Supervisor) {
        self.context.shared.scoreboard.master().begin();
        self.show(supervisor);
    }

    /// Writes what may have changed since the last call.
    pub(crate) fn show(&self, supervisor: &Supervisor) {
        let page = self.context.shared.scoreboard.master();
        page.set_target(supervisor.target(ChildKind::Web));
        let bounds = supervisor.bounds();
        let bounds = bounds.map(|bounds| (bounds.least, bounds.most));
        page.scaling().set_bounds(bounds);
        page.set_generation(supervisor.serving_generation());
    }

    /// A reload is over; a failed one with its reason.
    pub(crate) fn note_reload(&self, generation: u32, failure: Option<&str>) {
        let board = &self.context.shared.scoreboard;
        board.count_reload(generation, failure);
        match failure {
            None => debug!("The reload to generation {generation} has succeeded"),
            Some(reason) => debug!("The reload to generation {generation} has failed: {reason}"),
        }
    }
}
