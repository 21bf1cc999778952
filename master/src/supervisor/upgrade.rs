//! SIGUSR2: a second master beside this one, on the same sockets.
//!
//! ```text
//!   old master --SIGUSR2: fork, exec--> new master      both serve, until one of them is told to end
//! ```
//!
//! Neither touches files or backlogs of the shared sockets, or the other's pid file. When one of them has ended, the
//! other is a master like any other, and can be upgraded again.

use log::Level;
use oxicorn_common::exit_code;

use super::Supervisor;
use super::death::Death;
use super::event::Action;

/// At the end of the names of a new master's files, as in gunicorn.
pub(crate) const NEW_MASTER_SUFFIX: &str = ".2";

/// The other master of an upgrade, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UpgradeState {
    /// The pid of the master that started this one, while it lives.
    pub(crate) old_master: Option<i32>,
    /// The pid of the master that this one started, while it lives.
    pub(crate) new_master: Option<i32>,
}

impl UpgradeState {
    /// Whether no other master listens on the sockets.
    pub(crate) fn is_alone(&self) -> bool {
        self.old_master.is_none() && self.new_master.is_none()
    }

    /// Why this master cannot start a new one.
    pub(crate) fn obstacle(&self) -> Option<String> {
        match (self.new_master, self.old_master) {
            (Some(pid), _) => Some(format!("the new master (pid: {pid}) is there already")),
            (None, Some(pid)) => Some(format!(
                "the old master (pid: {pid}) is still there; end it first"
            )),
            (None, None) => None,
        }
    }

    /// The name of this master in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self.old_master {
            Some(_) => "Master.2",
            None => "Master",
        }
    }

    /// The suffix that distinguishes title and pid file of a new master from those of the old one.
    pub(crate) fn suffix(&self) -> &'static str {
        match self.old_master {
            Some(_) => NEW_MASTER_SUFFIX,
            None => "",
        }
    }
}

impl Supervisor {
    pub(super) fn ask_for_new_master(&mut self) {
        match self.upgrade.obstacle() {
            None => {
                let workers = self.workers_wanted();
                self.actions.push(Action::StartNewMaster { workers });
            }
            Some(obstacle) => self.log(Level::Warn, format!("USR2 signal ignored: {obstacle}")),
        }
    }

    pub(super) fn on_new_master_started(&mut self, pid: i32) {
        self.upgrade.new_master = Some(pid);
        self.new_master_serves = false;
        let text = format!("The new master (pid: {pid}) starts on the sockets of this one");
        self.log(Level::Info, text);
    }

    pub(super) fn on_new_master_exited(&mut self, death: Death, reason: Option<String>) {
        let Some(pid) = self.upgrade.new_master.take() else {
            return;
        };
        let follows = match self.stopping {
            Some(_) => "",
            None => "; this one serves on",
        };
        let level = match death.exit_code() {
            Some(exit_code::SUCCESS) => Level::Info,
            _ => Level::Error,
        };
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let text = format!("The new master (pid: {pid}) {death}{follows}{reason}");
        self.log(level, text);
        self.close_if_stopping();
    }

    pub(super) fn on_old_master_exited(&mut self) {
        if self.upgrade.old_master.take().is_some() {
            self.log(Level::Info, "Master has been promoted.".into());
            self.actions.push(Action::Promote);
            self.close_if_stopping();
        }
    }

    /// A server that stopped has left its listeners open for the other master.
    fn close_if_stopping(&mut self) {
        if self.stopping.is_some() {
            self.actions.push(Action::CloseListeners);
        }
    }
}
