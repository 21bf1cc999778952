//! `drain_delay`: between SIGTERM and the drain, health checks fail and everything else is served, so that load balancers
//! stop sending clients before the listeners close.
//!
//! ```text
//!   serves --SIGTERM--> delay --time is over, or SIGTERM--> drains --> ends
//!      |                  `----SIGINT, SIGQUIT----------------^ at once
//!      `---- no delay, no worker, or another master that serves -------^
//! ```
//!
//! Children that die meanwhile are replaced, and a reload that has begun goes on. Nothing new begins: the server is about
//! to end.

use std::time::Instant;

use log::Level;
use nix::sys::signal::Signal;
use oxicorn_common::scoreboard::ServerState;

use super::Supervisor;
use super::event::Action;

impl Supervisor {
    pub(super) fn on_term(&mut self, now: Instant) {
        let delay = self.generations.serving().map(|(_, plan)| plan.drain_delay);
        let delay = delay.filter(|delay| !delay.is_zero());
        // Whose health checks fail while another master serves the same sockets takes both out of service.
        let may_wait = !self.is_ending() && !self.is_served_elsewhere() && self.workers() > 0;
        let Some(delay) = delay.filter(|_| may_wait) else {
            return self.shut_down(None, 0, now);
        };
        self.drains_at = Some(now + delay);
        if self.generations.refuse_next() {
            let reason = "the server has been told to end".to_owned();
            self.report_reload(self.newest() + 1, Some(reason));
        }
        self.actions.push(Action::MarkDraining);
        let text = format!(
            "Health checks fail from now on; the workers drain in {} s (drain_delay), or on another term",
            delay.as_secs_f64()
        );
        self.log(Level::Info, text);
    }

    /// Ends the delay when its time is over.
    pub(super) fn check_delay(&mut self, now: Instant) {
        if self.drains_at.is_some_and(|at| at <= now) {
            self.shut_down(None, 0, now);
        }
    }

    /// Another master has made the delay needless: clients have somewhere to go.
    pub(super) fn on_new_master_serves(&mut self, now: Instant) {
        self.new_master_serves = true;
        if self.drains_at.is_some() {
            self.shut_down(None, 0, now);
        }
    }

    /// Whether another master serves the sockets.
    fn is_served_elsewhere(&self) -> bool {
        let upgrade = self.upgrade;
        upgrade.old_master.is_some() || (upgrade.new_master.is_some() && self.new_master_serves)
    }

    /// Whether the server has been told to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.drains_at.is_some() || self.stopping.is_some()
    }

    /// What a client of the server should know.
    pub(crate) fn server_state(&self) -> ServerState {
        match (self.stopping, self.drains_at) {
            (Some(_), _) if self.is_served_elsewhere() => ServerState::HandingOver,
            (Some(_), _) => ServerState::Stopping,
            (None, Some(_)) => ServerState::Draining,
            (None, None) => ServerState::Serving,
        }
    }

    pub(super) fn ignore(&mut self, signal: Signal) {
        let name = signal.as_str().trim_start_matches("SIG");
        let text = format!("{name} signal ignored: the server has been told to end");
        self.log(Level::Info, text);
    }
}
