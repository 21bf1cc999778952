//! The end of a master, and what it leaves to another one.

use log::error;
use oxicorn_common::hooks::HookEvent;

use super::Master;
use crate::generation::Generation;
use crate::pidfile::Pidfile;
use crate::reload::go_back;
use crate::supervisor::NEW_MASTER_SUFFIX;

impl Master {
    /// The end of the server, when no child is left.
    pub(super) fn finish(mut self, code: i32) -> i32 {
        let reason = self.boot_failure().to_owned();
        self.ready_sender.failed(code, &reason);
        if self.upgrade.conclude() {
            self.promote();
        }
        self.close_listeners();
        for listeners in std::mem::take(&mut self.admin_listeners) {
            listeners.retire(std::iter::empty());
        }
        self.molds.end_all(&mut self.children, &self.hooks);
        let pidfile = self.pidfile.take();
        // A new master puts its own files in their place.
        if let Some(pidfile) = pidfile.filter(|_| self.upgrade.state().new_master.is_none()) {
            pidfile.remove();
        }
        self.control.finish(code);
        self.hooks.call_or_log(HookEvent::Exit);
        code
    }

    /// Why a server that could not boot ends.
    pub(super) fn boot_failure(&self) -> &str {
        let reason = self.molds.last_error().or(self.last_error.as_deref());
        reason.unwrap_or("no worker could boot")
    }

    /// The new master has ended. It removes its files, unless it was killed.
    pub(super) fn clean_up_after_new_master(&self) {
        let Some(newest) = self.generations.values().next_back() else {
            return;
        };
        self.control.remove_left(NEW_MASTER_SUFFIX);
        if let Some(path) = &newest.settings.pidfile {
            let mut path = path.clone().into_os_string();
            path.push(NEW_MASTER_SUFFIX);
            Pidfile::remove_left(path.as_ref(), newest.settings.user);
        }
    }

    /// Takes the place of the old master, which has ended.
    pub(super) fn promote(&mut self) {
        let Some(newest) = self.generations.values().next_back() else {
            return;
        };
        let (name, path) = (newest.name(), newest.settings.pidfile.clone());
        let suffix = self.upgrade.state().suffix();
        self.control.configure(newest, suffix);
        self.show_title(&name);
        if let (Some(pidfile), Some(path)) = (&mut self.pidfile, path)
            && let Err(reason) = pidfile.rename(&path)
        {
            error!("{:#}", anyhow::Error::from(reason));
        }
        self.notifier.promoted();
    }

    /// No more children of this generation will be started.
    pub(super) fn forget(&mut self, generation: u32) {
        self.molds.retire(generation);
        let Some(old) = self.generations.remove(&generation) else {
            return;
        };
        self.go_back_from(generation, &old);
        if self.upgrade.state().is_alone() {
            old.retire(self.generations.values());
        }
    }

    /// A generation that is newer than all others was given up: the master is what it was before.
    fn go_back_from(&mut self, generation: u32, given_up: &Generation) {
        let Some((&newest, before)) = self.generations.last_key_value() else {
            return;
        };
        if newest < generation {
            let (before, state) = (before.clone(), self.upgrade.state());
            let (given_up, pidfile) = (&given_up.settings, &mut self.pidfile);
            go_back(&self.launch, given_up, &before.settings, pidfile, state);
            self.hooks = before.hook_caller();
            self.control.configure(&before, state.suffix());
            self.show_title(&before.name());
        }
    }

    /// Keeps what the children of the other master have counted, which is gone.
    pub(super) fn fold_other_master(&self) {
        self.context.shared.metric_memory.fold_other();
    }

    /// Admits no more clients, unless another master does: the sockets then stay as they are, as long as that master
    /// may end first. Otherwise they stay open until the last child has accepted the connections in their backlogs
    /// and closed them; from then on clients are refused.
    pub(super) fn close_listeners(&mut self) {
        if !self.upgrade.state().is_alone() {
            return;
        }
        for (_, generation) in std::mem::take(&mut self.generations) {
            generation.listeners.reject_handshakes();
            generation.listeners.retire(std::iter::empty());
            self.admin_listeners.push(generation.admin.listeners);
        }
    }
}
