//! SIGUSR2: a second master beside this one, on the same sockets.
//!
//! ```text
//!   predecessor --SIGUSR2: fork, exec--> successor      both serve, until one of them is told to end
//! ```
//!
//! Neither touches what the other needs: the sockets' files, their backlogs, its pidfile. Whoever is left
//! alone is a master like any other, and can have a successor again.

use log::Level;

use super::Supervisor;
use super::death::Death;
use super::event::Action;

/// The other master, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UpgradeState {
    /// The pid of the master that has started this one, and lives.
    pub(crate) predecessor: Option<i32>,
    /// The pid of the master that this one has started, and lives.
    pub(crate) successor: Option<i32>,
}

impl UpgradeState {
    /// Whether nobody else listens on the sockets.
    pub(crate) fn is_alone(&self) -> bool {
        self.predecessor.is_none() && self.successor.is_none()
    }

    /// What the log calls this master.
    pub(crate) fn name(&self) -> &'static str {
        match self.predecessor {
            Some(_) => "Master.2",
            None => "Master",
        }
    }
}

impl Supervisor {
    pub(crate) fn succession(&self) -> UpgradeState {
        self.succession
    }

    pub(super) fn ask_for_new_master(&mut self) {
        let UpgradeState {
            predecessor,
            successor,
        } = self.succession;
        let reason = match (successor, predecessor) {
            (Some(pid), _) => format!("the new master (pid: {pid}) is there already"),
            (None, Some(pid)) => {
                format!("the old master (pid: {pid}) is still there; end it first")
            }
            (None, None) => return self.actions.push(Action::StartNewMaster),
        };
        self.log(Level::Warn, format!("USR2 signal ignored: {reason}"));
    }

    pub(super) fn on_new_master_started(&mut self, pid: i32) {
        self.succession.successor = Some(pid);
        let text = format!("The new master (pid: {pid}) starts on the sockets of this one");
        self.log(Level::Info, text);
    }

    pub(super) fn on_new_master_exited(&mut self, death: Death, reason: Option<String>) {
        let Some(pid) = self.succession.successor.take() else {
            return;
        };
        let follows = match self.stopping {
            Some(_) => "",
            None => "; this one serves on",
        };
        let level = match death.exit_code() {
            Some(0) => Level::Info,
            _ => Level::Error,
        };
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let text = format!("The new master (pid: {pid}) {death}{follows}{reason}");
        self.log(level, text);
    }

    pub(super) fn promote(&mut self) {
        if self.succession.predecessor.take().is_some() {
            self.log(Level::Info, "Master has been promoted.".into());
            self.actions.push(Action::Promote);
        }
    }
}
